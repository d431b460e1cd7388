"""Problems whose pass rate lies in a band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.curate.candidates import Candidate, SelectionRule
from longstep.curate.difficulty import Band
from longstep.curate.picking import unrated


class ByRater(SelectionRule, Band):
    """What rules by a band share.

    Attributes:
        rater: whose pass rate; empty takes the problem's own.
    """

    rater: str = ""

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; ``seed`` decides nothing."""
        return [band_reason(self, each.rate(self.rater), self.rater) for each in candidates]

    def asked(self) -> tuple[str, ...]:
        """Its rater."""
        return (self.rater,) if self.rater else ()

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, without a rater."""
        return frozenset(["pass_rate"] * (not self.rater))


class InBand(ByRater):
    """Problems whose pass rate lies in a band."""

    kind: Literal["band"] = "band"


def band_reason(band: Band, rate: float | None, rater: str) -> str:
    """Why a pass rate is outside of a band, or nothing."""
    if rate is None:
        return unrated(rater)
    by = f" by {rater}" if rater else ""
    if not band.min <= rate <= band.max:
        side = "above" if rate > band.max else "below"
        return f"{side} the band: pass rate {rate:.4g}{by}"
    if band.mixed and rate in (0.0, 1.0):
        return f"not mixed: pass rate {rate:.4g}{by}"
    return ""
