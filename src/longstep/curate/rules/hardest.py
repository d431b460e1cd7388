"""The problems that are solved least often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, SelectionRule
from longstep.curate.picking import rest, shuffled, unrated


class Hardest(SelectionRule, Strict):
    """The problems that are solved least often, ties at random.

    Attributes:
        rater: whose pass rate; empty takes the problem's own.
        count: how many.
        never_solved: ``drop`` leaves out what nobody solved: half of it has a broken key (Light-R1, section 4).
    """

    kind: Literal["hardest"] = "hardest"
    rater: str = ""
    count: int = Field(ge=1)
    never_solved: Literal["drop", "keep"] = "drop"

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        reasons = []
        for each in candidates:
            rate = each.rate(self.rater)
            if rate is None:
                reasons.append(unrated(self.rater))
            else:
                reasons.append("never solved" if rate == 0 and self.never_solved == "drop" else "")
        left = [index for index, reason in enumerate(reasons) if not reason]
        left.sort(key=lambda i: (candidates[i].rate(self.rater), shuffled(candidates[i], seed)))
        return rest(reasons, left, set(left[: self.count]), "not among the hardest")

    def asked(self) -> tuple[str, ...]:
        """Its rater."""
        return (self.rater,) if self.rater else ()

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, without a rater."""
        return frozenset(["pass_rate"] * (not self.rater))
