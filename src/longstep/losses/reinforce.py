"""REINFORCE: reward less a baseline, times the score; nothing else."""

from __future__ import annotations

from typing import Literal

from longstep.losses.advantages import Advantages, batch_centred, uncentred
from longstep.losses.base import Groups
from longstep.losses.score import ScoreFunction


class Reinforce(ScoreFunction):
    """REINFORCE (Williams 1992) with the mean reward of the batch as baseline.

    Williams' reinforcement baseline may be anything that the sample itself does not move; a mean that it is part of
    shrinks the expected gradient by ``1 - 1/N`` for N answers. A problem that is always solved is pushed up all the
    same: unlike the group's, this baseline does not know how hard a problem is.

    Attributes:
        baseline: what is taken from each reward: the mean of the batch, or nothing.
    """

    kind: Literal["reinforce"] = "reinforce"
    baseline: Literal["batch", "none"] = "batch"

    def advantages(self, groups: Groups) -> Advantages:
        """Against the batch, or as they are."""
        return (batch_centred if self.baseline == "batch" else uncentred)(groups.rewards_PG)
