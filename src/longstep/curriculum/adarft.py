"""AdaRFT: a target difficulty that follows the success rate (arXiv 2504.05520, section 3).

    batch = the B problems with the smallest |d - T|
    T    <- clip(T + eta tanh(alpha (R_avg - beta)), d_min, d_max)

Differences from the paper: problems picked within the last ``cooldown`` picks wait while enough
others are left, because at a fixed T the paper's rule gives the same B problems every step (B is
1024 there and hides it); R_avg is correctness, never a reward with a KL term in it; and T moves
once a step, when everything drawn has been observed. The reference implementation picks about 16
batches ahead of its own updates.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome, difficulties, telling
from longstep.types import Problem


class AdaRFT(Strict):
    """Target difficulty by feedback.

    Attributes:
        by: the difficulty: the source's own, or one minus the pass rate; it is rescaled to
            0..100, where the published ``eta`` lives.
        eta: longest step of the target.
        alpha: how sharply the step answers a success rate off ``beta``.
        beta: the success rate aimed at.
        start: first target.
        cooldown: picks for which a problem waits, as a share of all problems; 0 is the paper.
    """

    kind: Literal["adarft"] = "adarft"
    by: Literal["difficulty", "pass_rate"] = "difficulty"
    eta: float = Field(50.0, gt=0.0)
    alpha: float = Field(2.0, gt=0.0)
    beta: float = Field(0.5, gt=0.0, lt=1.0)
    start: float = Field(0.0, ge=0.0, le=100.0)
    cooldown: float = Field(0.25, ge=0.0, lt=1.0)

    def wants(self) -> frozenset[str]:
        """What it orders by."""
        return frozenset({self.by})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> AdaRFTSampler:
        """Give the sampler over these problems."""
        value_P = telling(difficulties(problems, self.by), self.kind, self.by)
        return AdaRFTSampler(self, _rescaled(value_P), horizon.seed)


def _rescaled(values: Sequence[float]) -> list[float]:
    if not values:
        raise ValueError("a curriculum needs at least one problem")
    low, high = min(values), max(values)
    return [100.0 * (each - low) / (high - low) if high > low else 0.0 for each in values]


_Place = tuple[float, int, int]
"""Difficulty, tie, index: where a problem stands in line."""


class AdaRFTSampler:
    """Picks nearest to the target, moves the target by what it observed.

    The problems that need not wait are kept in order of difficulty, so that a pick walks outward from the target
    instead of sorting the pool: at 100,000 problems the sort took longer than some steps.
    """

    def __init__(self, config: AdaRFT, difficulty_P: list[float], seed: int) -> None:
        """Start at the first target; the seed only breaks ties between equal distances."""
        self.config = config
        self.target = config.start
        self.picks = 0
        self.last_pick: dict[int, int] = {}
        tie_P = list(range(len(difficulty_P)))
        random.Random(seed).shuffle(tie_P)
        self._place_P = [(d, tie_P[i], i) for i, d in enumerate(difficulty_P)]
        self._wait = int(config.cooldown * len(difficulty_P))
        self._ready = sorted(self._place_P)
        self._waiting: deque[int] = deque()  # in the order of their last pick

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the ``n`` problems nearest to the target; more than there are come again."""
        picked: list[int] = []
        while len(picked) < n:
            self._release()
            new = self._nearest(n - len(picked))
            for index in new:
                self.picks += 1
                self.last_pick[index] = self.picks
            self._waiting.extend(new)
            picked += new
        return [Ask(index) for index in picked]

    def _release(self) -> None:
        """Put those back in line whose wait is over."""
        while self._waiting and self.picks - self.last_pick[self._waiting[0]] >= self._wait:
            insort(self._ready, self._place_P[self._waiting.popleft()])

    def _nearest(self, n: int) -> list[int]:
        """Take up to ``n`` out of the line; when it is too short, the nearest of the waiting fill up."""
        places = list(islice(self._outward(), n))
        for place in places:
            del self._ready[bisect_left(self._ready, place)]
        found = [index for _, _, index in places]
        return found if len(found) == n else found + self._hurried(n - len(found))

    def _hurried(self, n: int) -> list[int]:
        """The nearest of those that should wait longer."""
        nearest = sorted((self._place_P[index] for index in self._waiting), key=self._distance)
        hurried = [index for _, _, index in nearest[:n]]
        kept = set(self._waiting) - set(hurried)
        self._waiting = deque(index for index in self._waiting if index in kept)
        return hurried

    def _outward(self) -> Iterator[_Place]:
        middle = bisect_left(self._ready, (self.target, -1, -1))
        return heapq.merge(self._left(middle), self._right(middle), key=self._distance)

    def _left(self, end: int) -> Iterator[_Place]:
        while end:
            start = end
            far = self._distance(self._ready[end - 1])[0]
            while start and self._distance(self._ready[start - 1])[0] == far:
                start = bisect_left(self._ready, (self._ready[start - 1][0], -1, -1))
            yield from self._level(start, end)
            end = start

    def _right(self, start: int) -> Iterator[_Place]:
        while start < len(self._ready):
            end = start
            far = self._distance(self._ready[start])[0]
            while end < len(self._ready) and self._distance(self._ready[end])[0] == far:
                end = bisect_left(self._ready, (self._ready[end][0], len(self._place_P), 0))
            yield from self._level(start, end)
            start = end

    def _level(self, start: int, end: int) -> Iterator[_Place]:
        """Those equally far, by their ties: a level is in that order already unless rounding joins two difficulties."""
        if self._ready[start][0] == self._ready[end - 1][0]:
            return (self._ready[at] for at in range(start, end))
        return iter(sorted(self._ready[start:end], key=self._distance))

    def _distance(self, place: _Place) -> tuple[float, int]:
        return abs(place[0] - self.target), place[1]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Move the target by the mean correctness of the step; a step without any says nothing."""
        seen = [each for outcome in outcomes for each in outcome.known_G]
        if not seen:
            return
        average = sum(seen) / len(seen)
        step = self.config.eta * math.tanh(self.config.alpha * (average - self.config.beta))
        self.target = min(100.0, max(0.0, self.target + step))

    def metrics(self) -> dict[str, float]:
        """Give the target, and the share of problems that were picked at least once."""
        return {"target": self.target, "coverage": len(self.last_pick) / len(self._place_P)}

    def state(self) -> dict[str, Any]:
        """Give target and recency."""
        return {
            "target": self.target,
            "picks": self.picks,
            "last_pick": [[index, at] for index, at in self.last_pick.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.target, self.picks = state["target"], state["picks"]
        self.last_pick = dict(state["last_pick"])
        waits = {i: at for i, at in self.last_pick.items() if self.picks - at < self._wait}
        self._waiting = deque(sorted(waits, key=waits.__getitem__))
        self._ready = sorted(place for place in self._place_P if place[2] not in waits)
