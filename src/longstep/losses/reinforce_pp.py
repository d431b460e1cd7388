"""REINFORCE++: advantages normalised over the batch, PPO's clip, and the KL to the reference in the reward."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.losses.advantages import Advantages, batch_normalised, group_centred
from longstep.losses.averages import TOKEN_MEAN, Average
from longstep.losses.base import Groups
from longstep.losses.clipped import ClippedLoss
from longstep.losses.penalties import AnyPenalty, K1InReward


class ReinforcePlusPlus(ClippedLoss):
    """REINFORCE++ (arXiv 2501.03262, equations 8 to 10): ``(A - mean) / std`` over the whole batch.

    The paper charges each token for the KL of itself and of the tokens after it. Here an answer pays for all of its
    tokens (``k1-in-reward``): what came before a token does not depend on it, so the expected gradient is the same up
    to the scale of the normalisation, with more noise. For the same reason an answer counts once in mean and spread,
    and not once for each of its tokens. The coefficient of the KL is ours.

    Attributes:
        baseline: ``group`` takes the mean of the group from each reward first (the paper's REINFORCE++-baseline, for
            several answers to a problem); ``batch`` does not.
    """

    average: ClassVar[Average] = TOKEN_MEAN
    kind: Literal["reinforce++"] = "reinforce++"
    penalty: AnyPenalty = K1InReward()
    baseline: Literal["batch", "group"] = "batch"

    def lacks(self) -> tuple[str, ...]:
        """The KL of the tokens still to come alone, where an answer is charged for its drift."""
        if "drift" not in self.needs():
            return ()
        return (
            "each answer is charged for the KL of all of its tokens, where the paper charges a token for those from it "
            "on: the same expected direction, with more noise",
        )

    def advantages(self, groups: Groups) -> Advantages:
        """Normalised over the batch."""
        if self.baseline == "batch":
            return batch_normalised(groups.rewards_PG)
        values_PG, trains_PG = group_centred(groups.rewards_PG)
        return batch_normalised(values_PG.where(trains_PG, float("nan")))
