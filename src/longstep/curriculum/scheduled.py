"""Orders that deal from levels by a schedule over the run: what ``gaussian`` and both of ``e2h`` build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome, difficulties, telling
from longstep.curriculum.levels import Levels, ranked, softmax
from longstep.curriculum.walk import StepAsks
from longstep.types import Problem


@dataclass(frozen=True)
class Schedule:
    """Which levels there are and how much of each at which time.

    Attributes:
        level_P: each problem's level.
        centre_L: where each level stands on the scale that the schedule moves along.
        scores: from the share of the run that is done to the logarithm of each level's weight.
    """

    level_P: Sequence[int]
    centre_L: Sequence[float]
    scores: Callable[[float], Sequence[float]]


class ScheduledOrder:
    """Deals what the schedule says for the step, whatever the outcomes were."""

    def __init__(self, schedule: Schedule, levels: Levels, horizon: Horizon) -> None:
        """Before the first step."""
        self.schedule, self.levels, self.horizon = schedule, levels, horizon
        self.target = self.picked = 0.0
        self._asks = StepAsks(len(schedule.level_P), horizon.seed)

    def pick(self, n: int, step: int) -> list[Ask]:
        """Deal ``n`` problems; a refill is dealt by the same weights from what was not asked in the step."""
        draw = self._asks.begin(step)
        score_L = self.schedule.scores(self.horizon.done(step))
        found = self.levels.deal(n, score_L, self._asks, draw)
        centre_L = self.schedule.centre_L
        share_L = softmax(score_L, [1] * len(centre_L))
        self.target = sum(c * share for c, share in zip(centre_L, share_L, strict=True))
        self.picked = sum(centre_L[self.schedule.level_P[index]] for index in found) / max(1, n)
        return [Ask(index) for index in found]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn nothing: the schedule is fixed."""

    def metrics(self) -> dict[str, float]:
        """Give the mean that the schedule's weights ask for, and that of the last pick."""
        return {"target": self.target, "picked": self.picked}

    def state(self) -> dict[str, Any]:
        """Give the place in each level; the weights need only the step."""
        return {**self.levels.state(), "target": self.target, "picked": self.picked}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.levels.restore(state)
        self.target, self.picked = state["target"], state["picked"]


class ByLevels(Strict):
    """What both orders of E2H share: levels of difficulty by rank, dealt by a schedule.

    Attributes:
        by: the difficulty: the source's own, or one minus the pass rate.
        levels: how many; equally hard problems share one.
    """

    by: Literal["difficulty", "pass_rate"] = "difficulty"
    levels: int = Field(4, ge=2)

    def wants(self) -> frozenset[str]:
        """What it looks at in problems."""
        return frozenset({self.by})

    def scores(self, count: int, done: float) -> list[float]:
        """Logarithms of the weights of so many levels when this share of the run is done."""
        raise NotImplementedError

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> ScheduledOrder:
        """Give the order over these problems."""
        level_P = ranked(difficulties(problems, self.by), self.levels)
        count = len(set(telling(level_P, type(self).model_fields["kind"].default, self.by)))
        schedule = Schedule(level_P, range(count), lambda done: self.scores(count, done))
        return ScheduledOrder(schedule, Levels(level_P, horizon.seed), horizon)
