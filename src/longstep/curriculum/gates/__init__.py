"""Gates, after the draw: one leaf file per member, one line in ``AnyGate``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curriculum.gates.all import All
from longstep.curriculum.gates.base import Chosen, Gate

__all__ = ["All", "AnyGate", "Chosen", "Gate"]

#: With a second member the line reads ``Annotated[All | Mine, Field(discriminator="kind")]``.
AnyGate = Annotated[All, Field()]
