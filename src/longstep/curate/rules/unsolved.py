"""What no rater solves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, SelectionRule
from longstep.curate.picking import never


class Unsolved(SelectionRule, Strict):
    """s1's test of difficulty: what any of the raters has ever solved goes (arXiv 2501.19393, section 2.2).

    The paper asks Qwen2.5-7B and 32B once each.

    Attributes:
        raters: none of these may ever have solved it; the empty name is the problem's own pass rate.
    """

    kind: Literal["unsolved"] = "unsolved"
    raters: tuple[str, ...] = Field(default=("",), min_length=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; ``seed`` decides nothing."""
        return [
            next(filter(None, (never(each, rater) for rater in self.raters)), "")
            for each in candidates
        ]

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, where that is asked for."""
        return frozenset(["pass_rate"] * ("" in self.raters))

    def asked(self) -> tuple[str, ...]:
        """Those that may never have solved it."""
        return tuple(filter(None, self.raters))
