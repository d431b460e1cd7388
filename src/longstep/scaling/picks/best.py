"""The best answer in the eyes of a scorer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import comb
from typing import ClassVar, Literal

from longstep.scaling.picks.base import Pick, expected
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer


class BestScore(Pick):
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

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """One of the best answers; what has no answer is not given."""
        return self._best_of(leaves, len(leaves))

    def at(self, leaves: Sequence[Trail], n: int, same: SameAnswer, seed: str) -> float | None:
        """Exact: over all subsets of n."""
        return expected(self._best_of(leaves, min(n, len(leaves))), leaves)

    def _best_of(self, leaves: Sequence[Trail], n: int) -> list[float]:
        """P(it is the best of n random ones): of N, rank r (from 0) is in C(N - r - 1, n - 1) of C(N, n) subsets."""
        total = len(leaves)
        scores = self.scorer.score(leaves)
        answered = [at for at in range(total) if leaves[at].answer is not None]
        ranked = sorted(answered, key=lambda at: -scores[at])
        chosen, rank = [0.0] * total, 0
        for _, group in groupby(ranked, key=lambda at: scores[at]):
            places = list(group)
            ways = sum(comb(total - r - 1, n - 1) for r in range(rank, rank + len(places)))
            for at in places:
                chosen[at] = ways / comb(total, n) / len(places)
            rank += len(places)
        return chosen
