"""The clipped regression that PPO's implementations use, though its paper does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.values.base import ValueLoss

if TYPE_CHECKING:
    from torch import Tensor


class ClippedSquared(ValueLoss):
    """Half the squared error, or that of a prediction held near the old one where this is larger.

    A prediction that has left ``old +- epsilon`` on the way to its target has no gradient any more until the next draw.
    0.2 is the value of OpenAI's code and of TRL's; verl has 0.5. It is in units of the reward.

    Attributes:
        epsilon: how far a value may move from that of the draw.
    """

    kind: Literal["clipped"] = "clipped"
    epsilon: float = Field(default=0.2, gt=0)

    def each(self, values_BT: Tensor, old_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """``max((V - target)^2, (old + clip(V - old) - target)^2) / 2``."""
        held_BT = old_BT + (values_BT - old_BT).clamp(-self.epsilon, self.epsilon)
        free_BT, bound_BT = (values_BT - targets_BT).square(), (held_BT - targets_BT).square()
        return 0.5 * free_BT.maximum(bound_BT)
