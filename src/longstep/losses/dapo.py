"""DAPO: groups that teach, tokens of one weight, more room for rare ones, and 16 updates from a batch of rollouts."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.curriculum.gates import AnyGate, Mixed
from longstep.losses.averages import TOKEN_MEAN, Average
from longstep.losses.clipped import ClippedLoss
from longstep.losses.group_relative import GroupRelative
from longstep.losses.rewards import AnyReward, Correctness, SoftOverlong


class Dapo(GroupRelative, ClippedLoss):
    """DAPO (arXiv 2503.14476, equations 8 to 13): dynamic sampling, clip-higher, token mean, no KL.

    A batch of rollouts (512 problems with 16 answers there) is cut into 16 updates: with one update
    per batch every ratio is 1 and clip-higher never acts. An answer earns 1 or -1 (equation 7) plus
    the soft overlong punishment (equation 13). Equation 8 writes the mean over the tokens of one group;
    this is one over all training tokens of an update, as in its code. What its dynamic sampling (equation 11) does
    otherwise than that code is said in ``curriculum/gates/mixed.py``.
    """

    average: ClassVar[Average] = TOKEN_MEAN
    kind: Literal["dapo"] = "dapo"
    gate: AnyGate = Mixed()
    epsilon_high: float = Field(default=0.28, gt=0)
    rewards: tuple[AnyReward, ...] = Field(
        default=(Correctness(right=1.0, wrong=-1.0), SoftOverlong()), min_length=1
    )
    minibatches: int = Field(default=16, ge=1)
