"""What every gate is: after the draw it says which groups are trained on, and whether more must be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from longstep.curriculum.base import Outcome
from longstep.curriculum.groups import DrawnGroup


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one step trains on.

    Attributes:
        groups: at most as many as wanted, each with as many rows as the recipe's ``group``.
        carried: groups kept for a later step: neither trained on yet nor discarded. By then the policy has moved on, so
            a gate that carries names ``behaviour`` as the weight of their rows, once the trainer knows it.
        short: why there are fewer groups than wanted; empty when there are enough. The missing rows are filled up with
            rows that no loss sees.
    """

    groups: Sequence[DrawnGroup]
    carried: Sequence[DrawnGroup] = ()
    short: str = ""


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

    def choose(self, groups: Sequence[DrawnGroup], wanted: int) -> Chosen:
        """Give what is trained on from the groups that passed, in the order drawn, and from what was carried."""
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
