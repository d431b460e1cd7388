"""What the pairwise losses share: their contract, implicit rewards, and what to log about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.config import Strict
from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


class PreferenceLoss(Strict):
    """A loss on pairs of whole answers; ``training.pairs`` is its only caller."""

    def loss(self, chosen_B: Tensor, rejected_B: Tensor, total: float) -> LossOut:
        """The part of the batch's loss that these pairs make.

        Args:
            chosen_B: log-ratio, policy to reference, of each chosen answer: a *sum* over its tokens.
            rejected_B: log-ratio of each rejected answer.
            total: pairs in the whole batch, of which this may be one part.
        """
        raise NotImplementedError


def reward_metrics(chosen_B: Tensor, rejected_B: Tensor, beta: float) -> dict[str, Tensor]:
    """Mean implicit rewards of both sides, how often the chosen one is ahead, and by how much."""
    good_B, bad_B = beta * chosen_B.detach(), beta * rejected_B.detach()
    return {
        "rewards/chosen": good_B.mean(),
        "rewards/rejected": bad_B.mean(),
        "rewards/accuracies": (good_B > bad_B).to(good_B.dtype).mean(),
        "rewards/margins": (good_B - bad_B).mean(),
    }
