"""What a pick is: which of a problem's answers is given, decided from the stored tree alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from math import comb
from typing import ClassVar

from longstep.config import Strict
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer, classes

#: What picks score by unless a recipe says otherwise; tables do not name it.
USUAL = LogProbScorer()
#: Random subsets of the answers that stand for a smaller budget, where no formula does.
SUBSETS = 50


class Pick(Strict):
    """Base of all members."""

    #: It knows the key: a bound, never a method.
    knows: ClassVar[bool] = False
    #: More answers may make it better; what does not is worth the tokens of one.
    chooses: ClassVar[bool] = True
    #: A scorer alone decides, so that a bad one does harm.
    trusts: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What it is called in tables: its kind, and its scorer where that is not the usual one."""
        kind = str(type(self).model_fields["kind"].default)
        return " by ".join([kind, *(s.name for s in self.scorers() if s != USUAL)])

    def scorers(self) -> Iterator[AnyScorer]:
        """What scores the answers."""
        yield from ()

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """The probability that each answer is given, ties broken at random: it sums to 1, or is 0 where none is."""
        raise NotImplementedError

    def at(self, leaves: Sequence[Trail], n: int, same: SameAnswer, seed: str) -> float | None:
        """Expected correctness had only n of these answers been drawn, which must be exchangeable.

        Every subset of n is as likely as any other, so a mean over subsets is unbiased: over all of them where they
        are few, else over random ones.
        """
        if n >= len(leaves):
            return expected(self.pick(leaves, same), leaves)
        subsets: Iterable[Sequence[int]] = combinations(range(len(leaves)), n)
        if comb(len(leaves), n) > SUBSETS:
            rng = random.Random(seed)
            subsets = (sorted(rng.sample(range(len(leaves)), n)) for _ in range(SUBSETS))
        parts = ([leaves[at] for at in places] for places in subsets)
        values = [expected(self.pick(some, same), some) for some in parts]
        found = [value for value in values if value is not None]
        return round(sum(found) / len(found), 12) if found else None


class Vote(Pick):
    """Base of votes: classes of equal answers, the heaviest is given."""

    def weights(self, leaves: Sequence[Trail]) -> list[float]:
        """What the vote of each answer weighs; all of them have one."""
        raise NotImplementedError

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """One of the heaviest classes, each as likely; of its answers, each as likely."""
        voting = [at for at, leaf in enumerate(leaves) if leaf.answer is not None]
        weights = dict(zip(voting, self.weights([leaves[at] for at in voting]), strict=True))
        groups = classes([leaf.answer for leaf in leaves], same)
        sums = [sum(weights[at] for at in group) for group in groups]
        chosen = [0.0] * len(leaves)
        if not groups:
            return chosen
        # Sums of equal weights may differ in the last bit, by their order.
        best = [g for g, total in zip(groups, sums, strict=True) if total >= max(sums) - 1e-12]
        for group in best:
            for at in group:
                chosen[at] = 1 / (len(best) * len(group))
        return chosen


def expected(chosen_L: Sequence[float], leaves: Sequence[Trail]) -> float | None:
    """Expected correctness of a choice: what gives no answer is wrong, ``None`` where nobody can say.

    A verdict that says nothing about the model is left out: the others share its probability.
    """
    pairs = [(p, leaf.correctness) for p, leaf in zip(chosen_L, leaves, strict=True) if p]
    judged = 1 - sum(p for p, right in pairs if right is None)
    nothing = bool(leaves) and all(leaf.correctness is None for leaf in leaves)
    if nothing or judged < 1e-9:
        return None
    # Thirds do not sum to 1 to the last bit, and two picks that give the same must not seem to differ.
    return round(sum(p * right for p, right in pairs if right is not None) / judged, 12)
