"""Adaptive consistency: draw until the leading answer is unlikely to be overtaken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb
from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Play, Strategy
from longstep.scaling.votes import SameAnswer, classes


class Looking(Strategy):
    """Base of strategies that draw answers until a look at the votes says that more of them would change nothing.

    Attributes:
        most: answers at most.
        first: answers before the first look.
        each: answers between two looks; more of them are fewer rounds.
    """

    most: int = Field(default=32, ge=1)
    first: int = Field(default=2, ge=1)
    each: int = Field(default=1, ge=1)

    def check(self) -> Iterator[str]:
        """A vote that is never settled early."""
        if self.fewest(1) >= self.most:
            yield (
                f"most: no vote of fewer than {self.most} answers is settled by these settings; raise it, or take "
                "samples"
            )

    def enough(self, votes: Sequence[int], drawn: int) -> bool:
        """Whether these votes, the most frequent answer's first, of so many answers say so."""
        raise NotImplementedError

    def play(self, same: SameAnswer) -> Play:
        """Look after every draw."""
        answers: list[str | None] = []
        count = min(self.first, self.most)
        while count:
            answers += [seen.answer for seen in (yield [Extend(ROOT, count)])]
            if self.enough([len(found) for found in classes(answers, same)], len(answers)):
                return
            count = min(self.each, self.most - len(answers))

    @property
    def rows(self) -> int:
        """The first look needs most."""
        return max(min(self.first, self.most), self.each)

    @property
    def compares(self) -> bool:
        """Answers, though it may ask for one at a time."""
        return self.most > 1

    def answers(self, mean: float) -> float:
        """All, where no vote is settled."""
        return self.most

    def fewest(self, mean: float) -> float:
        """Until the first look that settles a vote in which all agree."""
        looks = range(self.first, self.most, self.each)
        return next((count for count in looks if self.enough([count], count)), self.most)


class AdaptiveConsistency(Looking):
    """Draws answers until a vote of them is settled with some probability (Aggarwal et al. 2023, arXiv 2305.11860).

    Attributes:
        sure: probability that the leading answer is the more likely of the two most frequent ones.
    """

    kind: Literal["adaptive"] = "adaptive"
    sure: float = Field(default=0.95, gt=0.5, lt=1)

    def enough(self, votes: Sequence[int], drawn: int) -> bool:
        """However many more could be drawn."""
        return settled(votes, self.sure)


def settled(votes: Sequence[int], sure: float) -> bool:
    """Whether the most frequent answer is more likely than the second with probability ``sure``.

    With a flat prior on the share p of the first among the two, p is Beta(a + 1, b + 1), and P(p > 1/2) is the
    probability of at most a heads in a + b + 1 throws of a coin (the paper's Beta rule, in whole numbers).
    """
    first, second = sorted([*votes, 0, 0], reverse=True)[:2]
    throws = first + second + 1
    likely = sum(comb(throws, heads) for heads in range(first + 1)) / 2**throws
    return first > second and likely >= sure
