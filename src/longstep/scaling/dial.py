"""What a budget for thinking is worth: Control, Scaling and Performance of s1 (arXiv 2501.19393, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from longstep.scaling.budget import CLOSE
from longstep.scaling.tree import Trail


def thought_tokens(trail: Trail) -> int:
    """Tokens of a thought, forced ones included, its closing tag not.

    Of an answer in which the tag begins a segment, as ``budget`` has it; of any other it is the whole answer.
    """
    count = 0
    for each in trail.segments:
        if each.text.startswith(CLOSE):
            break
        count += len(each.token_ids)
    return count


def control(thoughts: Iterable[Sequence[int]], budgets: Iterable[int]) -> float:
    """Share of thoughts within their budget: 1 where budgets are always kept.

    Args:
        thoughts: tokens of each thought, by budget.
        budgets: most tokens of each.
    """
    kept = [length <= most for some, most in zip(thoughts, budgets, strict=True) for length in some]
    return sum(kept) / len(kept)


def scaling(points: Sequence[tuple[float, float]]) -> float:
    """Mean slope over all pairs of points (tokens, accuracy): accuracy for one more token.

    Two points of equal tokens have no slope and are left out.

    Raises:
        ValueError: no two points differ in tokens.
    """
    slopes = [(v - y) / (u - x) for (x, y), (u, v) in combinations(sorted(points), 2) if u > x]
    if not slopes:
        raise ValueError("a slope needs two points that differ in tokens")
    return sum(slopes) / len(slopes)


def performance(points: Sequence[tuple[float, float]]) -> float:
    """The best accuracy of all points."""
    return max(accuracy for _, accuracy in points)
