"""One problem's answers as arrays, made once and read by every pick at every smaller budget of them.

Which answers are one answer is asked of the verifier once, over all of them, and every subset is counted in these
classes. Equality by a verifier need not be transitive, so classes that a subset made for itself could differ from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from longstep.scaling.scorers import AnyScorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer, class_of_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: Random subsets of the answers that stand for a smaller budget, at least, where no formula does.
SUBSETS = 50


@dataclass(frozen=True)
class Subsets:
    """Subsets of n answers.

    Attributes:
        places_SN: which answers.
        class_SN: of each, the class; -1 without an answer.
        right_SN: of each, whether it is right; NaN where nobody can say.
        cells_SN: of each, the place of its subset and class in a flat table [S, 1 + C]; its first column is of answers
            that are none.
        counts_SW: answers of each class, 0 in the first column.
        judged: of every answer somebody can say whether it is right.
    """

    places_SN: Ints
    class_SN: Ints
    right_SN: Floats
    cells_SN: Ints
    counts_SW: Floats
    judged: bool

    def sums_SW(self, weights_SN: Floats) -> Floats:
        """What the answers of each class weigh together; the first column means nothing."""
        shape = self.counts_SW.shape
        cells, weights = self.cells_SN.ravel(), weights_SN.ravel()
        flat = np.bincount(cells, weights, minlength=shape[0] * shape[1])
        return flat.astype(np.float64, copy=False).reshape(shape)

    def value(self, chosen_SN: Floats) -> float | None:
        """Mean expected correctness of choices; what gives no answer is wrong, ``None`` where nobody can say.

        A verdict that says nothing about the model is left out: the others share its probability.
        """
        if self.judged:
            right_S = (chosen_SN * self.right_SN).sum(-1)
            return round(float(right_S.sum()) / len(right_S), 12)
        unknown_SN = np.isnan(self.right_SN)
        judged_S = 1 - (chosen_SN * unknown_SN).sum(-1)
        right_S = (chosen_SN * np.nan_to_num(self.right_SN)).sum(-1)
        known_S = (judged_S > 1e-9) & ~unknown_SN.all(-1)
        if not known_S.any():
            return None
        # Thirds do not sum to 1 to the last bit, and two picks that give the same must not seem to differ.
        return round(float((right_S[known_S] / judged_S[known_S]).mean()), 12)


class Ballot:
    """The answers of one problem.

    Attributes:
        trails: the answers, in the order they were drawn.
        same: whether two answers are one.
        class_L: of each, the class of equal answers; -1 without an answer.
        right_L: of each, whether it is right; NaN where nobody can say.
    """

    def __init__(
        self,
        trails: Sequence[Trail],
        same: SameAnswer,
        seed: str = "",
        known: Sequence[int] | None = None,
    ) -> None:
        """Ask which answers are one, unless their classes are ``known``; ``seed`` names the random subsets."""
        self.trails, self.same = trails, same
        if known is None:
            known = class_of_each([trail.answer for trail in trails], same)
        self.class_L = np.array(known, dtype=np.int64)
        found = [trail.correctness for trail in trails]
        self.right_L = np.array([np.nan if right is None else right for right in found])
        self._seed, self._wide = seed, 2 + int(self.class_L.max(initial=-1))
        self._scores: dict[AnyScorer, Floats] = {}
        self._weights: dict[AnyScorer, Floats] = {}
        self._orders: dict[AnyScorer, tuple[Ints, int]] = {}
        self._subsets: dict[int, Subsets] = {}

    def scores_L(self, scorer: AnyScorer) -> Floats:
        """Scores of all answers, asked for once."""
        if scorer not in self._scores:
            self._scores[scorer] = np.array(scorer.score(self.trails), dtype=np.float64)
        return self._scores[scorer]

    def scores_SN(self, scorer: AnyScorer, subsets: Subsets) -> Floats:
        """Scores of the answers of subsets; those that compare answers know of no others than a subset has."""
        if scorer.compares:
            scores_SW = scorer.among_SW(subsets.counts_SW, subsets.places_SN.shape[-1])
            return scores_SW.ravel()[subsets.cells_SN]
        return self.scores_L(scorer)[subsets.places_SN]

    def weights_SN(self, scorer: AnyScorer, subsets: Subsets) -> Floats:
        """What these scores are worth in a weighted vote."""
        if scorer.compares:
            scores_SW = scorer.among_SW(subsets.counts_SW, subsets.places_SN.shape[-1])
            return weighed(scorer, scores_SW).ravel()[subsets.cells_SN]
        if scorer not in self._weights:
            self._weights[scorer] = weighed(scorer, self.scores_L(scorer))
        return self._weights[scorer][subsets.places_SN]

    def order_SN(self, scorer: AnyScorer, subsets: Subsets) -> tuple[Ints, int]:
        """The place of each answer's score among all that differ, and how many these are."""
        if scorer.compares:
            values_U, place = np.unique(self.scores_SN(scorer, subsets), return_inverse=True)
            return place.reshape(subsets.places_SN.shape), len(values_U)
        if scorer not in self._orders:
            values_U, place_L = np.unique(self.scores_L(scorer), return_inverse=True)
            self._orders[scorer] = place_L, len(values_U)
        place_L, count = self._orders[scorer]
        return place_L[subsets.places_SN], count

    def subsets(self, n: int) -> Subsets:
        """Subsets of n answers, each as likely as any other; all of them where they are few."""
        n = min(n, len(self.trails))
        if n not in self._subsets:
            self._subsets[n] = self.part(_places(len(self.trails), n, self._seed))
        return self._subsets[n]

    def whole(self) -> Subsets:
        """All answers, as the one subset that holds them."""
        return self.subsets(len(self.trails))

    def part(self, places_SN: Ints) -> Subsets:
        """These subsets."""
        class_SN, sets, wide = self.class_L[places_SN], len(places_SN), self._wide
        cells_SN = class_SN + (np.arange(sets)[:, None] * wide + 1)
        flat = np.bincount(cells_SN.ravel(), minlength=sets * wide)
        counts_SW = flat.astype(np.float64).reshape(sets, wide)
        counts_SW[:, 0] = 0
        right_SN = self.right_L[places_SN]
        judged = not bool(np.isnan(right_SN).any())
        return Subsets(places_SN, class_SN, right_SN, cells_SN, counts_SW, judged)


def weighed(scorer: AnyScorer, scores: Floats) -> Floats:
    """The weight of every score; equal ones are asked for once."""
    values_U, place = np.unique(scores, return_inverse=True)
    weight_U = np.array([scorer.weight(float(value)) for value in values_U], dtype=np.float64)
    return weight_U[place.reshape(scores.shape)]


@lru_cache(maxsize=64)
def _all_places(length: int, n: int) -> Ints:
    return np.array(list(combinations(range(length), n)), dtype=np.int64).reshape(-1, n)


def _places(length: int, n: int, seed: str) -> Ints:
    """Subsets of n of so many places, shape [S, n].

    Random ones are the first n of random orders and of all rotations of these, so every place stands in as many of
    them as any other: one answer of N is averaged without an error, and all subsets of one seed are nested.
    """
    if comb(length, n) <= max(SUBSETS, length):
        return _all_places(length, n)
    digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "little"))
    orders_RL = rng.random((-(-SUBSETS // length), length)).argsort(-1, kind="stable")
    turns_LN = (np.arange(length)[:, None] + np.arange(n)) % length
    return np.sort(orders_RL[:, turns_LN].reshape(-1, n), axis=-1)
