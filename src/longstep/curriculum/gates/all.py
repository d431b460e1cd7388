"""Every group that is drawn is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from longstep.curriculum.base import Horizon, Outcome
from longstep.curriculum.gates.base import Chosen, GateConfig
from longstep.curriculum.groups import DrawnGroup


class All(GateConfig):
    """No selection after the draw: each step trains on just what it asked for."""

    kind: Literal["all"] = "all"

    def build(self, group: int, horizon: Horizon) -> OpenGate:
        """Give the gate for groups of this size."""
        return OpenGate((group,))


class OpenGate:
    """Lets every group through."""

    def __init__(self, rounds: tuple[int, ...]) -> None:
        """Draw whole groups in one round."""
        self.rounds = rounds

    def admits(self, outcome: Outcome, round: int) -> str:
        """Always."""
        return ""

    def more(self, kept: int, wanted: int, drawn: int) -> int:
        """Ask once."""
        return wanted - drawn

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Take all that passed."""
        return Chosen(groups)

    def metrics(self) -> dict[str, float]:
        """Nothing to tell."""
        return {}

    def state(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""
