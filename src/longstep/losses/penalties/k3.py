"""k3 as a loss term: GRPO's, with the gradient of the forward KL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.losses.kl import k3
from longstep.losses.penalties.base import Towards

if TYPE_CHECKING:
    from torch import Tensor


class K3(Towards):
    """GRPO's penalty (arXiv 2402.03300, equation 4): its gradient is that of KL(reference || policy), the forward one.

    Its value estimates the reverse KL. Where the policy drops a token that the reference likes, it is unbounded. The
    paper has ``beta`` 0.04.
    """

    kind: Literal["k3"] = "k3"

    def each(self, logps_BT: Tensor, ref_BT: Tensor, old_BT: Tensor) -> Tensor:
        """See ``losses.kl``."""
        return k3(logps_BT, ref_BT)
