"""The share of answers that are cut has fallen: the policy has learned to fit.

FastCuRL's first phase ended when about 10 % were cut, by hand; the window is ours.
"""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.until.base import History, Smoothed
from longstep.curriculum.until.series import averages_N, known


class Truncation(Smoothed):
    """The average share of answers cut at ``max_tokens`` has fallen below a bound.

    Attributes:
        below: the bound.
    """

    kind: Literal["truncation"] = "truncation"
    below: float = Field(0.1, gt=0, le=1)

    def reason(self, history: History) -> str | None:
        """When the average is below."""
        shares = averages_N(known(each.truncated for each in history), self.window)
        if len(shares) < self.fewest() or shares[-1] >= self.below:
            return None
        return f"the average share of cut answers is {shares[-1]:.1%}, below {self.below:.1%}"
