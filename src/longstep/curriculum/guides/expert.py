"""LUFFY (arXiv 2504.14945): a worked solution stands among the policy's own answers as if it had been drawn.

It costs no draw and is always right. Nobody knows how likely its author found it, so its tokens are weighted by LUFFY's
shaping (``losses/shaped.py``) or, with ``weight: own``, by the policy's own ratio, which is 1 at the first update and
close to supervised learning. The paper puts one such row into every group (``when: always``); a group without a right
answer is where it is the only signal.

Differences from the reference implementation: how tokens are averaged and rewards are scaled is the algorithm's to say
(there no division by length or spread), and there is no entropy bonus.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.curriculum.base import Horizon, Outcome, Signal
from longstep.curriculum.groups import Weight
from longstep.curriculum.guides.base import Guidance
from longstep.curriculum.guides.taking import Taking, TakingGuide
from longstep.types import Problem


class Expert(Taking):
    """LUFFY: the problem's worked solution takes the place of a wrong answer.

    Attributes:
        when: where all answers are ``wrong``, or ``always``.
        weight: of its tokens: ``shaped``, or ``own``.
    """

    kind: Literal["expert"] = "expert"
    when: Literal["wrong", "always"] = "wrong"
    weight: Literal["shaped", "own"] = "shaped"

    def wants(self) -> frozenset[str]:
        """What it puts in."""
        return frozenset({"solution"})

    def mends(self) -> frozenset[Signal]:
        """With ``always`` it has something to do in every group."""
        return super().mends() if self.when == "wrong" else frozenset()

    def weighs(self) -> frozenset[Weight]:
        """As named."""
        return frozenset({self.weight})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Telling:
        """Give the guide for these problems."""
        return Telling(self.when, problems, self.weight)


class Telling(TakingGuide):
    """Gives the worked solution."""

    def __init__(self, when: str, problems: Sequence[Problem], weight: Weight) -> None:
        """Start with nobody helped."""
        super().__init__(problems, 1, 1, weight)
        self.when = when

    def wanted(self, outcome: Outcome) -> int:
        """One, where it is called for."""
        return 1 if self.when == "always" else super().wanted(outcome)

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """The solution, if there is one."""
        return Guidance(given=problem.solution) if problem.solution else None
