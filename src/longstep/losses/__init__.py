"""Losses and advantages: pure tensor functions, and the strict configs that name them.

``AnyAlgorithm`` and ``AnyPreferenceLoss`` are the visible lists: a new member is one file and one
line here; penalties and corrections have packages of their own. No function here adds up over ranks
or micro-batches; ``total`` lets the caller do it.
"""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.advantages import (
    Advantages,
    batch_centred,
    batch_normalised,
    batch_scaled,
    carrying,
    group_centred,
    group_normalised,
    leave_one_out,
    mean_scaled,
    uncentred,
)
from longstep.losses.averages import Whole
from longstep.losses.base import Algorithm, Groups, Tokens
from longstep.losses.cispo import Cispo
from longstep.losses.clipped import ClippedLoss, clipped_surrogate
from longstep.losses.dapo import Dapo
from longstep.losses.dpo import Dpo
from longstep.losses.dr_grpo import DrGrpo
from longstep.losses.gae import at_the_end, gae
from longstep.losses.grpo import Grpo, LightR1
from longstep.losses.gspo import Gspo
from longstep.losses.kl import k1, k2, k3
from longstep.losses.lite_ppo import LitePpo
from longstep.losses.logps import entropy, token_logps
from longstep.losses.maxrl import MaxRl
from longstep.losses.nca import Nca
from longstep.losses.next_token import next_token
from longstep.losses.out import LossOut, TokenLosses
from longstep.losses.ppo import Ppo
from longstep.losses.preference import PreferenceLoss
from longstep.losses.reinforce import Reinforce
from longstep.losses.reinforce_pp import ReinforcePlusPlus
from longstep.losses.rloo import Rloo
from longstep.losses.sapo import Sapo
from longstep.losses.soft_target import soft_target_kl

AnyAlgorithm = Annotated[
    Cispo
    | Dapo
    | DrGrpo
    | Grpo
    | Gspo
    | LightR1
    | LitePpo
    | MaxRl
    | Ppo
    | Reinforce
    | ReinforcePlusPlus
    | Rloo
    | Sapo,
    Field(discriminator="kind"),
]
AnyPreferenceLoss = Annotated[Dpo | Nca, Field(discriminator="kind")]

__all__ = [
    "Advantages",
    "Algorithm",
    "AnyAlgorithm",
    "AnyPreferenceLoss",
    "Cispo",
    "ClippedLoss",
    "Dapo",
    "Dpo",
    "DrGrpo",
    "Groups",
    "Grpo",
    "Gspo",
    "LightR1",
    "LitePpo",
    "LossOut",
    "MaxRl",
    "Nca",
    "Ppo",
    "PreferenceLoss",
    "Reinforce",
    "ReinforcePlusPlus",
    "Rloo",
    "Sapo",
    "TokenLosses",
    "Tokens",
    "Whole",
    "at_the_end",
    "batch_centred",
    "batch_normalised",
    "batch_scaled",
    "carrying",
    "clipped_surrogate",
    "entropy",
    "gae",
    "group_centred",
    "group_normalised",
    "k1",
    "k2",
    "k3",
    "leave_one_out",
    "mean_scaled",
    "next_token",
    "soft_target_kl",
    "token_logps",
    "uncentred",
]
