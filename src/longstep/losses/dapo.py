"""DAPO: every token weighs the same, and rare tokens may grow further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from longstep.config import Field
from longstep.losses.clipped import ClippedLoss, token_losses
from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


class Dapo(ClippedLoss):
    """DAPO's loss (arXiv 2503.14476, equation 8): clip-higher, token mean, no KL.

    Its two other parts are not losses: dynamic sampling drops groups that are all right or all
    wrong, and the soft overlong punishment is in ``longstep.losses.rewards``. With one update per rollout
    every ratio is 1 and clip-higher does nothing.
    """

    kind: Literal["dapo"] = "dapo"
    epsilon_high: float = Field(default=0.28, gt=0)

    def trl(self) -> dict[str, Any]:
        """The same loss as ``GRPOConfig`` keywords."""
        return self._trl("dapo")

    def loss(
        self,
        logps_BT: Tensor,
        old_logps_BT: Tensor,
        advantages_B: Tensor,
        mask_BT: Tensor,
        ref_logps_BT: Tensor | None = None,
        total: float | None = None,
    ) -> LossOut:
        """One mean over all training tokens; arguments as in ``Grpo.loss``.

        ``total`` is the number of training tokens in the whole batch, when this is one part of it.
        """
        tokens = token_losses(logps_BT, old_logps_BT, advantages_B, mask_BT, ref_logps_BT, self)
        divisor = mask_BT.sum().clamp(min=1) if total is None else total
        return LossOut(tokens.loss.sum() / divisor, tokens.metrics)
