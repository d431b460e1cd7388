"""E2H-G: levels of difficulty by a Gaussian that moves up and lets the easy ones fade (arXiv 2506.06632, section 3).

    centre(t) = (t / T)^exponent (K - 1)
    share(k)  ~ exp(-(k - centre)^2 / (2 width^2))      k = 0 (easiest) .. K - 1

Exponent and width are the defaults of the reference implementation, as are its four levels. Differences from it: the
last step stands at the hardest level (there one step short of it), levels are cut by rank from a number instead of
coming with the data, fractions of a problem are drawn by chance instead of each problem alone, and a run that is
resumed goes on (there it starts the schedule again).
"""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.scheduled import ByLevels


class E2HGaussian(ByLevels):
    """From easy to hard by a moving Gaussian over levels of difficulty.

    Attributes:
        exponent: below 1 the centre leaves the easy levels fast, above 1 slowly.
        width: standard deviation, in levels.
    """

    kind: Literal["e2h-gaussian"] = "e2h-gaussian"
    exponent: float = Field(0.5, gt=0.0)
    width: float = Field(0.5, gt=0.0)

    def scores(self, count: int, done: float) -> list[float]:
        """Logarithms of the weights of so many levels when this share of the run is done."""
        centre = done**self.exponent * (count - 1)
        return [-((level - centre) ** 2) / (2 * self.width**2) for level in range(count)]
