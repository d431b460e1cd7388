"""Preference pairs: a correct completion against a wrong one of the same problem.

Light-R1 (arXiv 2503.10460, section 3.2) takes the chosen from a stronger teacher and the rejected
from the model itself; here the two are simply two collections of verified completions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from longstep.config import Field, Strict
from longstep.types import Completion, Pair, Problem

#: Where a completion can be read again, such as its place in a file.
P = TypeVar("P")


class PairConfig(Strict):
    """How pairs are drawn.

    Attributes:
        per_problem: most pairs of one problem; no completion is used twice.
        length_ratio: longest allowed ratio between the lengths of the two sides, so that length
            does not tell them apart: the nearest wrong one is taken, and a right one without any
            inside the ratio gives no pair. ``None`` draws the rejected at random.
        rejected: ``finished`` wrong answers, or ``any``: truncated ones too. A model taught to
            dislike truncated traces learns to be brief as well as to be right.
    """

    per_problem: int = Field(default=1, ge=1)
    length_ratio: float | None = Field(default=None, ge=1.0)
    rejected: Literal["finished", "any"] = "finished"


def choose_pairs(
    problems: Iterable[Problem],
    chosen: Iterable[tuple[P, Completion]],
    rejected: Iterable[tuple[P, Completion]],
    config: PairConfig,
    seed: int,
) -> Iterator[tuple[Problem, P, P]]:
    """Pair correct with wrong completions, problem by problem in the order given; gives the places of both.

    A problem's pairs depend on the seed and its own rows only, not on the other problems. Of a completion only its
    length and its place are kept, so that both sides may be larger than memory.

    Args:
        problems: the problems to pair; completions of others are ignored.
        chosen: verified completions, each with its place; the correct ones are used.
        rejected: the same; the wrong ones are used.
        config: how to draw.
        seed: of the draw.
    """
    wrong_statuses = {"incorrect", "unparseable"}
    if config.rejected == "any":
        wrong_statuses.add("truncated")
    right = _by_problem(chosen, {"correct"})
    wrong = _by_problem(rejected, wrong_statuses)
    for problem in problems:
        rng = random.Random(f"{seed}:{problem.id}")
        goods = right.get(problem.id, [])
        bads = wrong.get(problem.id, [])
        rng.shuffle(goods)
        rng.shuffle(bads)
        made = 0
        for length, place in goods:
            index = _partner(length, bads, config.length_ratio)
            if made < config.per_problem and index is not None:
                yield problem, place, bads.pop(index)[1]
                made += 1


def _by_problem(
    completions: Iterable[tuple[P, Completion]], statuses: set[str]
) -> dict[str, list[tuple[int, P]]]:
    """Length and place of every completion with such a verdict."""
    found: dict[str, list[tuple[int, P]]] = {}
    for place, each in completions:
        if each.verdict is not None and each.verdict.status in statuses:
            found.setdefault(each.problem_id, []).append((_length(each), place))
    return found


def _partner(length: int, bads: list[tuple[int, P]], ratio: float | None) -> int | None:
    if not bads or ratio is None:
        return 0 if bads else None  # already shuffled
    index = min(range(len(bads)), key=lambda each: abs(bads[each][0] - length))
    low, high = sorted((length, bads[index][0]))
    return index if high <= ratio * low else None


def _length(completion: Completion) -> int:
    return len(completion.token_ids) or len(completion.text)


def pair_of(problem: Problem, good: Completion, bad: Completion) -> Pair:
    """The pair of two completions.

    Its prompt's ids are those of the rejected one: the model in training rendered them.
    """
    return Pair(
        problem_id=problem.id,
        prompt=problem.prompt,
        chosen=good.text,
        rejected=bad.text,
        prompt_ids=bad.prompt_ids or good.prompt_ids,
        chosen_ids=good.token_ids,
        rejected_ids=bad.token_ids,
    )
