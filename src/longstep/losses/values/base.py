"""What a value loss answers: what a wrong prediction of a return costs the critic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.config import Strict

if TYPE_CHECKING:
    from torch import Tensor


class ValueLoss(Strict):
    """The loss of a critic; ``training.critic`` is its only caller."""

    def each(self, values_BT: Tensor, old_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """What the prediction at each token costs, ``[B, T]``.

        Args:
            values_BT: what the critic says, with its gradient.
            old_BT: what it said when the answers were drawn.
            targets_BT: what it should have said.
        """
        raise NotImplementedError
