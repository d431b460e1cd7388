"""Diverse verifier tree search: greedy step by step in trees that know nothing of each other."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Play, Stepwise, best_first
from longstep.scaling.votes import SameAnswer


class DiverseTrees(Stepwise):
    """Takes the best of several next steps in each of several trees (DVTS, Beeching et al. 2024, search-and-learn).

    Attributes:
        trees: how many.
        expand: next steps that are tried in each.
    """

    kind: Literal["dvts"] = "dvts"
    trees: int = Field(default=4, ge=1)
    expand: int = Field(default=4, ge=1)

    def play(self, same: SameAnswer) -> Play:
        """A tree is done when its best step ends the answer."""
        seen = yield [self.further(ROOT, self.expand) for _ in range(self.trees)]
        for _ in range(self.rounds - 1):
            groups = [seen[at : at + self.expand] for at in range(0, len(seen), self.expand)]
            best = [best_first(group)[0] for group in groups]
            open_ = [each for each in best if not each.ended]
            if not open_:
                return
            seen = yield [self.further(each.node, self.expand) for each in open_]

    @property
    def rows(self) -> int:
        """All next steps of all trees."""
        return self.trees * self.expand
