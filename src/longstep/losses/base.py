"""What an RL algorithm answers: what it needs, what rewards are worth, what a token costs.

``training.policy`` is the only caller. It owns batching, accumulation, sharding and log-probabilities; a member owns
its arithmetic and the defaults that its paper names, so that naming it is the whole setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from longstep.config import Field, Strict
from longstep.losses.advantages import Advantages
from longstep.losses.out import LossOut
from longstep.losses.rewards import AnyReward, Correctness

if TYPE_CHECKING:
    from torch import Tensor

#: ``reference``: log-probabilities of the frozen start model; ``values``: a critic; ``behaviour``: log-probabilities
#: as the sampler had them; ``entropy``: of the policy at each token, with its gradient.
Need = Literal["reference", "values", "behaviour", "entropy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """One batch of rollouts over all processes, P problems with G samples each, before it is cut or shuffled.

    Attributes:
        rewards_PG: shaped rewards; NaN where a sample cannot be scored, which is the one mark of that.
        lengths_PG: completion tokens of each sample.
    """

    rewards_PG: Tensor
    lengths_PG: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """One forward pass of B completions of T tokens at most; what is under the mask may be anything, NaN included.

    Attributes:
        logps_BT: log-probability of each sampled token under the policy, with its gradient.
        old_BT: the same under the policy that the rollouts were drawn with, by the trainer's own arithmetic. In the
            first update after a draw it is ``logps_BT`` itself, detached.
        advantages_BT: one column is enough when a sequence has one advantage.
        mask_BT: 1 where a sampled token trains.
        ref_BT: under the frozen reference; there only when the algorithm needs ``reference``.
        behaviour_BT: as the sampler recorded it, in its precision; there only for ``behaviour``.
        entropy_BT: of the policy, in nats, with its gradient; there only for ``entropy``.
    """

    logps_BT: Tensor
    old_BT: Tensor
    advantages_BT: Tensor
    mask_BT: Tensor
    ref_BT: Tensor | None = None
    behaviour_BT: Tensor | None = None
    entropy_BT: Tensor | None = None


class Whole(NamedTuple):
    """The rows of one optimiser step over all processes and micro-batches: what a mean divides by.

    Attributes:
        sequences: completions that train.
        tokens: their tokens that train.
        longest: tokens a completion may have.
    """

    sequences: int
    tokens: int
    longest: int


class Algorithm(Strict):
    """A way of learning from rollouts; the fields are the method's own defaults, and each can be replaced.

    Attributes:
        rewards: summed; computed from correctness and length.
        minibatches: optimiser steps for one batch of rollouts, each row used in one of them. A batch of rollouts then
            holds ``minibatches`` times ``batch`` completions: ``batch`` stays what one optimiser step sees. Rows are
            shuffled before the cut, so the samples of a group may fall into several steps; their advantages were
            taken over the whole group before that.
    """

    rewards: tuple[AnyReward, ...] = Field(default=(Correctness(),), min_length=1)
    minibatches: int = Field(default=1, ge=1)

    def needs(self) -> frozenset[Need]:
        """What the trainer must provide beside the policy's own log-probabilities."""
        return frozenset()

    def lacks(self) -> tuple[str, ...]:
        """Parts of the published method that this build does not have, a sentence each."""
        return ()

    def advantages(self, groups: Groups) -> Advantages:
        """What each sample is worth, and which samples may train at all."""
        raise NotImplementedError

    def loss(self, tokens: Tokens, total: float) -> LossOut:
        """The part of the batch's loss that these rows make: parts of any cut add up to the whole.

        Args:
            tokens: the rows.
            total: ``divisor`` of the whole batch.
        """
        raise NotImplementedError

    def divisor(self, whole: Whole) -> float:
        """What the sum over the batch is divided by."""
        raise NotImplementedError
