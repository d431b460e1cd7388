"""N answers, independent of each other: what best-of-N and votes choose from."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Play, Strategy
from longstep.scaling.votes import SameAnswer


class IndependentSamples(Strategy):
    """Draws n whole answers; every smaller number of them is a smaller budget, estimated without bias from these.

    Attributes:
        n: answers.
    """

    exchangeable: ClassVar[bool] = True
    kind: Literal["samples"] = "samples"
    n: int = Field(default=16, ge=1)

    def play(self, same: SameAnswer) -> Play:
        """All at once."""
        yield [Extend(ROOT, self.n)]

    @property
    def rows(self) -> int:
        """All."""
        return self.n

    def answers(self, mean: float) -> float:
        """All."""
        return self.n
