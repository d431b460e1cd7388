"""Bonuses, what entropy earns: one leaf file per member, one line in ``AnyBonus``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.bonuses.adaptive import AdaptiveEntropy
from longstep.losses.bonuses.base import Bonus, Earned
from longstep.losses.bonuses.entropy import EntropyBonus
from longstep.losses.bonuses.none import NoBonus

__all__ = ["AdaptiveEntropy", "AnyBonus", "Bonus", "Earned", "EntropyBonus", "NoBonus"]

AnyBonus = Annotated[AdaptiveEntropy | EntropyBonus | NoBonus, Field(discriminator="kind")]
