"""What a pick is: which of a problem's answers is given, decided from the stored tree alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from longstep.config import Strict
from longstep.scaling.picks.ballot import Ballot, Subsets
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer

if TYPE_CHECKING:
    from longstep.scaling.picks.ballot import Floats

#: What picks score by unless a recipe says otherwise; tables do not name it.
USUAL = LogProbScorer()


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
        return " by ".join([self.called, *(s.name for s in self.scorers() if s != USUAL)])

    @property
    def called(self) -> str:
        """Its kind, and what tells it from others of that kind beside the scorer."""
        return str(type(self).model_fields["kind"].default)

    def scorers(self) -> Iterator[AnyScorer]:
        """What scores the answers."""
        yield from ()

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """The probability that each answer is given, ties broken at random: it sums to 1, or is 0 where none is."""
        raise NotImplementedError

    def chosen_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """The same of every subset of a problem's answers, had only these been drawn; a member may be quicker."""
        rows = subsets.places_SN.tolist()
        parts = ([ballot.trails[at] for at in places] for places in rows)
        return np.array([self.pick(part, ballot.same) for part in parts], dtype=np.float64)

    def at(self, ballot: Ballot, n: int) -> float | None:
        """Expected correctness had only n of these answers been drawn, which must be exchangeable.

        Every subset of n is as likely as any other, so a mean over subsets is unbiased.
        """
        subsets = ballot.subsets(n)
        return subsets.value(self.chosen_SN(ballot, subsets))


class Counted(Pick):
    """Base of members that choose in all subsets together."""

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """The choice among all of them."""
        ballot = Ballot(leaves, same)
        return self.chosen_SN(ballot, ballot.subsets(len(leaves)))[0].tolist()

    def chosen_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """The probability that each answer of each subset is given."""
        raise NotImplementedError


class Vote(Counted):
    """Base of votes: classes of equal answers, the heaviest is given."""

    def weights_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """What the vote of each answer of each subset weighs; what stands at one without an answer is not read."""
        raise NotImplementedError

    def sums_SW(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """What the votes of each class weigh together; the first column is not read."""
        return subsets.sums_SW(self.weights_SN(ballot, subsets))

    def chosen_SN(self, ballot: Ballot, subsets: Subsets) -> Floats:
        """One of the heaviest classes, each as likely; of its answers, each as likely."""
        there_SW = subsets.counts_SW > 0
        weight_SW = np.where(there_SW, self.sums_SW(ballot, subsets), -np.inf)
        # Sums of equal weights may differ in the last bit, by their order; a product over many steps is tiny.
        best_SW = there_SW & (weight_SW >= weight_SW.max(-1, keepdims=True) * (1 - 1e-12))
        ways_SW = subsets.counts_SW * best_SW.sum(-1, keepdims=True)
        return (best_SW / np.maximum(ways_SW, 1)).ravel()[subsets.cells_SN]
