"""Lite PPO: the two tricks that were left when the others were taken away one by one."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.losses.averages import TOKEN_MEAN, Average
from longstep.losses.clipped import ClippedLoss
from longstep.losses.group_relative import GroupRelative


class LitePpo(GroupRelative, ClippedLoss):
    """Lite PPO (arXiv 2508.08221, section 5): the group's mean, the batch's deviation, one mean over tokens.

    A group of nearly equal rewards is not blown up, as it is when it is divided by its own small deviation. PPO's clip
    on both sides, no critic, no KL. The deviation is that of the rewards, as in TRL, and not of what is left of them.
    """

    average: ClassVar[Average] = TOKEN_MEAN
    kind: Literal["lite-ppo"] = "lite-ppo"
    scale_rewards: Literal["group", "batch", "none"] = "batch"
