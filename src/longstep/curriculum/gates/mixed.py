"""DAPO's dynamic sampling (arXiv 2503.14476, equation 11): only groups with right and wrong answers are trained on.

    0 < right answers of a group < its size

Groups that are all right or all wrong have no advantage; other problems are drawn in their place until the batch is
full.

Differences from the reference implementation: right and wrong are told by correctness, never by a shaped reward (there
by a setting); it asks for what is missing (there for three batches at once, ``refill: whole`` is nearer to that),
carries the surplus to the next step (there it is thrown away), and a step that stays short after ``limit`` batches is
trained as ``when_short`` says (there the run dies).

Like every gate that looks at the answers it then trains on, it makes a hard problem look easier than it is: of groups
of n answers with pass rate p, those that pass have the mean ``(p - p^n) / (1 - p^n - (1-p)^n)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from longstep.curriculum.base import Horizon, Outcome, Signal
from longstep.curriculum.gates.filling import Filling, FillingGate, WhenShort


class Mixed(Filling):
    """DAPO's dynamic sampling: draws on until the batch is full of groups with right and wrong answers.

    Attributes:
        when_short: a step that stays short is trained on what is there (``train-fewer``), on refused groups too
            (``pad``, the mean is then over as many answers as ever), or is the last one (``stop``).
        hopeless: ``keep`` lets groups without a right answer pass, for a guide to mend.
    """

    kind: Literal["mixed"] = "mixed"
    when_short: WhenShort = "train-fewer"
    hopeless: Literal["drop", "keep"] = "drop"

    def drops(self) -> frozenset[Signal]:
        """What teaches nothing, unless a guide may still help."""
        return super().drops() - ({"wrong"} if self.hopeless == "keep" else set())

    def awaits(self) -> frozenset[Signal]:
        """Those without a right answer, where they are kept."""
        return frozenset({"wrong"} if self.hopeless == "keep" else ())

    def build(self, group: int, horizon: Horizon) -> MixedGate:
        """Give the gate for groups of this size."""
        return MixedGate(self, (group,), self.when_short, refused=self.drops())


@dataclass
class MixedGate(FillingGate):
    """Draws on until enough groups teach something.

    Attributes:
        refused: groups that do not pass.
    """

    refused: frozenset[Signal] = frozenset()

    def admits(self, outcome: Outcome, round: int) -> str:
        """By what the group can teach."""
        return outcome.signal if outcome.signal in self.refused else ""
