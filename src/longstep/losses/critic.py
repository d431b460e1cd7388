"""How a critic learns: the settings of every algorithm that has one."""

from __future__ import annotations

from longstep.config import Field, Strict
from longstep.losses.values import AnyValueLoss, ClippedSquared
from longstep.optimizers import AdamW, AnyOptimizer


class CriticConfig(Strict):
    """A second model that predicts the reward of an answer from its beginning.

    Attributes:
        optimizer: of the critic; its rate stays as it is (1e-5 in verl, ten times its policy's).
        loss: what a wrong prediction costs.
        lam: of the returns it is taught; 1 teaches what really happened (VAPO, arXiv 2504.05118, whose policy keeps
            0.95), which a long answer needs: at 0.95 a reward is forgotten after some hundred tokens.
        warmup: the first optimiser steps of the run, in which the critic alone learns.
    """

    optimizer: AnyOptimizer = AdamW(lr=1e-5, weight_decay=0.0)
    loss: AnyValueLoss = ClippedSquared()
    lam: float = Field(default=0.95, ge=0, le=1)
    warmup: int = Field(default=0, ge=0)
