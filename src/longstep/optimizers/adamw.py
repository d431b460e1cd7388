"""AdamW, for every model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.config import Field
from longstep.optimizers.base import Optimizer, decayed_groups

if TYPE_CHECKING:
    import torch


class AdamW(Optimizer):
    """Decoupled weight decay Adam (Loshchilov and Hutter, 2019); decay on matrices only.

    Attributes:
        lr: peak learning rate; a schedule scales it.
        betas: decay of the two moments.
        eps: added to the denominator.
        weight_decay: decoupled decay of weights with two or more dimensions.
    """

    shardable: ClassVar[bool] = True
    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Torch's own, with two groups."""
        import torch

        groups = decayed_groups(model, self.weight_decay)
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps)
