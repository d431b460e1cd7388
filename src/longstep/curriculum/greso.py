"""GRESO: what taught nothing the last times is skipped, by chance, before it is drawn (arXiv 2506.02177, section 4).

    keep(x) = max(p^c, 0.01)     c = how often in a row the group of x was all right, or all wrong
    p <- p - 0.01 while the share of such groups is at least its target, else p + 0.01, in [0.05, 0.95]

with a ``p`` of its own for all right and for all wrong, and a third of the target for the first, two thirds for the
second, as in the reference implementation; ``p`` moves from the second epoch on, since nothing is skipped before.

Differences from it: all right and all wrong are told by correctness of the whole group (there by a mean reward of at
least 0.98, or at most 0.11); coins are seeded by run and step (there by nobody); the counts are part of every
checkpoint (there only both ``p``). How many more to draw when groups teach nothing is the gate's to say: the paper
has a gate that drops them, without which ``greso`` only changes the odds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem

LOWEST, HIGHEST = 0.05, 0.95


class GRESO(Strict):
    """Shuffled epochs in which problems that keep teaching nothing are skipped more and more often.

    Attributes:
        target: share of groups without signal that is aimed at, a third of it all right.
        start: first ``p``, the chance to keep a problem after one group without signal.
        move: by how much both ``p`` change in a step.
        least: smallest chance to keep a problem.
    """

    kind: Literal["greso"] = "greso"
    target: float = Field(0.25, gt=0.0, lt=1.0)
    start: float = Field(0.5, ge=LOWEST, le=HIGHEST)
    move: float = Field(0.01, ge=0.0, lt=1.0)
    least: float = Field(0.01, gt=0.0, lt=1.0)

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> SkippingOrder:
        """Give the order over these problems."""
        return SkippingOrder(self, len(problems), horizon.seed)


class SkippingOrder:
    """Walks through shuffled epochs and leaves out what a coin says."""

    def __init__(self, config: GRESO, count: int, seed: int) -> None:
        """Before the first outcome nothing is skipped."""
        self.config = config
        self.p_right = self.p_wrong = config.start
        self.streak_P = [0] * count  # groups in a row that were all right, or, below 0, all wrong
        self.visits = self.skips = 0
        self._asks = StepAsks(count, seed)
        self._walk = Walk(range(count), str(seed))

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the next ``n`` that are not skipped."""
        draw = self._asks.begin(step)
        picked = [self._kept(draw) for _ in range(n)]
        return [Ask(index) for index in picked]

    def _kept(self, draw: random.Random) -> int:
        """The next that a coin keeps; after as many skips as there are problems, the next one, whatever it is."""
        index, patience = self._visited(), len(self.streak_P)
        while patience and draw.random() >= self.chance(index):
            self.skips += 1
            index, patience = self._visited(), patience - 1
        self._asks.add(index)
        return index

    def _visited(self) -> int:
        self.visits += 1
        return self._walk.next(self._asks.asked)

    def chance(self, index: int) -> float:
        """Give the chance that a problem is kept."""
        streak = self.streak_P[index]
        p = self.p_right if streak > 0 else self.p_wrong
        return max(p ** abs(streak), self.config.least)

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Count groups without signal, and aim at their share."""
        signals = [outcome.signal for outcome in outcomes]
        for outcome, signal in zip(outcomes, signals, strict=True):
            streak = self.streak_P[outcome.index]
            if signal == "mixed":
                self.streak_P[outcome.index] = 0
            elif signal == "right":
                self.streak_P[outcome.index] = max(streak, 0) + 1
            elif signal == "wrong":
                self.streak_P[outcome.index] = min(streak, 0) - 1
        scored = len(signals) - signals.count("unscorable")
        if scored and self._walk.epoch > 0:
            target = self.config.target
            self.p_right = self._moved(self.p_right, signals.count("right") / scored, target / 3)
            self.p_wrong = self._moved(
                self.p_wrong, signals.count("wrong") / scored, target * 2 / 3
            )

    def _moved(self, p: float, share: float, target: float) -> float:
        move = -self.config.move if share >= target else self.config.move
        return min(HIGHEST, max(LOWEST, p + move))

    def metrics(self) -> dict[str, float]:
        """Give both chances, the share of visits that was skipped so far, and the epochs."""
        return {
            "p_right": self.p_right,
            "p_wrong": self.p_wrong,
            "skipped": self.skips / max(1, self.visits),
            "epochs": self._walk.epochs,
        }

    def state(self) -> dict[str, Any]:
        """Give counts, chances and the place in the row."""
        return {
            "p_right": self.p_right,
            "p_wrong": self.p_wrong,
            "streaks": [[i, streak] for i, streak in enumerate(self.streak_P) if streak],
            "visits": self.visits,
            "skips": self.skips,
            "walk": self._walk.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.p_right, self.p_wrong = state["p_right"], state["p_wrong"]
        self.visits, self.skips = state["visits"], state["skips"]
        self.streak_P = [0] * len(self.streak_P)
        for index, streak in state["streaks"]:
            self.streak_P[index] = streak
        self._walk.restore(state["walk"])
