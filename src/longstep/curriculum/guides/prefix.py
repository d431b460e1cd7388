"""A forced beginning: where all answers are wrong, the policy goes on from the first part of the expert's solution.

The beginning is part of the answer and no loss sees it, so what is trained on was drawn by the policy under just what
stands before it: its ratio is 1 at the first update, nothing has to be corrected. What it learns is to end what
somebody else began; it is never trained to begin so. (After the masked prefixes of arXiv 2605.05112; searches for the
shortest beginning that helps are not here.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field
from longstep.curriculum.base import Horizon
from longstep.curriculum.guides.base import Guidance
from longstep.curriculum.guides.taking import Asking, TakingGuide
from longstep.types import Problem


class Prefix(Asking):
    """Answers that go on from the first part of the worked solution; a right one replaces a wrong one.

    Attributes:
        share: of the solution's characters; cut back to the end of a line or a word where there is one.
    """

    kind: Literal["prefix"] = "prefix"
    share: float = Field(default=0.5, gt=0, lt=1)

    def wants(self) -> frozenset[str]:
        """What it begins with."""
        return frozenset({"solution"})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Beginning:
        """Give the guide for these problems."""
        return Beginning(self, problems)


class Beginning(TakingGuide):
    """Forces the first part of the solution."""

    def __init__(self, config: Prefix, problems: Sequence[Problem]) -> None:
        """Start with nobody helped."""
        super().__init__(problems, config.samples, config.replaced, "own")
        self.share, self.baseline = config.share, config.baseline

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """The beginning, if the solution is long enough to have one."""
        forced = beginning(problem.solution or "", self.share)
        return Guidance(forced=forced) if forced else None


def beginning(solution: str, share: float) -> str:
    """The first part of the thought in a solution, a whole line or word at the end if there is one."""
    thought = solution.partition("</think>")[0].strip().removeprefix("<think>")
    part = thought[: int(share * len(thought))]
    for end in ("\n", " "):
        if end in part.strip():
            return (
                part[: part.rstrip().rindex(end) + 1]
                if not thought[len(part) :].startswith(end)
                else part
            )
    return part
