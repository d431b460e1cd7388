"""DPO: the chosen answer gains on the rejected one; only the difference counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.out import LossOut
from longstep.losses.preference import PreferenceLoss, reward_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Dpo(PreferenceLoss):
    """Direct preference optimisation (arXiv 2305.18290, equation 7), the sigmoid form.

    Attributes:
        beta: how much a log-ratio counts; larger keeps nearer to the reference.
    """

    kind: Literal["dpo"] = "dpo"
    beta: float = Field(default=0.1, gt=0)

    def loss(self, chosen_B: Tensor, rejected_B: Tensor, total: float) -> LossOut:
        """``-log sigmoid(beta (chosen - rejected))``, the mean over pairs.

        Both may fall together as long as the gap widens: the chosen likelihood is not protected.
        """
        from torch.nn.functional import logsigmoid

        losses_B = -logsigmoid(self.beta * (chosen_B - rejected_B))
        return LossOut(losses_B.sum() / total, reward_metrics(chosen_B, rejected_B, self.beta))
