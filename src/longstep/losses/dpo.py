"""DPO: the chosen answer gains on the rejected one; only the difference counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from longstep.config import Field, Strict
from longstep.losses.out import LossOut
from longstep.losses.preference import reward_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Dpo(Strict):
    """Direct preference optimisation (arXiv 2305.18290, equation 7), the sigmoid form."""

    kind: Literal["dpo"] = "dpo"
    beta: float = Field(default=0.1, gt=0)

    def trl(self) -> dict[str, Any]:
        """The same loss as ``DPOConfig`` keywords."""
        return {"loss_type": ["sigmoid"], "beta": self.beta}

    def loss(self, chosen_B: Tensor, rejected_B: Tensor, total: float | None = None) -> LossOut:
        """``-log sigmoid(beta (chosen - rejected))``, the mean over pairs.

        Both may fall together as long as the gap widens: the chosen likelihood is not protected.

        Args:
            chosen_B: log-ratio of each chosen answer, from ``log_ratios``.
            rejected_B: log-ratio of each rejected answer.
            total: pairs in the whole batch, when this is one part of it.
        """
        from torch.nn.functional import logsigmoid

        rewards_B, bad_B = self.beta * chosen_B, self.beta * rejected_B
        losses_B = -logsigmoid(rewards_B - bad_B)
        divisor = len(losses_B) if total is None else total
        return LossOut(losses_B.sum() / divisor, reward_metrics(rewards_B, bad_B))
