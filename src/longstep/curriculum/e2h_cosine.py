"""E2H-C: from mostly easy to mostly hard, with some of every level all the time (arXiv 2506.06632, section 3).

    share(k) ~ a (K - k) + (1 - a) (k + 1),   a = (1 + cos(pi t / T)) / 2      k = 0 (easiest) .. K - 1

as the reference implementation weighs it; its other differences from ours are those told in ``e2h_gaussian``.
"""

from __future__ import annotations

import math
from typing import Literal

from longstep.curriculum.scheduled import ByLevels


class E2HCosine(ByLevels):
    """From mostly easy to mostly hard along a cosine, no level ever left out."""

    kind: Literal["e2h-cosine"] = "e2h-cosine"

    def scores(self, count: int, done: float) -> list[float]:
        """Logarithms of the weights of so many levels when this share of the run is done."""
        easy = (1.0 + math.cos(math.pi * done)) / 2
        return [
            math.log(easy * (count - level) + (1.0 - easy) * (level + 1)) for level in range(count)
        ]
