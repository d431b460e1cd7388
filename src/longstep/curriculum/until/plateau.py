"""Correctness has stopped rising: when ProRL sets reference and optimiser back (2505.24864, there by hand)."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.until.base import History, Smoothed
from longstep.curriculum.until.series import averages_N, known


class Plateau(Smoothed):
    """Average correctness has reached no new best for a whole window.

    Attributes:
        gain: a best counts as new when it is higher by more than this.
    """

    kind: Literal["plateau"] = "plateau"
    gain: float = Field(0.0, ge=0, lt=1)

    def fewest(self) -> int:
        """A window that fills the averages, and one without a new best."""
        return 2 * self.window

    def reason(self, history: History) -> str | None:
        """When the best of the last window is no better than the best before it."""
        correct = averages_N(known(each.correct for each in history), self.window)
        if len(correct) < self.fewest():
            return None
        before = max(correct[self.window - 1 : -self.window])
        recent = max(correct[-self.window :])
        if recent > before + self.gain:
            return None
        return (
            f"the average share of right answers was at most {recent:.1%} in the last {self.window} batches of "
            f"rollouts, and {before:.1%} before (gain {self.gain:g})"
        )
