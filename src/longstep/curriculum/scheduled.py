"""Orders that deal from levels by a schedule over the run: what ``gaussian`` and both of ``e2h`` build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from longstep.config import UserError
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.curriculum.levels import Levels, softmax
from longstep.curriculum.walk import StepAsks


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


def several(level_P: Sequence[int], kind: str, by: str) -> int:
    """How many levels there are.

    Raises:
        UserError: only one, so there is nothing to order.
    """
    count = len(set(level_P))
    if count < 2:
        raise UserError(
            f"curriculum {kind} finds all {len(level_P)} problems equally hard by {by}; name another by, rate the "
            "problems by a stage of kind sample with rate: true, or take shuffle"
        )
    return count
