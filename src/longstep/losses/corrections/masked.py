"""Tokens that sampler and trainer disagree on are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.corrections.base import Weighing

if TYPE_CHECKING:
    from torch import Tensor


class Masked(Weighing):
    """The ratio between ``low`` and ``high``, 0 outside: IcePop (arXiv 2510.18855), bounds 0.5 and 5.

    The mean still divides by every token, so what is left out also makes the update smaller.

    Attributes:
        low: smallest ratio that trains.
        high: largest ratio that trains.
    """

    kind: Literal["masked"] = "masked"
    low: float = Field(default=0.5, ge=0, le=1)
    high: float = Field(default=5.0, ge=1)

    def bounded(self, ratios_BT: Tensor) -> Tensor:
        """The ratio, or 0."""
        return ratios_BT.where((ratios_BT >= self.low) & (ratios_BT <= self.high), 0.0)
