"""The problems that somebody's score puts first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, SelectionRule
from longstep.curate.picking import left, rest, shuffled, unrated


class BestRated(SelectionRule, Strict):
    """Those with the highest number by a rater, such as a quality score in [0, 1] that stands in a column.

    In a recipe a rater is another stage's pass rate; ``longstep data select --rater quality=COLUMN`` reads a column.

    Attributes:
        rater: whose number; empty takes the problem's own pass rate.
        count: how many.
        least: below this number a problem goes, however few are left.
    """

    kind: Literal["best-rated"] = "best-rated"
    rater: str = ""
    count: int = Field(ge=1)
    least: float = Field(default=0.0, ge=0.0, le=1.0)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; equal numbers are ordered by ``seed``."""
        reasons: list[str] = []
        for each in candidates:
            rate = each.rate(self.rater)
            if rate is None:
                reasons.append(unrated(self.rater))
            else:
                low = rate < self.least
                reasons.append(f"below {self.least:.4g}: rated {rate:.4g}" if low else "")
        among = left(reasons)
        best = sorted(among, key=lambda i: self._order(candidates[i], seed))
        return rest(reasons, among, set(best[: self.count]), "not among the best rated")

    def _order(self, candidate: Candidate, seed: int) -> tuple[float, float]:
        return -(candidate.rate(self.rater) or 0.0), shuffled(candidate, seed)

    def asked(self) -> tuple[str, ...]:
        """Its rater."""
        return (self.rater,) if self.rater else ()

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, without a rater."""
        return frozenset(["pass_rate"] * (not self.rater))
