"""Polaris: groups without signal are replaced by repetitions of those with one; nothing more is drawn.

The batch keeps its size and no rollout is wasted on a refill, but it holds fewer groups than it seems: with half of the
groups replaced, the others count twice. ``effective_groups`` counts each once, and the metric ``repeated`` says how
many stand for others.

Differences from the reference implementation: repetitions go round in the order drawn (there by chance); when fewer
than ``least`` of the groups have signal, the step trains on those alone and says so (there the optimiser step is
skipped).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal

from longstep.config import Field
from longstep.curriculum.base import Horizon, Outcome, Signal
from longstep.curriculum.gates.base import Chosen, GateConfig
from longstep.curriculum.groups import DrawnGroup


class Replace(GateConfig):
    """Polaris: groups with right and wrong answers also stand in the places of the others; draws once.

    Attributes:
        least: share of groups with signal below which none is repeated.
    """

    kind: Literal["replace"] = "replace"
    least: float = Field(default=1 / 3, ge=0, le=1)

    def drops(self) -> frozenset[Signal]:
        """What teaches nothing."""
        return frozenset({"right", "wrong", "unscorable"})

    def build(self, group: int, horizon: Horizon) -> RepeatingGate:
        """Give the gate for groups of this size."""
        return RepeatingGate(self.least, (group,))


@dataclass
class RepeatingGate:
    """Draws once, and repeats what teaches something.

    Attributes:
        least: share of groups with signal below which none is repeated.
        rounds: samples of each round.
        repeated: groups of the last step that stood for others.
    """

    least: float
    rounds: tuple[int, ...]
    repeated: int = 0

    def admits(self, outcome: Outcome, round: int) -> str:
        """Those with right and wrong answers."""
        return "" if outcome.signal == "mixed" else outcome.signal

    def more(self, kept: int, wanted: int, drawn: int) -> int:
        """Ask once."""
        return wanted - drawn

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Go round those that passed until the batch is full."""
        self.repeated = 0
        if not groups or len(groups) < self.least * wanted:
            return Chosen(
                groups,
                short=f"{len(groups)} of {wanted} groups have right and wrong answers, too few to be repeated",
            )
        self.repeated = wanted - len(groups)
        return Chosen([*islice(cycle(groups), wanted)])

    def metrics(self) -> dict[str, float]:
        """How many places were filled by repetitions."""
        return {"repeated": float(self.repeated)}

    def state(self) -> dict[str, Any]:
        """Nothing is kept from step to step."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""
