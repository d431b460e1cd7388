"""Stage ``lrsamples``: soft targets published in the layout of LightReasoner's released code, as rows of our own.

One JSON object per kept step: ``prompt_id`` (the question itself), ``step``, ``prefix`` (the rollout so far, as text),
``tokens``, ``token_ids``, ``weights``, ``kl_divergence``. Ids of the prefixes were never published, so they are
tokenised again here, once: token boundaries may differ from the rollout's. Steps whose prefix is not the beginning of
their question's longest one become rollouts of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.artifacts import read_rows, write_json, write_rows
from longstep.config import UserError
from longstep.context import Artifact, Context
from longstep.contrast.facts import FACTS
from longstep.foresight import Ahead, Foreseen
from longstep.models.chat import encode_text, render_prompt
from longstep.models.load import load_tokenizer
from longstep.models.pointer import weights_hash
from longstep.stages.base import Stage
from longstep.types import Completion, Problem, SoftTarget

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class LrSample:
    """One row of the published layout."""

    prompt_id: str
    step: int
    prefix: str
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    weights: tuple[float, ...]
    kl_divergence: float


class LrSamples(Stage):
    """Published LightReasoner samples, read instead of drawn.

    Attributes:
        path: the JSONL file.
        expert: the model they were sampled from; the file does not say, so this is the user's word.
        instruction: added to every question, as the sampling code did.
        thinking: ``false`` asks the template for an empty think block, and adds none to a template without thinking.
        incomplete: what to do with rows whose weights do not sum to 1: the released code loses the weight of added
            tokens such as the end of turn. ``drop`` counts them.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["lrsamples"] = "lrsamples"
    path: str
    expert: str
    instruction: str = ""
    thinking: bool = False
    incomplete: Literal["refuse", "drop"] = "refuse"

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The file and the expert, for its tokenizer."""
        yield self.path, "rows"
        yield self.expert, "model"

    def libraries(self) -> frozenset[str]:
        """The expert's tokenizer reads the prefixes."""
        return frozenset({"transformers"})

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Unverified rollouts and their soft targets; no answers."""
        files = {"problems.jsonl", "completions.jsonl", "soft_targets.jsonl", FACTS}
        lacks = {"pass_rate", "difficulty", "solution", "verdict"}
        start = ahead.start(self.expert)
        return Foreseen(files=frozenset(files), lacks=frozenset(lacks), expert=start)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """An expert without tokenizer, and a file of another layout."""
        yield from ahead.model("expert", self.expert)
        yield from ahead.look("path", Path(self.path), LrSample)

    def run(self, context: Context) -> None:
        """Read, check, tokenise the prefixes, write rows."""
        folder = context.model(self.expert)
        tokenizer = load_tokenizer(folder)
        by_question: dict[str, list[LrSample]] = {}
        incomplete = 0
        for number, row in enumerate(read_rows(Path(self.path), LrSample), start=1):
            if self.incomplete == "drop" and abs(sum(row.weights) - 1) > TOLERANCE:
                incomplete += 1
                continue
            _check(row, tokenizer, f"{self.path}:{number}")
            rows = by_question.setdefault(row.prompt_id, [])
            if all(
                row.prefix != other.prefix for other in rows
            ):  # equal questions were sampled twice
                rows.append(row)
        problems, rollouts, targets = [], [], []
        for question, rows in by_question.items():
            name = f"lrsamples-{len(problems)}"
            prompt = question + self.instruction
            problems.append(Problem(name, prompt, "", source="lrsamples"))
            ids = render_prompt(tokenizer, prompt, self.thinking).ids
            for rollout, its_targets in _rollouts(name, ids, rows, tokenizer):
                rollouts.append(rollout)
                targets += its_targets
        out = context.fresh_out()
        write_rows(out / "problems.jsonl", problems)
        write_rows(out / "completions.jsonl", rollouts)
        write_rows(out / "soft_targets.jsonl", targets)
        facts = {"expert": weights_hash(folder), "thinking": self.thinking, "kept": len(targets)}
        write_json(
            out / FACTS,
            {
                **facts,
                "rollouts": len(rollouts),
                "questions": len(problems),
                "incomplete": incomplete,
            },
        )


def _check(row: LrSample, tokenizer: PreTrainedTokenizerBase, place: str) -> None:
    if not (len(row.token_ids) == len(row.weights) == len(row.tokens) > 0):
        raise UserError(
            f"{place}:token_ids: {len(row.token_ids)} ids, {len(row.weights)} weights and {len(row.tokens)} tokens; "
            "expected as many of each, and at least one"
        )
    if not all(map(math.isfinite, (*row.weights, row.kl_divergence))):
        raise UserError(f"{place}:weights: not a finite number; expected probabilities")
    if not all(0 <= index < len(tokenizer) for index in row.token_ids):
        raise UserError(
            f"{place}:token_ids: an id outside of the expert's {len(tokenizer)}; the samples are from a model with "
            "another tokenizer"
        )
    if abs(sum(row.weights) - 1) > TOLERANCE or min(row.weights) < 0:
        raise UserError(
            f"{place}:weights: sum to {sum(row.weights):.4f}; expected probabilities that sum to 1 (the released code "
            "loses the weight of added tokens; incomplete: drop leaves such rows out)"
        )
    for token, index in zip(row.tokens, row.token_ids, strict=True):
        said = tokenizer.decode([index], skip_special_tokens=False)
        if token not in (said, tokenizer.convert_ids_to_tokens(index)):
            raise UserError(
                f"{place}:token_ids: id {index} is {said!r} for this expert and {token!r} in the file; the samples are "
                "from a model with another tokenizer"
            )


def _rollouts(
    name: str, prompt_ids: tuple[int, ...], rows: list[LrSample], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[Completion, list[SoftTarget]]]:
    """Rows of one question, laid on as few rollouts as their prefixes allow."""
    left = sorted(
        ((tuple(encode_text(tokenizer, row.prefix)), row) for row in rows),
        key=lambda pair: -len(pair[0]),
    )
    sample = 0
    while left:
        longest, text = left[0][0], left[0][1].prefix
        here = [pair for pair in left if longest[: len(pair[0])] == pair[0]]
        left = [pair for pair in left if longest[: len(pair[0])] != pair[0]]
        targets = [
            SoftTarget(name, sample, len(ids), *_sorted(row), row.kl_divergence)
            for ids, row in reversed(here)
        ]
        yield Completion(name, sample, prompt_ids, longest, text, "length"), targets
        sample += 1


def _sorted(row: LrSample) -> tuple[tuple[int, ...], tuple[float, ...]]:
    pairs = sorted(zip(row.token_ids, row.weights, strict=True))
    return tuple(index for index, _ in pairs), tuple(weight for _, weight in pairs)
