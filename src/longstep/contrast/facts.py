"""What is said about a pair of models: numbers over all positions, and a few rollouts as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from longstep.contrast.pair import Contrasted

FACTS = "contrast.json"


#: Upper ends of the KL histogram's bins, in nats; the last bin is open.
KL_BINS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)


@dataclass
class Summary:
    """What the report and ``pair`` say about a pair of models, counted rollout by rollout."""

    rollouts: int = 0
    positions: int = 0
    prompts: int = 0
    kept: int = 0
    one_hot: int = 0
    agreed: int = 0
    kl_agreed: float = 0.0
    kl_apart: float = 0.0
    kl: float = 0.0
    discarded: float = 0.0
    bins: list[int] = field(default_factory=lambda: [0] * (len(KL_BINS) + 1))

    def add(self, row: Contrasted) -> None:
        """Count a rollout."""
        self.rollouts += 1
        self.positions += len(row.kl)
        self.prompts += len(row.completion.prompt_ids)
        self.kept += len(row.targets)
        self.one_hot += sum(len(target.token_ids) == 1 for target in row.targets)
        self.discarded = max(self.discarded, row.discarded)
        for value, same in zip(row.kl, row.agree, strict=True):
            self.kl += value
            self.agreed += same
            if same:
                self.kl_agreed += value
            else:
                self.kl_apart += value
            self.bins[sum(value > edge for edge in KL_BINS)] += 1

    def facts(self) -> dict[str, Any]:
        """The numbers."""
        apart = self.positions - self.agreed
        return {
            "rollouts": self.rollouts,
            "positions": self.positions,
            "kept": self.kept,
            "kept_share": self.kept / self.positions,
            "one_hot_share": self.one_hot / self.kept if self.kept else None,
            "agreement": self.agreed / self.positions,
            "kl_mean": self.kl / self.positions,
            "kl_when_agreed": self.kl_agreed / self.agreed if self.agreed else None,
            "kl_when_apart": self.kl_apart / apart if apart else None,
            "kl_edges": list(KL_BINS),
            "kl_histogram": self.bins,
            "discarded_mass": self.discarded,
            # Every token once in each model; a token of a rollout is read by all but its last place.
            "forward_tokens": 2 * (self.prompts + self.positions - self.rollouts),
        }


def kl_row(row: Contrasted) -> dict[str, object]:
    """One line of ``kl.jsonl``: the divergence at each token, and whether both models agreed there."""
    return {
        "problem_id": row.completion.problem_id,
        "sample_index": row.completion.sample_index,
        "kl": row.kl,
        "agree": row.agree,
    }


def shown_of(rows: Iterable[Contrasted], total: int, shown: int = 6) -> Iterator[Contrasted]:
    """A few rollouts, spread over all ``total`` of them."""
    step = max(1, total // shown)
    return (row for n, row in enumerate(rows) if n % step == 0 and n // step < shown)


def steered(rows: Iterable[Contrasted], tokenizer: Any) -> Iterator[dict[str, Any]]:
    """Rollouts as text with KL and targets at each token, for the report."""
    for row in rows:
        targets = {target.position: target for target in row.targets}
        tokens = []
        for place, (token, kl) in enumerate(zip(row.completion.token_ids, row.kl, strict=True)):
            entry: dict[str, Any] = {"text": _text(tokenizer, token), "kl": round(kl, 4)}
            if place in targets:
                pairs = zip(targets[place].token_ids, targets[place].weights, strict=True)
                best = sorted(pairs, key=lambda pair: -pair[1])[:5]
                entry["target"] = [[_text(tokenizer, t), round(w, 4)] for t, w in best]
            tokens.append(entry)
        prompt = tokenizer.decode(row.completion.prompt_ids, skip_special_tokens=False)
        yield {"problem_id": row.completion.problem_id, "prompt": prompt, "tokens": tokens}


def _text(tokenizer: Any, token: int) -> str:
    return tokenizer.decode([token], skip_special_tokens=False)
