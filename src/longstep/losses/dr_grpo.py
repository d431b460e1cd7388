"""Dr. GRPO: a constant divisor, so that length neither dilutes nor amplifies a token."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.losses.averages import CONSTANT, Average
from longstep.losses.clipped import ClippedLoss
from longstep.losses.group_relative import GroupRelative


class DrGrpo(GroupRelative, ClippedLoss):
    """Dr. GRPO (arXiv 2503.20783): token sum over a constant; rewards centred, not scaled.

    The paper's objective has no constant at all; its code and TRL divide by the longest allowed
    completion, which only rescales the learning rate. A length of the batch would bring the bias back.
    """

    average: ClassVar[Average] = CONSTANT
    kind: Literal["dr-grpo"] = "dr-grpo"
    scale_rewards: Literal["group", "batch", "none"] = "none"
