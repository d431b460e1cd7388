"""Preference pairs of two collections of verified completions, problem by problem, as a pairing says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Set
from itertools import islice

from longstep.curate.pairings.base import P, Pairing, SizedPlaces
from longstep.types import Completion, Pair, Problem


def choose_pairs(
    problems: Iterable[Problem],
    chosen: Iterable[tuple[P, Completion]],
    rejected: Iterable[tuple[P, Completion]],
    config: Pairing,
    seed: int,
) -> Iterator[tuple[Problem, P, P]]:
    """Pair completions, problem by problem in the order given; gives the places of both.

    A problem's pairs depend on the seed and its own rows only, not on the other problems. Of a completion only its
    length and its place are kept, so that both sides may be larger than memory.

    Args:
        problems: the problems to pair; completions of others are ignored.
        chosen: verified completions, each with its place; the correct ones are used.
        rejected: the same; those are used whose verdict the pairing rejects.
        config: how to draw.
        seed: of the draw.
    """
    right = _by_problem(chosen, {"correct"})
    wrong = _by_problem(rejected, config.statuses)
    for problem in problems:
        rng = random.Random(f"{seed}:{problem.id}")
        found = config.pairs(right.get(problem.id, []), wrong.get(problem.id, []), rng)
        for good, bad in islice(found, config.per_problem):
            yield problem, good, bad


def _by_problem(
    completions: Iterable[tuple[P, Completion]], statuses: Set[str]
) -> dict[str, SizedPlaces[P]]:
    """Length and place of every completion with such a verdict."""
    found: dict[str, SizedPlaces[P]] = {}
    for place, each in completions:
        if each.verdict is not None and each.verdict.status in statuses:
            found.setdefault(each.problem_id, []).append((_length(each), place))
    return found


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
