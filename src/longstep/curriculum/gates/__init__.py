"""Gates, after the draw: one leaf file per member, one line in ``AnyGate``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import AS_ITS_CLASS, Field, WrapValidator
from longstep.curriculum.gates.all import All
from longstep.curriculum.gates.base import Chosen, Gate, GateConfig
from longstep.curriculum.gates.mixed import Mixed
from longstep.curriculum.gates.replace import Replace
from longstep.curriculum.gates.screen import Screen
from longstep.curriculum.gates.spread import Spread
from longstep.curriculum.gates.variance import Variance
from longstep.curriculum.outside import Outside

__all__ = [
    "All",
    "AnyGate",
    "Chosen",
    "Gate",
    "GateConfig",
    "Mixed",
    "Replace",
    "Screen",
    "Spread",
    "Variance",
]

AnyGate = Annotated[
    All | Mixed | Replace | Screen | Spread | Variance,
    Field(discriminator="kind"),
    WrapValidator(Outside(GateConfig, GateConfig.build, Gate)),
    AS_ITS_CLASS,
]
