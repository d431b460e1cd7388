"""A vote of scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from longstep.scaling.picks.ballot import Ballot, Subsets
from longstep.scaling.picks.base import Vote
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer

if TYPE_CHECKING:
    from longstep.scaling.picks.ballot import Floats


class WeightedVote(Vote):
    """A majority in which each answer weighs what a scorer gives it; a bad scorer harms it least.

    Attributes:
        scorer: what an answer weighs.
    """

    kind: Literal["weighted"] = "weighted"
    scorer: AnyScorer = LogProbScorer()

    def scorers(self) -> Iterator[AnyScorer]:
        """The one that weighs."""
        yield self.scorer

    def weights_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """By score."""
        return ballot.weights_SN(self.scorer, subsets)
