"""The best answer in the eyes of a scorer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from longstep.scaling.picks.ballot import Ballot, Subsets
from longstep.scaling.picks.base import Counted
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer

if TYPE_CHECKING:
    from longstep.scaling.picks.ballot import Floats


class BestScore(Counted):
    """Best-of-N: the answer with the highest score; it amplifies whatever is wrong with the scorer.

    Attributes:
        scorer: what an answer is worth.
    """

    trusts: ClassVar[bool] = True
    kind: Literal["best"] = "best"
    scorer: AnyScorer = LogProbScorer()

    def scorers(self) -> Iterator[AnyScorer]:
        """The one that ranks."""
        yield self.scorer

    def chosen_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """One of the best answers; what has no answer is not given."""
        votes_SN = subsets.class_SN >= 0
        scores_SN = np.where(votes_SN, ballot.scores_SN(self.scorer, subsets), -np.inf)
        best_SN = votes_SN & (scores_SN == scores_SN.max(-1, keepdims=True))
        return best_SN / np.maximum(best_SN.sum(-1, keepdims=True), 1)

    def at(self, ballot: Ballot, n: int) -> float | None:
        """Exact, over all subsets of n, unless a score depends on the other answers of a subset.

        Where an answer cannot be judged, subsets that say nothing are left out one by one, as for every other pick.
        """
        if self.scorer.compares or not ballot.whole().judged:
            return super().at(ballot, n)
        return ballot.whole().value(self._best_of(ballot, min(n, len(ballot.trails)))[None])

    def _best_of(self, ballot: Ballot, n: int) -> Floats:
        """P(it is the best of n random ones): of N, rank r (from 0) is in C(N - r - 1, n - 1) of C(N, n) subsets."""
        scores_L, votes_V = ballot.scores_L(self.scorer), np.flatnonzero(ballot.class_L >= 0)
        _, place_V, count_U = np.unique(-scores_L[votes_V], return_inverse=True, return_counts=True)
        ends_U = np.concatenate([[0], np.cumsum(count_U)])
        ways_U = np.diff(_within(len(ballot.trails), n)[ends_U]) / np.maximum(count_U, 1)
        chosen_L = np.zeros(len(ballot.trails))
        chosen_L[votes_V] = ways_U[place_V]
        return chosen_L


@lru_cache(maxsize=64)
def _within(total: int, n: int) -> Floats:
    """P(the best of n random ones is among the first r), r from 0 to all."""
    first = [1 - comb(total - rank, n) / comb(total, n) for rank in range(total + 1)]
    return np.array(first, dtype=np.float64)
