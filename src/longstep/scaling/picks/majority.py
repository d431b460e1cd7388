"""The most frequent answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.scaling.picks.ballot import Ballot, Subsets
from longstep.scaling.picks.base import Vote

if TYPE_CHECKING:
    from longstep.scaling.picks.ballot import Floats


class MajorityVote(Vote):
    """Self-consistency (Wang et al. 2022, arXiv 2203.11171): equal answers, however they are written, vote together."""

    kind: Literal["majority"] = "majority"

    def sums_SW(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """One each."""
        return subsets.counts_SW
