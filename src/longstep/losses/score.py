"""The policy gradient as it stands: reward times score, summed over the tokens of an answer."""

from __future__ import annotations

from typing import ClassVar

from longstep.losses.averages import SEQUENCE_SUM, Average
from longstep.losses.base import Algorithm, Tokens
from longstep.losses.clipped import token_ratios
from longstep.losses.out import TokenLosses, masked_max


class ScoreFunction(Algorithm):
    """``-A sum_t log pi``, averaged over answers; nothing is clipped.

    A row that is used after an update is weighed by each token's ratio, without a bound. In the first update after a
    draw ratios are 1, and the gradient is the score function's.
    """

    average: ClassVar[Average] = SEQUENCE_SUM
    still: ClassVar[bool] = True

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """The weighed advantage of each token; its gradient is that of ``-ratio A log pi``."""
        ratios_BT = token_ratios(tokens)
        metrics = {"ratio_max": masked_max(ratios_BT, tokens.mask_BT)}
        return TokenLosses(-ratios_BT * tokens.advantages_BT, metrics)
