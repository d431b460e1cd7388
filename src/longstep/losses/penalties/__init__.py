"""Penalties, which draw the policy towards its start: one leaf file per member, one line in ``AnyPenalty``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.penalties.base import Penalty, Towards
from longstep.losses.penalties.k1_in_reward import K1InReward
from longstep.losses.penalties.k2 import K2
from longstep.losses.penalties.k3 import K3
from longstep.losses.penalties.k3_unbiased import K3Unbiased
from longstep.losses.penalties.none import NoPenalty

__all__ = ["K2", "K3", "AnyPenalty", "K1InReward", "K3Unbiased", "NoPenalty", "Penalty", "Towards"]

AnyPenalty = Annotated[K1InReward | K2 | K3 | K3Unbiased | NoPenalty, Field(discriminator="kind")]
