"""What gates share that draw on until the batch is full: a bound, a surplus, and what happens when it stays short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from longstep.config import Field
from longstep.curriculum.base import Outcome, Signal
from longstep.curriculum.gates.base import Chosen, GateConfig
from longstep.curriculum.groups import DrawnGroup, Weight, packed, unpacked

WhenShort = Literal["train-fewer", "pad", "stop"]


class Filling(GateConfig):
    """Settings of every gate that draws other problems in place of those it refuses.

    Attributes:
        limit: batches of problems that a step may draw; after that it stays short.
        refill: asks for ``exact`` as many problems as are missing, or for a ``whole`` batch, which takes fewer rounds
            of decoding and leaves a surplus.
        surplus: groups beyond a full batch are carried to the next step, where they come first and each token's
            probability is compared with what the sampler recorded; or dropped.
    """

    limit: int = Field(default=10, ge=1)
    refill: Literal["exact", "whole"] = "exact"
    surplus: Literal["carry", "drop"] = "carry"

    def drops(self) -> frozenset[Signal]:
        """What teaches nothing."""
        return frozenset({"right", "wrong", "unscorable"})

    def weighs(self) -> frozenset[Weight]:
        """An exact refill has no surplus."""
        carries = self.refill == "whole" and self.surplus == "carry"
        return frozenset({"own", "behaviour"} if carries else {"own"})

    def foretold(self) -> str:
        """How much it draws depends on the model."""
        return (
            "its gate draws on until the batch is full, at most "
            f"{self.limit} batches of problems a step; rollouts are estimated for one"
        )


@dataclass
class FillingGate:
    """Draws on until there are as many groups as wanted; what it lets through is the subclass's to say.

    Attributes:
        settings: bound and surplus.
        rounds: samples of each round.
        when_short: what a step does that stays short: ``train-fewer`` leaves its loss a mean over what is there;
            ``pad`` fills up with groups that were refused, so that the mean is over as many answers as ever; ``stop``
            trains on what is there and ends the training.
        carried: groups for the next step.
        shorts: steps that stayed short so far.
        asked: batches of problems that the last step drew.
    """

    settings: Filling
    rounds: tuple[int, ...]
    when_short: WhenShort
    carried: list[DrawnGroup] = field(default_factory=list)
    shorts: int = 0
    asked: float = 0.0

    def admits(self, outcome: Outcome, round: int) -> str:
        """Those with right and wrong answers."""
        return "" if outcome.signal == "mixed" else outcome.signal

    def more(self, kept: int, wanted: int, drawn: int) -> int:
        """What is missing, within the bound."""
        self.asked = drawn / wanted
        missing = wanted - kept - len(self.carried)
        if missing <= 0:
            return 0
        asked = wanted if self.settings.refill == "whole" else missing
        return max(0, min(asked, self.settings.limit * wanted - drawn))

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Carried groups first, then those of this step, in the order drawn."""
        line = [*self.carried, *groups]
        chosen, rest = line[:wanted], line[wanted:]
        self.carried = [_later(group) for group in rest] if self.settings.surplus == "carry" else []
        if len(chosen) == wanted:
            return Chosen(chosen, self.carried)
        self.shorts += 1
        short = (
            f"{len(chosen)} of {wanted} groups passed the gate, after {self.asked:g} batches of problems (limit "
            f"{self.settings.limit})"
        )
        if self.when_short == "pad":
            chosen += _padding(refused, sum(self.rounds))[: wanted - len(chosen)]
        return Chosen(chosen, self.carried, short, short if self.when_short == "stop" else "")

    def metrics(self) -> dict[str, float]:
        """Batches of problems drawn in the last step, groups carried out of it, and steps that stayed short so far."""
        return {
            "batches": self.asked,
            "carried": float(len(self.carried)),
            "short_steps": float(self.shorts),
        }

    def state(self) -> dict[str, Any]:
        """What is carried, and the count."""
        return {"carried": packed(self.carried), "shorts": self.shorts}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue with the same groups waiting."""
        self.carried, self.shorts = unpacked(state["carried"]), state["shorts"]


def _later(group: DrawnGroup) -> DrawnGroup:
    """The group as the next step may use it: drawn by a policy that is no longer the one in training."""
    return replace(group, rows=tuple(replace(row, weight="behaviour") for row in group.rows))


def _padding(refused: Sequence[DrawnGroup], size: int) -> list[DrawnGroup]:
    """Refused groups that were drawn whole; those that cannot be scored train nowhere, so they come last."""
    whole = [group for group in refused if len(group.rows) == size]
    return sorted(whole, key=lambda group: group.outcome.signal == "unscorable")
