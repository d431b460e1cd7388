"""Dr. GRPO: a constant divisor, so that length neither dilutes nor amplifies a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from longstep.losses.clipped import ClippedLoss, token_losses
from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


class DrGrpo(ClippedLoss):
    """Dr. GRPO (arXiv 2503.20783): token sum over a constant; rewards centred, not scaled.

    The paper's objective has no constant at all; its code and TRL divide by the longest allowed
    completion, which only rescales the learning rate.
    """

    kind: Literal["dr-grpo"] = "dr-grpo"
    scale_rewards: Literal["group", "none"] = "none"

    def trl(self) -> dict[str, Any]:
        """The same as ``GRPOConfig`` keywords; its constant is ``max_completion_length``."""
        return self._trl("dr_grpo")

    def loss(
        self,
        logps_BT: Tensor,
        old_logps_BT: Tensor,
        advantages_B: Tensor,
        mask_BT: Tensor,
        ref_logps_BT: Tensor | None = None,
        total: float | None = None,
    ) -> LossOut:
        """Sum over tokens over a constant; arguments as in ``Grpo.loss``.

        ``total`` is the constant, sequences in the whole batch times the longest allowed
        completion. It is
        needed: any default taken from this batch would bring the length bias back.

        Raises:
            ValueError: there is no ``total``.
        """
        if total is None:
            raise ValueError("Dr. GRPO needs total = sequences x longest allowed completion")
        tokens = token_losses(logps_BT, old_logps_BT, advantages_B, mask_BT, ref_logps_BT, self)
        return LossOut(tokens.loss.sum() / total, tokens.metrics)
