"""Dr. GRPO: a constant divisor, so that length neither dilutes nor amplifies a token."""

from __future__ import annotations

from typing import Literal

from longstep.losses.base import Tokens, Whole
from longstep.losses.clipped import ClippedLoss, token_losses
from longstep.losses.out import LossOut


class DrGrpo(ClippedLoss):
    """Dr. GRPO (arXiv 2503.20783): token sum over a constant; rewards centred, not scaled.

    The paper's objective has no constant at all; its code and TRL divide by the longest allowed
    completion, which only rescales the learning rate.
    """

    kind: Literal["dr-grpo"] = "dr-grpo"
    scale_rewards: Literal["group", "none"] = "none"

    def loss(self, tokens: Tokens, total: float) -> LossOut:
        """Sum over tokens over the constant."""
        each = token_losses(tokens, self)
        return LossOut(each.loss.sum() / total, each.metrics)

    def divisor(self, whole: Whole) -> float:
        """Sequences times the longest allowed completion: a length of this batch would bring the bias back."""
        return float(whole.sequences * whole.longest)
