"""The policy has become sure of nearly every token. The bound is the entropy that Skywork-OR1 steers towards (0.2)."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.until.base import History, Smoothed
from longstep.curriculum.until.series import averages_N, known


class Entropy(Smoothed):
    """The average entropy of what the policy draws has fallen below a bound.

    Attributes:
        below: nats per token.
    """

    kind: Literal["entropy"] = "entropy"
    below: float = Field(0.2, gt=0)

    def needs(self) -> frozenset[str]:
        """The log-probabilities of the draw."""
        return frozenset({"behaviour"})

    def reason(self, history: History) -> str | None:
        """When the average is below."""
        entropies = averages_N(known(each.entropy for each in history), self.window)
        if len(entropies) < self.fewest() or entropies[-1] >= self.below:
            return None
        return f"the average entropy is {entropies[-1]:.3g} nats per token, below {self.below:g}"
