"""What every loss gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class LossOut(NamedTuple):
    """A scalar loss to differentiate, and detached scalars to log."""

    loss: Tensor
    metrics: dict[str, Tensor]


class TokenLosses(NamedTuple):
    """The loss of every token before any mean, and detached scalars to log; one column when all of a row are equal."""

    losses_BT: Tensor
    metrics: dict[str, Tensor]


def masked_max(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Largest of the places where the mask is 1, detached; 0 where there are none, and never below."""
    return values_BT.detach().where(mask_BT.bool(), 0.0).amax()


def masked_mean(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the places where the mask is 1, detached; 0 where there are none."""
    chosen_BT = mask_BT.bool()
    return values_BT.detach().where(chosen_BT, 0.0).sum() / chosen_BT.sum().clamp(min=1)
