"""How the losses of tokens become one number: what is added up, and what the sum over the batch is divided by.

With L tokens in an answer, N answers and the mask already applied, a token weighs

| average         | a token weighs                    | used by                                     |
|-----------------|-----------------------------------|---------------------------------------------|
| `SEQUENCE_MEAN` | 1 / (N L)                         | GRPO, Light-R1, GSPO, SAPO                  |
| `TOKEN_MEAN`    | 1 / all tokens of the batch       | DAPO, CISPO, Lite PPO, REINFORCE++          |
| `SEQUENCE_SUM`  | 1 / N                             | REINFORCE, RLOO, MaxRL: the gradient itself |
| `CONSTANT`      | 1 / (N x longest allowed answer)  | Dr. GRPO                                    |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CONSTANT", "SEQUENCE_MEAN", "SEQUENCE_SUM", "TOKEN_MEAN", "Average", "Whole"]


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


class Average(NamedTuple):
    """One way of averaging; sums of the parts of any cut add up to that of the whole.

    Attributes:
        summed: from the losses of tokens, 0 where the mask is, and that mask to a scalar.
        divisor: what the sum over the whole batch is divided by.
    """

    summed: Callable[[Tensor, Tensor], Tensor]
    divisor: Callable[[Whole], float]


def _all_tokens(losses_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return losses_BT.sum()


def _means(losses_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return (losses_BT.sum(-1) / mask_BT.sum(-1).clamp(min=1)).sum()


SEQUENCE_MEAN = Average(_means, lambda whole: float(whole.sequences))
TOKEN_MEAN = Average(_all_tokens, lambda whole: float(whole.tokens))
SEQUENCE_SUM = Average(_all_tokens, lambda whole: float(whole.sequences))
CONSTANT = Average(_all_tokens, lambda whole: float(whole.sequences * whole.longest))
