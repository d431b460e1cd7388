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
        votes_SN = subsets.class_SN >= 0
        scores_SN = ballot.scores_SN(self.scorer, subsets)
        # What does not vote is put above all that do, so it moves no rank of theirs.
        ordered_SN = np.where(votes_SN, scores_SN, np.inf)
        order_SN = ordered_SN.argsort(-1, kind="stable")
        sorted_SN = np.take_along_axis(ordered_SN, order_SN, -1)
        rank_SN = np.empty_like(scores_SN)
        np.put_along_axis(rank_SN, order_SN, _mean_ranks(sorted_SN), -1)
        return rank_SN**self.power


def _mean_ranks(sorted_SN: Floats) -> Floats:
    """Ranks from 1 of rising values, equal ones their mean: of first and last rank of a run of them."""
    n = sorted_SN.shape[-1]
    places_N = np.arange(1, n + 1)
    new_SN = np.ones(sorted_SN.shape, dtype=bool)
    new_SN[:, 1:] = sorted_SN[:, 1:] != sorted_SN[:, :-1]
    first_SN = np.maximum.accumulate(np.where(new_SN, places_N, 0), -1)
    ends_SN = np.ones(sorted_SN.shape, dtype=bool)
    ends_SN[:, :-1] = new_SN[:, 1:]
    last_SN = np.minimum.accumulate(np.where(ends_SN, places_N, n)[:, ::-1], -1)[:, ::-1]
    return (first_SN + last_SN) / 2
