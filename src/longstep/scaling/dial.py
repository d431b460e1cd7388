"""What bounds on thinking are worth: Control, Scaling and Performance of s1 (arXiv 2501.19393, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from longstep.scaling.base import Strategy
from longstep.scaling.tree import Trail


@dataclass
class Dial:
    """Counts, of every strategy that bounds its answers, how many kept the bound."""

    kept: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, name: str, strategy: Strategy, leaves: Iterable[Trail]) -> None:
        """Take the answers to a problem."""
        known = [kept for leaf in leaves if (kept := strategy.keeps(leaf)) is not None]
        if known:
            self.kept.setdefault(name, []).extend(known)

    def read(self, points: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Control of each bound, Scaling and Performance over all of them by their first pick; empty without one.

        Args:
            points: of the curves: strategy, pick, tokens, accuracy.
        """
        mine: dict[str, tuple[float, float]] = {}
        for point in points:
            if point["strategy"] in self.kept and not point["bound"]:
                mine.setdefault(point["strategy"], (point["tokens"], point["accuracy"]))
        if not mine:
            return {}
        line = list(mine.values())
        return {
            "control": {name: sum(kept) / len(kept) for name, kept in self.kept.items()},
            "scaling": slope(line),
            "performance": max(accuracy for _, accuracy in line),
        }


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Mean slope over all pairs of points (tokens, accuracy), accuracy for one more token.

    Pairs of equal tokens have none and are left out; ``None`` where no pair is left.
    """
    slopes = [(v - y) / (u - x) for (x, y), (u, v) in combinations(sorted(points), 2) if u > x]
    return sum(slopes) / len(slopes) if slopes else None
