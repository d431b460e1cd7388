"""What the pairwise losses share: implicit rewards, and what to log about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def log_ratios(logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Log-ratio policy to reference of whole answers, ``[B]``: a token *sum*."""
    chosen_BT = mask_BT.bool()
    return (logps_BT.where(chosen_BT, 0.0) - ref_logps_BT.where(chosen_BT, 0.0)).sum(-1)


def reward_metrics(chosen_B: Tensor, rejected_B: Tensor) -> dict[str, Tensor]:
    """Mean implicit rewards of both sides, and how often the chosen one is ahead."""
    chosen_B, rejected_B = chosen_B.detach(), rejected_B.detach()
    return {
        "reward_chosen": chosen_B.mean(),
        "reward_rejected": rejected_B.mean(),
        "reward_accuracy": (chosen_B > rejected_B).to(chosen_B.dtype).mean(),
    }
