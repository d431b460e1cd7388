"""SAPO: a gate that closes softly where the clip cuts."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.losses.averages import SEQUENCE_MEAN, Average
from longstep.losses.base import Tokens
from longstep.losses.clipped import token_ratios
from longstep.losses.group_relative import GroupRelative
from longstep.losses.out import TokenLosses, masked_max, masked_mean


class Sapo(GroupRelative):
    """SAPO (arXiv 2511.20347): ``-(4 / tau) sigmoid(tau (ratio - 1)) A``, mean of each answer's token mean.

    A token's gradient is that of the plain ratio times ``4 s (1 - s)`` with s the sigmoid: 1 at ratio 1, falling to 0
    on both sides, faster for a larger ``tau``. Small ``tau`` leaves the ratio as it is. Tokens of wrong answers are
    held tighter, because pushing one down lifts all the others. Both values of ``tau`` are the paper's (and TRL's). The
    four updates from a batch of rollouts are GSPO's, by the same authors: no public code names them.

    Attributes:
        tau_positive: tightness where the advantage is above 0.
        tau_negative: tightness elsewhere.
    """

    average: ClassVar[Average] = SEQUENCE_MEAN
    still: ClassVar[bool] = True
    bounds: ClassVar[frozenset[str]] = frozenset({"tau_positive", "tau_negative"})
    kind: Literal["sapo"] = "sapo"
    tau_positive: float = Field(default=1.0, gt=0)
    tau_negative: float = Field(default=1.05, gt=0)
    minibatches: int = Field(default=4, ge=1)

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """The gated advantage of each token."""
        ratios_BT, advantages_BT = token_ratios(tokens), tokens.advantages_BT
        positive_BT = (advantages_BT > 0).to(ratios_BT.dtype)
        tau_BT = self.tau_negative + (self.tau_positive - self.tau_negative) * positive_BT
        gates_BT = (tau_BT * (ratios_BT - 1)).sigmoid()
        metrics = {
            "gate": masked_mean(4 * gates_BT * (1 - gates_BT), tokens.mask_BT),
            "ratio_max": masked_max(ratios_BT, tokens.mask_BT),
        }
        return TokenLosses(-4 / tau_BT * gates_BT * advantages_BT, metrics)
