"""MoPPS: a posterior of each problem's success rate picks what is solved half of the time (arXiv 2507.04632).

    a <- decay a + (1 - decay) prior + right,   b <- decay b + (1 - decay) prior + wrong        (observed problems)
    g ~ Beta(a, b) for each candidate;   batch = the B candidates with the smallest |g - target|

Candidates and decay are those of the reference's script for Countdown; its default is decay 1, and 16 candidates are
its choice for MATH. Differences: candidates are the next ones of shuffled epochs, so a refill of a step sees others;
answers that say nothing about the model count neither as right nor as wrong (there a timeout is wrong); draws are
seeded by run and step (there by nobody), and the posterior is part of every checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem


class MoPPS(Strict):
    """Thompson sampling of success rates: costs no rollout, and needs no rating.

    Attributes:
        target: success rate aimed at.
        candidates: looked at for each problem picked.
        decay: how much of an earlier posterior is kept when a problem is seen again; 1 never forgets.
        prior: right and wrong answers imagined before the first, the same number of both.
    """

    kind: Literal["mopps"] = "mopps"
    target: float = Field(0.5, gt=0.0, lt=1.0)
    candidates: int = Field(8, ge=2)
    decay: float = Field(0.5, ge=0.0, le=1.0)
    prior: float = Field(1.0, gt=0.0)

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> PosteriorSampler:
        """Give the sampler over these problems."""
        return PosteriorSampler(self, len(problems), horizon.seed)


class PosteriorSampler:
    """Remembers a posterior for each problem that was observed; the others have the prior."""

    def __init__(self, config: MoPPS, count: int, seed: int) -> None:
        """Before the first outcome."""
        self.config, self.count = config, count
        self.posterior: dict[int, tuple[float, float]] = {}
        self.picked = 0.5
        self.width = 0.0
        self._asks = StepAsks(count, seed)
        self._walk = Walk(range(count), str(seed))

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for those whose sampled success rate is nearest to the target."""
        draw = self._asks.begin(step)
        picked: list[int] = []
        while len(picked) < n:  # more than there are come again
            nearest = self._nearest(n - len(picked), draw)
            for index in nearest:
                self._asks.add(index)
            picked += nearest
        self._note(picked)
        return [Ask(index) for index in picked]

    def _nearest(self, n: int, draw: random.Random) -> list[int]:
        """Up to ``n`` of the next candidates; those not taken wait for the next epoch."""
        looked_at = set(self._asks.asked)
        distances: list[tuple[float, int]] = []
        for _ in range(min(n * self.config.candidates, self.count - len(looked_at))):
            index = self._walk.next(looked_at)
            looked_at.add(index)
            sampled = draw.betavariate(*self._of(index))
            distances.append((abs(sampled - self.config.target), index))
        return [index for _, index in sorted(distances)[:n]]

    def _of(self, index: int) -> tuple[float, float]:
        return self.posterior.get(index, (self.config.prior, self.config.prior))

    def _note(self, picked: Sequence[int]) -> None:
        """What was believed of a pick: the mean of the posterior means, and of the standard deviations."""
        beliefs = [self._of(index) for index in picked]
        self.picked = sum(a / (a + b) for a, b in beliefs) / max(1, len(beliefs))
        deviations = [(a * b / (a + b + 1)) ** 0.5 / (a + b) for a, b in beliefs]
        self.width = sum(deviations) / max(1, len(beliefs))

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Update the posterior of each group that could be scored."""
        for outcome in outcomes:
            if outcome.signal == "unscorable":
                continue
            right = sum(outcome.known_G)
            wrong = len(outcome.known_G) - right
            decay, prior = self.config.decay, self.config.prior
            a, b = self._of(outcome.index)
            fresh = (1.0 - decay) * prior
            self.posterior[outcome.index] = decay * a + fresh + right, decay * b + fresh + wrong

    def metrics(self) -> dict[str, float]:
        """Give the success rate believed of the last pick, how unsure that is, and the share of problems observed."""
        coverage = len(self.posterior) / self.count
        return {"picked": self.picked, "posterior_width": self.width, "coverage": coverage}

    def state(self) -> dict[str, Any]:
        """Give the posteriors and the place in the row of candidates."""
        return {
            "posterior": [[index, a, b] for index, (a, b) in self.posterior.items()],
            "walk": self._walk.state(),
            "picked": self.picked,
            "width": self.width,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.posterior = {index: (a, b) for index, a, b in state["posterior"]}
        self._walk.restore(state["walk"])
        self.picked, self.width = state["picked"], state["width"]
