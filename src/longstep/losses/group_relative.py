"""Answers measured against the other answers to their problem: the advantages that GRPO's descendants share."""

from __future__ import annotations

from typing import Literal

from longstep.losses.advantages import Advantages, batch_scaled, group_centred, group_normalised
from longstep.losses.base import Algorithm, Groups

_SCALED = {"group": group_normalised, "batch": batch_scaled, "none": group_centred}


class GroupRelative(Algorithm):
    """Rewards centred on the mean of their group; see ``losses.advantages``.

    Attributes:
        scale_rewards: divide centred rewards by the standard deviation of the group or of the batch, or leave them.
    """

    scale_rewards: Literal["group", "batch", "none"] = "group"

    def advantages(self, groups: Groups) -> Advantages:
        """Advantages of the samples of each problem."""
        return _SCALED[self.scale_rewards](groups.rewards_PG)
