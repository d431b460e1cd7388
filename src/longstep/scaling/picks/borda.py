"""A vote of ranks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from longstep.config import Field
from longstep.scaling.picks.base import Vote
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail


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

    def scorers(self) -> Iterator[AnyScorer]:
        """The one that ranks."""
        yield self.scorer

    def weights(self, leaves: Sequence[Trail]) -> list[float]:
        """By rank among those that vote; the worst weighs 1."""
        scores = self.scorer.score(leaves)
        ordered = sorted(scores)
        ranks = [(bisect_left(ordered, s) + 1 + bisect_right(ordered, s)) / 2 for s in scores]
        return [rank**self.power for rank in ranks]
