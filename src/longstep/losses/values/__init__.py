"""Value losses, for algorithms with a critic: one leaf file per member, one line in ``AnyValueLoss``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.values.base import ValueLoss
from longstep.losses.values.clipped import ClippedSquared
from longstep.losses.values.squared import Squared

__all__ = ["AnyValueLoss", "ClippedSquared", "Squared", "ValueLoss"]

AnyValueLoss = Annotated[ClippedSquared | Squared, Field(discriminator="kind")]
