"""Next-token cross-entropy on the supervised tokens: the loss of SFT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


def next_token(logps_BT: Tensor, mask_BT: Tensor, total: float | None = None) -> LossOut:
    """Mean negative log-probability over *all* supervised tokens, not a mean of per-sequence means.

    Args:
        logps_BT: log-probability of each token given those before it.
        mask_BT: 1 where the token is supervised.
        total: supervised tokens in the whole batch, when this is one part of it; the parts' losses
            then add up to the loss of the whole, however it is cut into micro-batches or over
            ranks.
    """
    summed = -logps_BT.where(mask_BT.bool(), 0.0).sum()
    return LossOut(summed / (mask_BT.sum().clamp(min=1) if total is None else total), {})
