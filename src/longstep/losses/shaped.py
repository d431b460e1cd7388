"""LUFFY's shaping (arXiv 2504.14945): what an answer by somebody else costs.

    loss = -A p / (p + 0.1)        p the policy's probability of the token; no ratio and no clip

There is no probability to compare with, so the ratio is p itself, which would teach most where the policy is sure
already. Through f(p) = p / (p + 0.1) the gradient on log p is 0.1 p / (p + 0.1)^2, largest at p = 0.1: tokens that
the policy finds unlikely, and not impossible, are learned most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from longstep.losses.base import Tokens

GAMMA = 0.1


def with_shaped(losses_BT: Tensor, tokens: Tokens) -> Tensor:
    """The losses, those of shaped rows in LUFFY's form; an algorithm's own have no meaning for them."""
    if tokens.shaped_B1 is None:
        return losses_BT
    probabilities_BT = tokens.logps_BT.exp()
    shapes_BT = probabilities_BT / (probabilities_BT + GAMMA)
    return (-tokens.advantages_BT * shapes_BT).where(tokens.shaped_B1.bool(), losses_BT)
