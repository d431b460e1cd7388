"""Beam search over steps."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Play, Stepwise, best_first
from longstep.scaling.votes import SameAnswer


class BeamSearch(Stepwise):
    """Keeps the best paths after every step and tries several next steps of each (Snell et al. 2024, arXiv 2408.03314).

    A path that is over keeps its place, so the others share fewer; it is not drawn from again. Answers that are over
    and were not among the best are answers, too: they were paid for, and a weighted vote weighs them.

    Attributes:
        keep: paths that are kept.
        expand: next steps of each.
    """

    kind: Literal["beam"] = "beam"
    keep: int = Field(default=4, ge=1)
    expand: int = Field(default=4, ge=1)

    def play(self, same: SameAnswer) -> Play:
        """Step by step."""
        seen = yield [self.further(ROOT, self.rows)]
        places = self.keep
        for _ in range(self.rounds - 1):
            best = best_first(seen)[:places]
            open_ = [each for each in best if not each.ended]
            places -= len(best) - len(open_)
            if not open_:
                return
            seen = yield [self.further(each.node, self.expand) for each in open_]

    @property
    def rows(self) -> int:
        """All next steps of all paths."""
        return self.keep * self.expand
