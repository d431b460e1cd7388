"""CISPO: the weight of a token is bounded, its gradient is never cut."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.losses.averages import TOKEN_MEAN, Average
from longstep.losses.base import Tokens
from longstep.losses.clipped import token_ratios
from longstep.losses.group_relative import GroupRelative
from longstep.losses.out import TokenLosses, masked_max, masked_mean


class Cispo(GroupRelative):
    """CISPO (MiniMax-M1, arXiv 2506.13585, equations 4 and 5): ``-sg(min(ratio, ceiling)) A log pi``, token mean.

    PPO's clip takes a token that has grown too much out of the update; here it stays with a bounded weight. There is
    no lower bound, as the paper trained; it does not print the upper one: 5 is what ScaleRL found best (arXiv
    2510.13786), as TRL's index of papers has it, and bounds the ratio itself, as in TRL. As in the paper (section 3.1)
    a batch of rollouts makes 16 updates; with one, ratios are 1 and this is REINFORCE with normalised rewards and a
    token mean.

    Attributes:
        ceiling: largest weight of a token.
    """

    average: ClassVar[Average] = TOKEN_MEAN
    still: ClassVar[bool] = True
    bounds: ClassVar[frozenset[str]] = frozenset({"ceiling"})
    kind: Literal["cispo"] = "cispo"
    ceiling: float = Field(default=5.0, ge=1)
    minibatches: int = Field(default=16, ge=1)

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """The score of each token, weighed."""
        ratios_BT = token_ratios(tokens).detach()
        weights_BT = ratios_BT.clamp(max=self.ceiling) * tokens.advantages_BT
        bounded = masked_mean((ratios_BT > self.ceiling).to(ratios_BT.dtype), tokens.mask_BT)
        metrics = {"bounded": bounded, "ratio_max": masked_max(ratios_BT, tokens.mask_BT)}
        return TokenLosses(-weights_BT * tokens.logps_BT, metrics)
