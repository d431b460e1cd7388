"""The plain regression of a critic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.losses.values.base import ValueLoss

if TYPE_CHECKING:
    from torch import Tensor


class Squared(ValueLoss):
    """Half the squared error."""

    kind: Literal["squared"] = "squared"

    def each(self, values_BT: Tensor, old_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """``(V - target)^2 / 2``."""
        return 0.5 * (values_BT - targets_BT).square()
