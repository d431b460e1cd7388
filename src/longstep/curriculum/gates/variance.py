"""VCRL (arXiv 2509.19803): only groups whose rewards vary enough are trained on.

    v = k (n - k) / (floor(n/2) ceil(n/2))        k right of n answers that can be scored; 1 for half of each

A group passes when v is at least ``least``, from step ``after`` on when it is at least ``later``. Of 8 answers 1, 2, 3
and 4 right ones (or wrong ones) have v = .44, .75, .94 and 1.

In place of the others the curriculum is asked for other problems; the paper's memory of those with a high v is the
curriculum ``bank``. The rule and its constants were read in notes about the paper, not in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from longstep.config import Field
from longstep.curriculum.base import Horizon, Outcome, spread_of
from longstep.curriculum.gates.filling import Filling, FillingGate, WhenShort


class Variance(Filling):
    """VCRL: draws on until the batch is full of groups whose right and wrong answers are balanced enough.

    Attributes:
        least: smallest variance of a group's correctness, 1 for half right, half wrong.
        later: the same from step ``after`` on.
        after: optimiser steps with ``least``.
        when_short: as for ``mixed``.
    """

    kind: Literal["variance"] = "variance"
    least: float = Field(default=0.3, gt=0, le=1)
    later: float = Field(default=0.8, gt=0, le=1)
    after: int = Field(default=20, ge=0)
    when_short: WhenShort = "train-fewer"

    def fits(self, group: int) -> Iterator[str]:
        """Thresholds that every group with right and wrong answers reaches."""
        lowest = spread_of([1.0, *[0.0] * (group - 1)])
        if lowest >= max(self.least, self.later):
            yield (
                f"least: a right answer among {group} has variance {lowest:.2f} already, so every group with right and "
                "wrong ones passes, as with kind mixed; raise least or later, or group"
            )

    def lasts(self, steps: int) -> Iterator[str]:
        """A second threshold that was asked for and is never reached."""
        if self.after >= steps and self.model_fields_set & {"after", "later"}:
            yield (
                f"after: there are {steps} steps, so that later: {self.later} never holds; lower after, or leave it out"
            )

    def build(self, group: int, horizon: Horizon) -> VarianceGate:
        """Give the gate for groups of this size."""
        return VarianceGate(self, (group,), self.when_short, thresholds=self)


@dataclass
class VarianceGate(FillingGate):
    """Draws on until enough groups vary enough.

    Attributes:
        thresholds: how much is enough, and when.
    """

    thresholds: Variance = field(default_factory=Variance)

    def admits(self, outcome: Outcome, round: int) -> str:
        """By the variance of correctness, at the step it was drawn."""
        if outcome.signal != "mixed":
            return outcome.signal
        early = outcome.step < self.thresholds.after
        least = self.thresholds.least if early else self.thresholds.later
        return "" if spread_of(outcome.known_G) >= least else "low variance"
