"""KL to a sparse target distribution: the loss of LightReasoner's contrastive stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


def soft_target_kl(
    logits_BV: Tensor, ids_BK: Tensor, weights_BK: Tensor, total: float | None = None
) -> LossOut:
    """Mean over positions of ``KL(target || policy)`` (LightReasoner, arXiv 2510.07962).

    The target is zero outside ``ids_BK``, so only K terms remain. The released code reads the
    logits at the last *padded* place; here the caller gives the logits that follow each prefix.

    Args:
        logits_BV: the policy's logits after each prefix.
        ids_BK: token ids that carry weight; fill a short row with any valid id.
        weights_BK: their probabilities, each row summing to 1; 0 in the fill.
        total: positions in the whole batch, when this is one part of it.
    """
    weights_BK = weights_BK.float()
    logps_BK = logits_BV.float().log_softmax(-1).gather(-1, ids_BK)
    kl_B = (weights_BK.xlogy(weights_BK) - weights_BK * logps_BK).sum(-1)
    return LossOut(kl_B.sum() / (len(kl_B) if total is None else total), {})
