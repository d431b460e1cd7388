"""From stored completions to supervised rows: prompt ids, completion ids, and nothing tokenised twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longstep.artifacts import read_rows, write_rows
from longstep.config import UserError
from longstep.context import Context, Where, chosen_problems
from longstep.models.chat import (
    THINK_OPEN,
    RenderedPrompt,
    encode_turn,
    lint,
    render_problem,
    thinks,
)
from longstep.training.rows import SftRow
from longstep.types import Completion, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 6
#: Counted reasons, as a sentence says them.
_REASONS = {
    "no thinking": f"without thinking (the text must begin with {THINK_OPEN})",
    "unfinished": "cut before they ended",
}


@dataclass(frozen=True)
class Found:
    """Rows, the prompts they came from, and how many completions were dropped for which reason."""

    rows: list[SftRow]
    prompts: list[Problem]
    dropped: dict[str, int]


def read_supervised(
    context: Context, data: str, where: Where, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Found:
    """Read the completions of an artifact as rows for this tokenizer.

    Sampled ids are used when the same prompt renders to the same ids here, or when they spell the turn behind another
    one (an answer to a question that told more); otherwise the text is encoded.

    Raises:
        UserError: nothing is left, or the tokenizer cannot train a reasoner.
    """
    if problems := lint(tokenizer):
        raise UserError(f"{context.name}: {'; '.join(problems)}")
    path = context.rows(data, "completions.jsonl")
    dropped: Counter[str] = Counter()
    usable: set[str] = set()
    for completion in read_rows(path, Completion):
        if why := _unusable(completion):
            dropped[why] += 1
        else:
            usable.add(completion.problem_id)
    if not usable:
        raise UserError(
            f"{context.name}: no completion of {data} can be trained on: {told(dropped) or 'there is none'}; "
            "take completions that think and end, such as those of a stage of kind sample with keep: correct"
        )
    chosen = {problem.id: problem for problem in chosen_problems(context, data, where, usable)}
    rows: list[SftRow] = []
    for completion in read_rows(path, Completion):  # a second time: only the rows are kept
        if _unusable(completion):
            continue
        problem = chosen.get(completion.problem_id)
        if problem is None:
            dropped["outside of where"] += 1
            continue
        row = _row(problem, completion, tokenizer)
        if len(row.ids) > max_length:
            dropped[f"longer than {max_length} tokens"] += 1
        else:
            rows.append(row)
    if not rows:
        raise UserError(
            f"{context.name}: no row is left to train on: of the completions of {data}, {told(dropped)}; "
            f"raise max_length, widen where, or draw other completions"
        )
    write_rows(context.folder / "masks.jsonl", _shown(rows, tokenizer))
    used = {row.name for row in rows}
    return Found(rows, [p for p in chosen.values() if p.id in used], dict(dropped))


def _unusable(completion: Completion) -> str:
    if completion.finish_reason != "stop":
        return "unfinished"
    return "" if thinks(completion.text) else "no thinking"


def told(counts: Mapping[str, int]) -> str:
    """Counts by reason, as part of a sentence."""
    return ", ".join(f"{count} {_REASONS.get(why, why)}" for why, count in counts.items())


def _row(problem: Problem, completion: Completion, tokenizer: PreTrainedTokenizerBase) -> SftRow:
    rendered = render_problem(tokenizer, problem)
    drawn = completion.token_ids
    if drawn and (
        completion.prompt_ids == rendered.ids or _spells(tokenizer, rendered, completion)
    ):
        turn = drawn
    else:
        turn = tuple(encode_turn(tokenizer, rendered, completion.text))
    return SftRow(problem.id, (*rendered.ids, *turn), len(rendered.ids))


def _spells(
    tokenizer: PreTrainedTokenizerBase, rendered: RenderedPrompt, completion: Completion
) -> bool:
    """Whether ids that were drawn behind another prompt are this tokenizer's, and the turn behind this one."""
    *said, last = completion.token_ids
    if last != tokenizer.eos_token_id or max(said, default=0) >= len(tokenizer):
        return False
    return (
        rendered.prefix + str(tokenizer.decode(said, skip_special_tokens=False)) == completion.text
    )


def _shown(rows: list[SftRow], tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, object]]:
    """A few rows with their loss mask, for the report."""
    for row in rows[:: max(1, len(rows) // SHOWN)][:SHOWN]:
        tokens = [tokenizer.decode([token], skip_special_tokens=False) for token in row.ids]
        mask = [0] * row.prompt_length + [1] * (len(row.ids) - row.prompt_length)
        yield {"tokens": tokens, "mask": mask}
