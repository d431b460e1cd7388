"""A vote of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from longstep.config import Field
from longstep.scaling.picks.ballot import Ballot, Subsets
from longstep.scaling.picks.base import Vote
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer

if TYPE_CHECKING:
    from longstep.scaling.picks.ballot import Floats


class BordaVote(Vote):
    """Rank r of n by score weighs ``(n - r + 1) ** power`` in a vote (Kang et al. 2025, arXiv 2502.18581, section 4).

    Answers with one score share the mean of their ranks.

    Attributes:
        scorer: what ranks the answers.
        power: 0 is the majority; a high one gives the best.
    """

    kind: Literal["borda"] = "borda"
    scorer: AnyScorer = LogProbScorer()
    power: float = Field(default=0.5, ge=0)

    @property
    def called(self) -> str:
        """With the power, where it is not the usual one."""
        usual = type(self).model_fields["power"].default
        return "borda" if self.power == usual else f"borda {self.power:g}"

    def scorers(self) -> Iterator[AnyScorer]:
        """The one that ranks."""
        yield self.scorer

    def weights_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """By rank among those of the subset that vote; the worst weighs 1."""
        place_SN, wide = ballot.order_SN(self.scorer, subsets)
        sets = len(place_SN)
        cells_SN = place_SN + np.arange(sets)[:, None] * wide
        voting = cells_SN[subsets.class_SN >= 0]
        counts_SU = np.bincount(voting, minlength=sets * wide).reshape(sets, wide)
        # Of a run of equal scores the last rank is how many are not above it; their mean, half a run less.
        rank_SU = counts_SU.cumsum(-1) - (counts_SU - 1) / 2
        return rank_SU.ravel()[cells_SN] ** self.power
