"""Stochastic curtailment: draw until the vote of all answers that could be drawn is all but decided."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Literal

from longstep.config import Field
from longstep.scaling.adaptive import Looking


class StochasticCurtailment(Looking):
    """Stops when the answer that leads would very likely win the vote of ``most`` answers, too.

    Adaptive consistency asks which of two answers is the more likely one, as if drawing had no end; near the end that
    draws on where the rest can hardly turn the vote. This is the predictive probability of a trial that is stopped
    early (Lan, Simon and Halperin 1982; Choi, Smith and Becker 1985), with a flat prior; measured in
    docs/scaling.md.

    Attributes:
        sure: probability that the leading answer wins the vote of ``most``.
    """

    kind: Literal["curtailed"] = "curtailed"
    sure: float = Field(default=0.975, gt=0.5, lt=1)

    def enough(self, votes: Sequence[int], drawn: int) -> bool:
        """Among the answers that are left, too."""
        first, second = sorted([*votes, 0, 0], reverse=True)[:2]
        return first > second and stays(first, second, drawn, self.most) >= self.sure


def stays(first: int, second: int, drawn: int, most: int) -> float:
    """The probability that the leading answer wins a vote of ``most``, a tie counted as half.

    The votes to come for one of the two leading answers, of the ``most - drawn`` left as large a share as so far, are
    beta-binomial: X of m for the second with P(X = x) = C(x + second, x) C(m - x + first, m - x) / C(m + first + second
    + 1, m), the flat prior updated by the votes. A third answer that overtakes both is left out.
    """
    left = most - drawn
    m = round(left * (first + second) / drawn)
    ways = [comb(x + second, x) * comb(m - x + first, m - x) for x in range(m + 1)]
    leads = [first + m - 2 * x - second for x in range(m + 1)]
    wins = sum(w * (2 if lead > 0 else lead == 0) for w, lead in zip(ways, leads, strict=True))
    return wins / (2 * comb(m + first + second + 1, m))
