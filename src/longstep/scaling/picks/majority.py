"""The most frequent answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.scaling.picks.base import Vote
from longstep.scaling.tree import Trail


class MajorityVote(Vote):
    """Self-consistency (Wang et al. 2022, arXiv 2203.11171): equal answers, however they are written, vote together."""

    kind: Literal["majority"] = "majority"

    def weights(self, leaves: Sequence[Trail]) -> list[float]:
        """One each."""
        return [1.0] * len(leaves)
