"""What an optimiser is: a strict config that makes a ``torch.optim.Optimizer`` for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from longstep.config import Field, Strict

if TYPE_CHECKING:
    import torch


class Optimizer(Strict):
    """Base of all members.

    Attributes:
        lr: peak learning rate, which a schedule scales; each group of parameters may have another.
    """

    #: It works on the shards of a weight; otherwise it needs the whole matrix.
    shardable: ClassVar[bool] = False
    #: Bytes it keeps for each trained weight, for a plan: Adam's two moments in float32, unless it keeps fewer.
    moments: ClassVar[float] = 8.0
    lr: float = Field(default=1e-5, gt=0)

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """One optimiser over the trainable parameters; all it keeps must be in its ``state_dict``."""
        raise NotImplementedError


def by_dimensions(
    model: torch.nn.Module,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Trainable weights with two or more dimensions, and the others, which no member decays."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]


def decayed_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The two as groups of an optimiser, with their decay; an empty one is left out."""
    matrices, vectors = by_dimensions(model)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
