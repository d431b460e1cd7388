"""Truncated importance sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.corrections.base import Weighing

if TYPE_CHECKING:
    from torch import Tensor


class Truncated(Weighing):
    """``min(ratio, cap)`` for each token: truncated importance sampling (Ionides 2008; TIS of Yao et al. 2025, cap 2).

    Attributes:
        cap: largest weight.
    """

    kind: Literal["truncated"] = "truncated"
    cap: float = Field(default=2.0, ge=1)

    def bounded(self, ratios_BT: Tensor) -> Tensor:
        """At most ``cap``."""
        return ratios_BT.clamp(max=self.cap)
