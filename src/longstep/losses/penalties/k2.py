"""k2 as a loss term: the gradient of the reverse KL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.losses.kl import k2
from longstep.losses.penalties.base import Towards

if TYPE_CHECKING:
    from torch import Tensor


class K2(Towards):
    """Half the squared log-ratio in the loss: the gradient of KL(policy || reference), the reverse one.

    That holds for tokens of the policy itself; it knows no ratio, so it is biased once a row is used after an update.
    """

    kind: Literal["k2"] = "k2"

    def each(self, logps_BT: Tensor, ref_BT: Tensor, old_BT: Tensor) -> Tensor:
        """See ``losses.kl``."""
        return k2(logps_BT, ref_BT)
