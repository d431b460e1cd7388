"""What every guide is: it helps with groups in which the policy alone found no right answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from longstep.config import Strict
from longstep.curriculum.base import Horizon, Outcome, Signal
from longstep.curriculum.groups import DrawnGroup, DrawnRow, Weight
from longstep.types import Problem


@dataclass(frozen=True, slots=True)
class Guidance:
    """What the policy is given for one problem; exactly one of the three.

    Attributes:
        shown: a question that tells more than the problem's own, to draw answers under.
        forced: how the answer must begin after the prompt; the policy goes on, and no loss sees the forced tokens.
        given: an answer by somebody else, whole or just its worked solution; nothing is drawn.
    """

    shown: str = ""
    forced: str = ""
    given: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out."""
        if sum(map(bool, (self.shown, self.forced, self.given))) != 1:
            raise ValueError(f"{self}: guidance is one of shown, forced and given")


class Guide(Protocol):
    """Mends the groups of one step after the gate has chosen them and the curriculum has seen them."""

    def wanted(self, outcome: Outcome) -> int:
        """How many guided answers to get for a group; 0 leaves it as it is."""
        ...

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """Say how to get ``k`` answers, or ``None`` when this problem offers no help."""
        ...

    def admit(self, group: DrawnGroup, guided: Sequence[DrawnRow]) -> DrawnGroup:
        """Replace rows of a group by guided ones that are worth it, and name their weight; the size stays.

        Guided rows come with text, verdict, origin and mask. Those not taken were drawn in vain and stay charged as
        guided.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Give numbers for each metric line."""
        ...

    def state(self) -> dict[str, Any]:
        """Give everything that changes, ready for JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


class GuideConfig(Strict):
    """Settings of a guide, and what a stage asks of them before anything is spent."""

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Guide:
        """Give the guide for these problems."""
        raise NotImplementedError

    def fits(self, group: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when groups of this size are trained on."""
        yield from ()

    def helps(self) -> bool:
        """Whether it ever does anything."""
        return True

    def mends(self) -> frozenset[Signal]:
        """Groups it is there for: a gate that drops all of these leaves it nothing to do."""
        return frozenset()

    def weighs(self) -> frozenset[Weight]:
        """How rows may be weighted that it takes."""
        return frozenset({"own"})

    def foretold(self) -> str:
        """What a plan cannot know of the draws, in a sentence, or nothing."""
        return ""
