"""Nemotron's progressive batching: the pass rate aimed at moves over the run (arXiv 2505.00949, section 5).

    mu(t)    = start + (end - start) t / (T - 1)
    share(b) ~ exp(-(p_b - mu)^2 / (2 width^2))      for each bin b of pass rates, without replacement

``start``, ``end`` and ``width`` are not published, and no code was: the values are ours. Differences from the paper:

* bins whose problems are used up leave their share to the others by the same weights (there: to the largest bin left);
* a run that asks for more than the pool holds may ask for each bin as often as the run goes through the pool, so that
  no bin stands in for the others all the time; when all are used up, as refills may do, the weights rule alone;
* fractions of a problem are drawn by chance instead of cut off, so that a refill of one group follows the weights.

The rates are those of the start: a model that learns leaves them behind (``adcl`` rates again). As in the paper, every
problem of the pool gets its turn, also one that no target asks for, so what is too easy must be dropped before by
``where`` (there: a pass rate of 0.75 and above).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Horizon, difficulties, telling
from longstep.curriculum.levels import Levels, numbered
from longstep.curriculum.scheduled import Schedule, ScheduledOrder
from longstep.types import Problem


class Gaussian(Strict):
    """Batches around a pass rate that moves from high to low over the run.

    Attributes:
        start: pass rate aimed at by the first step.
        end: by the last.
        width: standard deviation of a batch.
        bins: steps between pass rates 0 and 1; 8 is what 8 samples can tell.
    """

    kind: Literal["gaussian"] = "gaussian"
    start: float = Field(0.7, ge=0.0, le=1.0)
    end: float = Field(0.1, ge=0.0, le=1.0)
    width: float = Field(0.15, gt=0.0)
    bins: int = Field(8, ge=1)

    def wants(self) -> frozenset[str]:
        """What it looks at in problems."""
        return frozenset({"pass_rate"})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> ScheduledOrder:
        """Give the order over these problems."""
        rate_P = [1.0 - each for each in difficulties(problems, "pass_rate")]
        bin_P = [math.floor(rate * self.bins + 0.5) for rate in rate_P]
        centre_L = [
            each / self.bins for each in sorted(set(telling(bin_P, self.kind, "pass_rate")))
        ]
        uses = max(1, math.ceil(horizon.draws * horizon.groups / max(1, len(problems))))
        level_P = numbered(bin_P)
        schedule = Schedule(level_P, centre_L, lambda done: self.scores(centre_L, done))
        return ScheduledOrder(schedule, Levels(level_P, horizon.seed, uses), horizon)

    def scores(self, centre_L: Sequence[float], done: float) -> list[float]:
        """Logarithms of the weights when this share of the run is done."""
        mean = self.start + (self.end - self.start) * done
        return [-((centre - mean) ** 2) / (2 * self.width**2) for centre in centre_L]
