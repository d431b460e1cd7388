"""RLOO: an answer is one action, and the others to its problem are its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.losses.advantages import Advantages, leave_one_out
from longstep.losses.averages import SEQUENCE_SUM, Average
from longstep.losses.base import Groups, Tokens
from longstep.losses.clipped import ClippedLoss
from longstep.losses.out import TokenLosses

if TYPE_CHECKING:
    from torch import Tensor


class Rloo(ClippedLoss):
    """RLOO (arXiv 2402.14740, equation 8): the reward less the mean of the other answers', times the answer's score.

    A batch of rollouts makes one update in the paper, and nothing is clipped. Where it makes several, the ratio is that
    of the whole answer, clipped, as in TRL: a product over all its tokens, which soon leaves the clip. The paper's KL
    in the reward belongs to a learned reward model; ``penalty: {kind: k1-in-reward}`` brings it back.
    """

    average: ClassVar[Average] = SEQUENCE_SUM
    kind: Literal["rloo"] = "rloo"

    def advantages(self, groups: Groups) -> Advantages:
        """Against the others in the group."""
        return leave_one_out(groups.rewards_PG)

    def ratios(self, tokens: Tokens) -> Tensor:
        """Of whole answers, in one column."""
        return (tokens.logps_BT - tokens.old_BT).sum(-1, keepdim=True).exp()

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """An equal share of the answer's surrogate for each of its tokens, so that their sum is the answer's."""
        losses_B1, metrics = super().policy_losses(tokens)
        lengths_B1 = tokens.mask_BT.sum(-1, keepdim=True).clamp(min=1)
        return TokenLosses(losses_B1 / lengths_B1, metrics)
