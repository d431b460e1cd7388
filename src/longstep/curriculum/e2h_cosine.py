"""E2H-C: from mostly easy to mostly hard, with some of every level all the time (arXiv 2506.06632, section 3).

    share(k) ~ a (K - k) + (1 - a) (k + 1),   a = (1 + cos(pi t / T)) / 2      k = 0 (easiest) .. K - 1

as the reference implementation weighs it; its other differences from ours are those told in ``e2h_gaussian``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Horizon, difficulties
from longstep.curriculum.levels import Levels, ranked
from longstep.curriculum.scheduled import Schedule, ScheduledOrder, several
from longstep.types import Problem


class E2HCosine(Strict):
    """From mostly easy to mostly hard along a cosine, no level ever left out.

    Attributes:
        by: the difficulty: the source's own, or one minus the pass rate.
        levels: how many; equally hard problems share one.
    """

    kind: Literal["e2h-cosine"] = "e2h-cosine"
    by: Literal["difficulty", "pass_rate"] = "difficulty"
    levels: int = Field(4, ge=2)

    def wants(self) -> frozenset[str]:
        """What it looks at in problems."""
        return frozenset({self.by})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> ScheduledOrder:
        """Give the order over these problems."""
        level_P = ranked(difficulties(problems, self.by), self.levels)
        count = several(level_P, self.kind, self.by)
        schedule = Schedule(level_P, range(count), lambda done: self.scores(count, done))
        return ScheduledOrder(schedule, Levels(level_P, horizon.seed), horizon)

    def scores(self, count: int, done: float) -> list[float]:
        """Logarithms of the weights of so many levels when this share of the run is done."""
        easy = (1.0 + math.cos(math.pi * done)) / 2
        return [
            math.log(easy * (count - level) + (1.0 - easy) * (level + 1)) for level in range(count)
        ]
