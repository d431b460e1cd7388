"""Early-stopping self-consistency: stop as soon as a whole window of answers says the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Play, Strategy
from longstep.scaling.votes import SameAnswer, classes


class EarlyStopping(Strategy):
    """Draws windows of answers until all of one window agree (ESC, Li et al. 2024, arXiv 2401.10480).

    Attributes:
        most: answers at most.
        window: answers of a window.
    """

    kind: Literal["esc"] = "esc"
    most: int = Field(default=32, ge=1)
    window: int = Field(default=4, ge=1)

    def check(self) -> Iterator[str]:
        """Windows of which none can be the last one early."""
        if self.window >= self.most:
            yield f"window: {self.window} of {self.most} answers at most leave nothing to stop before; lower it"
        if self.window == 1:
            yield "window: one answer always agrees with itself, so one is drawn; raise it, or take samples with n: 1"

    def play(self, same: SameAnswer) -> Play:
        """Window by window; an answer that never came agrees with nothing."""
        drawn = 0
        while drawn < self.most:
            seen = yield [Extend(ROOT, min(self.window, self.most - drawn))]
            drawn += len(seen)
            found = classes([each.answer for each in seen], same)
            if found and len(found[0]) == self.window:
                return

    @property
    def rows(self) -> int:
        """A window."""
        return min(self.window, self.most)

    @property
    def compares(self) -> bool:
        """Answers, in windows."""
        return self.most > 1

    def answers(self, mean: float) -> float:
        """All, where no window agrees."""
        return self.most

    def fewest(self, mean: float) -> float:
        """One window, of which all agree."""
        return self.rows
