"""A vote of scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from longstep.scaling.picks.base import Vote
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail


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

    def weights(self, leaves: Sequence[Trail]) -> list[float]:
        """By score."""
        return [self.scorer.weight(score) for score in self.scorer.score(leaves)]
