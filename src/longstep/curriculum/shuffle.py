"""Every problem once an epoch, in an order of its own each epoch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Strict
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.types import Problem


class Shuffle(Strict):
    """Seeded epochs without replacement: the baseline of every curriculum."""

    kind: Literal["shuffle"] = "shuffle"

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> ShuffleOrder:
        """Give the order over these problems."""
        return ShuffleOrder(len(problems), horizon.seed)


class ShuffleOrder:
    """A position in an endless row of shuffled epochs; an epoch's order needs only its number."""

    def __init__(self, count: int, seed: int) -> None:
        """Start at the first pick of epoch 0."""
        if count == 0:
            raise ValueError("a curriculum needs at least one problem")
        self.count, self.seed, self.position = count, seed, 0
        self._epoch, self._order = -1, list[int]()

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the next ``n`` problems, running on into the next epoch."""
        picked = []
        for _ in range(n):
            epoch, place = divmod(self.position, self.count)
            if epoch != self._epoch:
                self._epoch, self._order = epoch, list(range(self.count))
                random.Random(f"{self.seed}:{epoch}").shuffle(self._order)
            picked.append(Ask(self._order[place]))
            self.position += 1
        return picked

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn nothing: the order is fixed."""

    def metrics(self) -> dict[str, float]:
        """Give how often the pool was gone through."""
        return {"epochs": self.position / self.count}

    def state(self) -> dict[str, Any]:
        """Give the position."""
        return {"position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a saved position."""
        self.position = state["position"]
