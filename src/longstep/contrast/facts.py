"""What is said about a pair of models: numbers over all positions, and a few rollouts as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from longstep.contrast.pair import Contrasted

FACTS = "contrast.json"


#: Upper ends of the KL histogram's bins, in nats; the last bin is open.
KL_BINS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)


def summary(rows: Sequence[Contrasted]) -> dict[str, Any]:
    """What the report and ``show pair`` say about a pair of models."""
    kl = [value for row in rows for value in row.kl]
    agree = [value for row in rows for value in row.agree]
    apart = [k for k, same in zip(kl, agree, strict=True) if not same]
    together = [k for k, same in zip(kl, agree, strict=True) if same]
    bins = [0] * (len(KL_BINS) + 1)
    for value in kl:
        bins[sum(value > edge for edge in KL_BINS)] += 1
    kept = sum(len(row.targets) for row in rows)
    one_hot = sum(len(target.token_ids) == 1 for row in rows for target in row.targets)
    prompts = sum(len(row.completion.prompt_ids) for row in rows)
    return {
        "rollouts": len(rows),
        "positions": len(kl),
        "kept": kept,
        "kept_share": kept / len(kl),
        "one_hot_share": one_hot / kept if kept else None,
        "agreement": sum(agree) / len(agree),
        "kl_mean": sum(kl) / len(kl),
        "kl_when_agreed": sum(together) / len(together) if together else None,
        "kl_when_apart": sum(apart) / len(apart) if apart else None,
        "kl_edges": list(KL_BINS),
        "kl_histogram": bins,
        "discarded_mass": max(row.discarded for row in rows),
        # Every token once in each model; a token of a rollout is read by all but its last place.
        "forward_tokens": 2 * (prompts + len(kl) - len(rows)),
    }


def kl_row(row: Contrasted) -> dict[str, object]:
    """One line of ``kl.jsonl``: the divergence at each token, and whether both models agreed there."""
    return {
        "problem_id": row.completion.problem_id,
        "sample_index": row.completion.sample_index,
        "kl": row.kl,
        "agree": row.agree,
    }


def steered(rows: Sequence[Contrasted], tokenizer: Any, shown: int = 6) -> Iterator[dict[str, Any]]:
    """A few rollouts as text with KL and targets at each token, for the report."""
    for row in rows[:: max(1, len(rows) // shown)][:shown]:
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
