"""NCA: absolute likelihood of good answers up, of bad ones down, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from longstep.config import Field, Strict
from longstep.losses.out import LossOut
from longstep.losses.preference import reward_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Nca(Strict):
    """Noise contrastive alignment (arXiv 2402.05369), the pairwise form; ``beta`` is Light-R1's.

    Chosen and rejected are decoupled, so a chosen answer of another model and a rejected one of
    this model make a valid pair. The chosen reward has a finite best value, ``ln 2``: at ``beta``
    0.3 that is 2.3 nats over the *whole* answer, after which NCA pushes it down again. The rejected
    reward has no floor.
    """

    kind: Literal["nca"] = "nca"
    beta: float = Field(default=0.3, gt=0)

    def trl(self) -> dict[str, Any]:
        """The same loss as ``DPOConfig`` keywords."""
        return {"loss_type": ["nca_pair"], "beta": self.beta}

    def loss(self, chosen_B: Tensor, rejected_B: Tensor, total: float | None = None) -> LossOut:
        """``-log s(w) - 1/2 log s(-w) - 1/2 log s(-l)``; arguments as in ``Dpo.loss``."""
        from torch.nn.functional import logsigmoid

        good_B, bad_B = self.beta * chosen_B, self.beta * rejected_B
        losses_B = -logsigmoid(good_B) - 0.5 * logsigmoid(-good_B) - 0.5 * logsigmoid(-bad_B)
        divisor = len(losses_B) if total is None else total
        return LossOut(losses_B.sum() / divisor, reward_metrics(good_B, bad_B))
