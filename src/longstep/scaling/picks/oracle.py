"""A right answer, wherever there is one: the bound of all picks."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import ClassVar, Literal

import numpy as np

from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.picks.base import Pick
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer


class OraclePick(Pick):
    """Reads the key: a bound, never a method. Of n independent answers it is pass@n."""

    knows: ClassVar[bool] = True
    kind: Literal["oracle"] = "oracle"

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """Any of the right ones, else any."""
        right = [leaf.correctness == 1.0 for leaf in leaves]
        able = right if any(right) else [True] * len(leaves)
        return [each / sum(able) for each in able]

    def at(self, ballot: Ballot, n: int) -> float | None:
        """1 - C(N - c, n) / C(N, n) (Chen et al. 2021, arXiv 2107.03374, equation 1), over those that can be judged."""
        known_K = ballot.right_L[~np.isnan(ballot.right_L)]
        if ballot.trails and not len(known_K):
            return None
        n = min(n, len(known_K))
        return 1 - comb(int((known_K != 1).sum()), n) / comb(len(known_K), n)
