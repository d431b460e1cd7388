"""Rules that end reinforcement learning before its last step: one leaf file per member, one line in ``AnyUntil``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import AS_ITS_CLASS, Field, WrapValidator
from longstep.curriculum.outside import Outside
from longstep.curriculum.until.base import Drawn, History, Until, Watched
from longstep.curriculum.until.entropy import Entropy
from longstep.curriculum.until.plateau import Plateau
from longstep.curriculum.until.steps import Steps
from longstep.curriculum.until.tokens import Tokens
from longstep.curriculum.until.truncation import Truncation
from longstep.curriculum.until.turn_up import TurnUp

__all__ = [
    "AnyUntil",
    "Drawn",
    "Entropy",
    "History",
    "Plateau",
    "Steps",
    "Tokens",
    "Truncation",
    "TurnUp",
    "Until",
    "Watched",
]

AnyUntil = Annotated[
    Steps | Tokens | TurnUp | Truncation | Plateau | Entropy,
    Field(discriminator="kind"),
    WrapValidator(Outside(Until, Until.reason)),
    AS_ITS_CLASS,
]
