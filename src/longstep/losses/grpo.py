"""GRPO: every sequence weighs the same; and Light-R1's variant of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.losses.averages import SEQUENCE_MEAN, Average
from longstep.losses.clipped import ClippedLoss
from longstep.losses.group_relative import GroupRelative
from longstep.losses.penalties import K3, AnyPenalty
from longstep.losses.rewards import AnyReward, ClippedCosine


class Grpo(GroupRelative, ClippedLoss):
    """GRPO (arXiv 2402.03300, equation 3), without its KL term, which verifiable rewards do without.

    A token of a long answer weighs less than one of a short answer: long wrong answers are punished least per token,
    which DAPO and Dr. GRPO change.
    """

    average: ClassVar[Average] = SEQUENCE_MEAN
    kind: Literal["grpo"] = "grpo"


class LightR1(GroupRelative, ClippedLoss):
    """Light-R1's 14B stage (arXiv 2503.10460, section 4): k3 at 0.001, large ratios bounded.

    The paper bounds importance weights but released neither the code nor the constant: 3.0 is the
    value verl's dual clip uses, our choice. Its reward is the cosine of length, clipped.
    """

    average: ClassVar[Average] = SEQUENCE_MEAN
    kind: Literal["light-r1"] = "light-r1"
    delta: float | None = 3.0
    penalty: AnyPenalty = K3()
    rewards: tuple[AnyReward, ...] = Field(default=(ClippedCosine(),), min_length=1)
