"""Losses and advantages: pure tensor functions, and the strict configs that name them.

``AnyAlgorithm`` and ``AnyPreferenceLoss`` are the visible lists: a new member is one file and one
line here. No function here adds up over ranks or micro-batches; ``total`` lets the caller do it.
"""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.advantages import (
    Advantages,
    batch_centred,
    group_centred,
    group_normalised,
    leave_one_out,
)
from longstep.losses.base import Algorithm, Groups, Tokens, Whole
from longstep.losses.clipped import ClippedLoss, clipped_surrogate
from longstep.losses.dapo import Dapo
from longstep.losses.dpo import Dpo
from longstep.losses.dr_grpo import DrGrpo
from longstep.losses.grpo import Grpo, LightR1
from longstep.losses.kl import k1, k2, k3
from longstep.losses.logps import entropy, token_logps
from longstep.losses.nca import Nca
from longstep.losses.next_token import next_token
from longstep.losses.out import LossOut
from longstep.losses.preference import PreferenceLoss
from longstep.losses.soft_target import soft_target_kl

AnyAlgorithm = Annotated[Dapo | DrGrpo | Grpo | LightR1, Field(discriminator="kind")]
AnyPreferenceLoss = Annotated[Dpo | Nca, Field(discriminator="kind")]

__all__ = [
    "Advantages",
    "Algorithm",
    "AnyAlgorithm",
    "AnyPreferenceLoss",
    "ClippedLoss",
    "Dapo",
    "Dpo",
    "DrGrpo",
    "Groups",
    "Grpo",
    "LightR1",
    "LossOut",
    "Nca",
    "PreferenceLoss",
    "Tokens",
    "Whole",
    "batch_centred",
    "clipped_surrogate",
    "entropy",
    "group_centred",
    "group_normalised",
    "k1",
    "k2",
    "k3",
    "leave_one_out",
    "next_token",
    "soft_target_kl",
    "token_logps",
]
