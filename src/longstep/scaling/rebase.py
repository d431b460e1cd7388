"""REBASE: a fixed number of paths, shared out among the steps by their scores."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp
from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Play, Stepwise
from longstep.scaling.votes import SameAnswer


class Rebase(Stepwise):
    """Shares n next steps among all paths by a softmax of their scores (Wu et al. 2024, arXiv 2408.00724, section 3.2).

    Attributes:
        n: paths; each that is over leaves one fewer to share.
        temperature: of the softmax: the higher, the more even.
    """

    kind: Literal["rebase"] = "rebase"
    n: int = Field(default=16, ge=1)
    temperature: float = Field(default=0.2, gt=0)

    def play(self, same: SameAnswer) -> Play:
        """Step by step until all paths are over."""
        seen = yield [self.further(ROOT, self.n)]
        left = self.n
        for _ in range(self.rounds - 1):
            left -= sum(each.ended for each in seen)
            open_ = [each for each in seen if not each.ended]
            if not open_:
                return
            shared = shares([each.score for each in open_], left, self.temperature)
            pairs = zip(open_, shared, strict=True)
            seen = yield [self.further(each.node, share) for each, share in pairs if share]

    @property
    def rows(self) -> int:
        """All paths."""
        return self.n


def shares(scores: Sequence[float], width: int, temperature: float) -> list[int]:
    """Share ``width`` among paths by a softmax of their scores; the shares sum to it.

    The best path is served first: each gets what is left times its part of the weight that is left, rounded up, so the
    worst get nothing. Rounding each share of the whole width up, as the paper writes it, would give more than there is.
    """
    top = max(scores)
    weights = [exp((score - top) / temperature) for score in scores]
    left = sum(weights)
    found = [0] * len(scores)
    for place in sorted(range(len(scores)), key=lambda at: (-scores[at], at)):
        if width == 0:
            break
        # What rounding errors add to a whole number is not rounded up.
        found[place] = min(width, ceil(width * weights[place] / left - 1e-9)) if left else width
        width -= found[place]
        left -= weights[place]
    return found
