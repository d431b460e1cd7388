"""GSPO: the ratio is that of the whole answer, as the reward is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.config import Field
from longstep.losses.averages import SEQUENCE_MEAN, Average
from longstep.losses.base import Tokens
from longstep.losses.clipped import ClippedLoss
from longstep.losses.group_relative import GroupRelative

if TYPE_CHECKING:
    from torch import Tensor


class Gspo(GroupRelative, ClippedLoss):
    """GSPO (arXiv 2507.18071, equations 5 and 7): an answer's ratio is the geometric mean of its tokens' ratios.

    Whole answers are clipped, not tokens, and by very little: the mean of many logarithms stays near 0. Both bounds and
    the four updates from a batch of rollouts are those of the paper's section 5.1.
    """

    average: ClassVar[Average] = SEQUENCE_MEAN
    kind: Literal["gspo"] = "gspo"
    epsilon: float = Field(default=3e-4, gt=0, lt=1)
    epsilon_high: float = Field(default=4e-4, gt=0)
    minibatches: int = Field(default=4, ge=1)

    def ratios(self, tokens: Tokens) -> Tensor:
        """Of whole answers, in one column."""
        logs_B1 = (tokens.logps_BT - tokens.old_BT).sum(-1, keepdim=True)
        return (logs_B1 / tokens.mask_BT.sum(-1, keepdim=True).clamp(min=1)).exp()
