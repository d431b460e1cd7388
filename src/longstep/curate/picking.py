"""What selection rules share: reasons, an order that the input does not change, and the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from longstep.curate.candidates import NOT_PICKED, Candidate

K = TypeVar("K", bound=Hashable)


def unrated(rater: str) -> str:
    """Why nothing can be said about a rate."""
    return f"no pass rate{f' by {rater}' if rater else ''}"


def never(candidate: Candidate, rater: str) -> str:
    """Why it is not so that this rater never solved it, or nothing."""
    rate = candidate.rate(rater)
    if rate is None:
        return unrated(rater)
    return f"solved{f' by {rater}' if rater else ''}: pass rate {rate:.4g}" if rate > 0 else ""


def shuffled(candidate: Candidate, seed: int) -> float:
    """A number per problem and seed: an order that the order of the input does not change."""
    return random.Random(f"{seed}:{candidate.problem.id}").random()


def longest_first(candidate: Candidate, seed: int) -> tuple[int, float]:
    """What sorts the longest trace first, equal lengths at random."""
    return -(candidate.length or 0), shuffled(candidate, seed)


def left(reasons: Sequence[str]) -> list[int]:
    """Places of those that nothing speaks against yet."""
    return [index for index, reason in enumerate(reasons) if not reason]


def grouped(indices: Sequence[int], key: Callable[[int], K]) -> dict[K, list[int]]:
    """Places by what they have in common."""
    groups: dict[K, list[int]] = {}
    for index in indices:
        groups.setdefault(key(index), []).append(index)
    return groups


def rest(
    reasons: list[str], left: Sequence[int], picked: set[int], reason: str = NOT_PICKED
) -> list[str]:
    """Give those that are left and not picked a reason."""
    for index in left:
        if index not in picked:
            reasons[index] = reason
    return reasons
