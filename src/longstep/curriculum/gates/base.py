"""What every gate is: after the draw it says which groups are trained on, and whether more must be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from longstep.config import Strict
from longstep.curriculum.base import Horizon, Outcome, Signal
from longstep.curriculum.groups import DrawnGroup, Weight


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one step trains on.

    Attributes:
        groups: at most as many as wanted, each with as many rows as the recipe's ``group``.
        carried: groups kept for a later step: neither trained on yet nor discarded. By then the policy has moved on, so
            a gate that carries names ``behaviour`` as the weight of their rows.
        short: why there are fewer groups than wanted that teach something; empty when there are enough. Rows that are
            missing are filled up with rows that no loss sees.
        ends: why the training ends after this step, with the model as it is then; empty when it goes on.
    """

    groups: Sequence[DrawnGroup]
    carried: Sequence[DrawnGroup] = ()
    short: str = ""
    ends: str = ""


class Gate(Protocol):
    """Chooses among the groups of one step.

    It reads correctness, never shaped rewards: with a length reward no group would ever be without variance. Every
    process decides on the same, gathered groups, so nothing here may depend on which process it is.
    """

    @property
    def rounds(self) -> tuple[int, ...]:
        """Samples of each round: ``(8,)`` draws whole groups at once, ``(4, 12)`` looks after 4."""
        ...

    def admits(self, outcome: Outcome, round: int) -> str:
        """Give ``""``, or the reason why a group is drawn no further, after the last round: not trained on.

        Asked once for each group and round, in the order drawn; ``round`` counts from 0.
        """
        ...

    def more(self, kept: int, wanted: int, drawn: int) -> int:
        """How many problems to ask for: all of them before the first draw, then the exact need; 0 ends the drawing.

        Args:
            kept: groups of this step that passed every round so far.
            wanted: groups to train on.
            drawn: groups of this step drawn so far.
        """
        ...

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Give what is trained on, also from what was carried.

        Args:
            groups: those that passed, in the order drawn.
            refused: the others of this step, as far as they were drawn.
            wanted: groups to train on.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Give numbers for each metric line."""
        ...

    def state(self) -> dict[str, Any]:
        """Give everything that changes, carried groups too, ready for JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


class GateConfig(Strict):
    """Settings of a gate, and what a stage asks of them before anything is spent."""

    def build(self, group: int, horizon: Horizon) -> Gate:
        """Give the gate for groups of this size."""
        raise NotImplementedError

    def fits(self, group: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when groups of this size are trained on."""
        yield from ()

    def lasts(self, steps: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when a training makes so many optimiser steps."""
        yield from ()

    def drops(self) -> frozenset[Signal]:
        """Groups that never pass, so that no guide can mend them."""
        return frozenset()

    def awaits(self) -> frozenset[Signal]:
        """Groups that teach nothing and pass for a guide to mend."""
        return frozenset()

    def weighs(self) -> frozenset[Weight]:
        """How rows may be weighted that it chooses."""
        return frozenset({"own"})

    def answers(self, group: int) -> int:
        """Answers drawn for each group that is trained on, when none is refused."""
        return group

    def foretold(self) -> str:
        """What a plan cannot know of the draws, in a sentence, or nothing."""
        return ""
