"""A seeded walk over problems and the memory of one step: what the samplers share."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from typing import Any


class Walk:
    """An endless row of shuffled epochs over some problems: over all of them, the order of ``shuffle``.

    A problem that may not be asked when its turn comes, because the same step has asked for it at the end of the epoch
    before, keeps its turn until it may. So a pick has no problem twice, and still none is left out of an epoch.
    """

    def __init__(self, members: Sequence[int], key: str) -> None:
        """Start at the first of epoch 0; an epoch's order needs only the key and its number."""
        self.members, self.key = members, key
        self.epoch, self.place = 0, 0
        self._waiting: dict[int, None] = {}
        self._order = self._shuffled()

    @property
    def epochs(self) -> float:
        """How often the problems were gone through."""
        return self.epoch + self.place / len(self.members)

    def next(self, asked: Container[int]) -> int:
        """Give the next problem that is not among the asked ones; one of the members must not be."""
        for index in self._waiting:
            if index not in asked:
                del self._waiting[index]
                return index
        while (index := self._step()) in asked:
            self._waiting[index] = None
        return index

    def state(self) -> list[Any]:
        """Give the place in the row, ready for JSON."""
        return [self.epoch, self.place, list(self._waiting)]

    def restore(self, state: Sequence[Any]) -> None:
        """Go to a saved place."""
        self.epoch, self.place, waiting = state
        self._waiting = dict.fromkeys(waiting)
        self._order = self._shuffled()

    def _step(self) -> int:
        if self.place == len(self.members):
            self.epoch, self.place = self.epoch + 1, 0
            self._order = self._shuffled()
        self.place += 1
        return self._order[self.place - 1]

    def _shuffled(self) -> list[int]:
        order = list(self.members)
        random.Random(f"{self.key}:{self.epoch}").shuffle(order)
        return order


class StepAsks:
    """What one step has asked for, so that a refill asks for others, with randomness of its own.

    Nothing of it outlives the step, so a checkpoint need not hold it.
    """

    def __init__(self, count: int, seed: int) -> None:
        """Before the first step."""
        if count == 0:
            raise ValueError("a curriculum needs at least one problem")
        self.count, self.seed = count, seed
        self.asked: set[int] = set()
        self._this_pick: set[int] = set()
        self._step, self._picks = -1, 0

    def begin(self, step: int) -> random.Random:
        """Open a pick of this step; gives its randomness."""
        if step != self._step:
            self._step, self._picks = step, 0
            self.asked.clear()
        self._picks += 1
        self._this_pick.clear()
        return random.Random(f"{self.seed}:pick:{step}:{self._picks}")

    def add(self, index: int) -> None:
        """Note a problem. There is always one that may be asked next.

        When the step has asked for all, those of its earlier picks may come again; those of this one, when it alone
        has asked for all.
        """
        self.asked.add(index)
        self._this_pick.add(index)
        if len(self.asked) == self.count:
            if len(self._this_pick) == self.count:
                self._this_pick.clear()
            self.asked.intersection_update(self._this_pick)
