"""From the easiest problem to the hardest, then again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Strict
from longstep.curriculum.base import Ask, Horizon, Outcome, difficulties, telling
from longstep.types import Problem


class EasyToHard(Strict):
    """Sorted by difficulty; equally hard problems are in seeded random order.

    Attributes:
        by: the source's own difficulty, or one minus the pass rate.
    """

    kind: Literal["easy_to_hard"] = "easy_to_hard"
    by: Literal["difficulty", "pass_rate"] = "difficulty"

    def wants(self) -> frozenset[str]:
        """What it orders by."""
        return frozenset({self.by})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> SortedOrder:
        """Give the order over these problems."""
        values = telling(difficulties(problems, self.by), self.kind, self.by)
        order = list(range(len(values)))
        random.Random(horizon.seed).shuffle(order)
        return SortedOrder(sorted(order, key=values.__getitem__))


class SortedOrder:
    """A fixed order, walked through again and again."""

    def __init__(self, order: list[int]) -> None:
        """Start at the front."""
        if not order:
            raise ValueError("a curriculum needs at least one problem")
        self.order, self.position = order, 0

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the next ``n`` problems."""
        start = self.position
        self.position += n
        return [Ask(self.order[each % len(self.order)]) for each in range(start, start + n)]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn nothing: the order is fixed."""

    def metrics(self) -> dict[str, float]:
        """Give how often the pool was gone through."""
        return {"epochs": self.position / len(self.order)}

    def state(self) -> dict[str, Any]:
        """Give the position."""
        return {"position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a saved position."""
        self.position = state["position"]
