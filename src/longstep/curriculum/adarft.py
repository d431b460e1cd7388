"""AdaRFT: a target difficulty that follows the success rate (arXiv 2504.05520, section 3).

    batch = the B problems with the smallest |d - T|
    T    <- clip(T + eta tanh(alpha (R_avg - beta)), d_min, d_max)

Differences from the paper: problems picked within the last ``cooldown`` picks wait while enough
others are left, because at a fixed T the paper's rule gives the same B problems every step (B is
1024 there and hides it); R_avg is correctness, never a reward with a KL term in it; and T moves
when the whole batch has been observed, before the next pick. The reference implementation picks
about 16 batches ahead of its own updates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import difficulties
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

    def build(self, problems: Sequence[Problem], seed: int) -> AdaRFTSampler:
        """Give the sampler over these problems."""
        return AdaRFTSampler(self, _rescaled(difficulties(problems, self.by)), seed)


def _rescaled(values: list[float]) -> list[float]:
    if not values:
        raise ValueError("a curriculum needs at least one problem")
    low, high = min(values), max(values)
    return [100.0 * (each - low) / (high - low) if high > low else 0.0 for each in values]


class AdaRFTSampler:
    """Picks nearest to the target, moves the target by what it observed since the last pick."""

    def __init__(self, config: AdaRFT, difficulty_P: list[float], seed: int) -> None:
        """Start at the first target; the seed only breaks ties between equal distances."""
        self.config, self.difficulty_P = config, difficulty_P
        self.target = config.start
        self.picks = 0
        self.last_pick: dict[int, int] = {}
        self._seen: list[float] = []
        tie_P = list(range(len(difficulty_P)))
        random.Random(seed).shuffle(tie_P)
        self._tie_P = tie_P

    def pick(self, n: int) -> list[int]:
        """Give the ``n`` problems nearest to the target; more than there are come again."""
        self._move()
        wait = int(self.config.cooldown * len(self.difficulty_P))
        picked: list[int] = []
        while len(picked) < n:
            ranked = sorted(range(len(self.difficulty_P)), key=lambda i: self._rank(i, wait))
            new = ranked[: n - len(picked)]
            for index in new:
                self.picks += 1
                self.last_pick[index] = self.picks
            picked += new
        return picked

    def _rank(self, index: int, wait: int) -> tuple[bool, float, int]:
        recent = index in self.last_pick and self.picks - self.last_pick[index] < wait
        return recent, abs(self.difficulty_P[index] - self.target), self._tie_P[index]

    def observe(self, index: int, correctness_G: list[float]) -> None:
        """Remember outcomes until the next pick; a group without any says nothing."""
        self._seen += correctness_G

    def _move(self) -> None:
        if not self._seen:
            return
        average = sum(self._seen) / len(self._seen)
        step = self.config.eta * math.tanh(self.config.alpha * (average - self.config.beta))
        self.target = min(100.0, max(0.0, self.target + step))
        self._seen = []

    def state(self) -> dict[str, Any]:
        """Give target, recency and outcomes not used yet."""
        return {
            "target": self.target,
            "picks": self.picks,
            "last_pick": [[index, at] for index, at in self.last_pick.items()],
            "seen": list(self._seen),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.target, self.picks = state["target"], state["picks"]
        self.last_pick = dict(state["last_pick"])
        self._seen = list(state["seen"])
