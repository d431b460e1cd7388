"""NCA: absolute likelihood of good answers up, of bad ones down, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.out import LossOut
from longstep.losses.preference import PreferenceLoss, reward_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Nca(PreferenceLoss):
    """Noise contrastive alignment (arXiv 2402.05369), the pairwise form; ``beta`` is Light-R1's.

    Chosen and rejected are decoupled, so a chosen answer of another model and a rejected one of
    this model make a valid pair. The chosen reward has a finite best value, ``ln 2``: at ``beta``
    0.3 that is 2.3 nats over the *whole* answer, after which NCA pushes it down again. The rejected
    reward has no floor.

    Attributes:
        beta: how much a log-ratio counts; larger keeps nearer to the reference.
    """

    kind: Literal["nca"] = "nca"
    beta: float = Field(default=0.3, gt=0)

    def loss(self, chosen_B: Tensor, rejected_B: Tensor, total: float) -> LossOut:
        """``-log s(w) - 1/2 log s(-w) - 1/2 log s(-l)``, the mean over pairs."""
        from torch.nn.functional import logsigmoid

        good_B, bad_B = self.beta * chosen_B, self.beta * rejected_B
        losses_B = -logsigmoid(good_B) - 0.5 * logsigmoid(-good_B) - 0.5 * logsigmoid(-bad_B)
        return LossOut(losses_B.sum() / total, reward_metrics(chosen_B, rejected_B, self.beta))
