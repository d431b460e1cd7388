"""k3 weighed by the ratio: the gradient of the reverse KL, also for rows of an older policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.losses.kl import k3
from longstep.losses.penalties.base import Towards

if TYPE_CHECKING:
    from torch import Tensor


class K3Unbiased(Towards):
    """k3 times the token's ratio (DeepSeek-V3.2, arXiv 2512.02556): value and gradient are those of the reverse KL.

    The gradient passes through the ratio; ratios are not bounded.
    """

    kind: Literal["k3-unbiased"] = "k3-unbiased"

    def each(self, logps_BT: Tensor, ref_BT: Tensor, old_BT: Tensor) -> Tensor:
        """k3, as if the tokens had been drawn by the policy of now."""
        return (logps_BT - old_BT).exp() * k3(logps_BT, ref_BT)
