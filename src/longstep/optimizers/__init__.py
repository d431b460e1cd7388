"""Optimisers by name: ``adamw`` for every model, ``muon`` for small models trained from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from longstep.config import Field, Strict

if TYPE_CHECKING:
    import torch

__all__ = ["AdamW", "AnyOptimizer", "Muon", "build_optimizer"]


class AdamW(Strict):
    """Decoupled weight decay Adam (Loshchilov and Hutter, 2019); decay on matrices only.

    Attributes:
        lr: peak learning rate; a schedule scales it.
        betas: decay of the two moments.
        eps: added to the denominator.
        weight_decay: decoupled decay of weights with two or more dimensions.
    """

    #: It works on the shards of a weight; otherwise it needs the whole matrix.
    shardable: ClassVar[bool] = True
    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class Muon(Strict):
    """Muon on the hidden matrices, AdamW on everything else (Jordan, 2024).

    Everything else is embeddings, output layer, norms and biases.

    Attributes:
        lr: peak learning rate of the hidden matrices.
        momentum: decay of the momentum (Nesterov).
        adamw_lr: peak learning rate of everything else.
        betas: AdamW's decay of the two moments.
        eps: added to AdamW's denominator.
        weight_decay: decoupled decay of weights with two or more dimensions.
    """

    shardable: ClassVar[bool] = False
    kind: Literal["muon"] = "muon"
    lr: float = Field(default=1.5e-2, gt=0)
    momentum: float = Field(default=0.95, ge=0, lt=1)
    adamw_lr: float = Field(default=3e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


AnyOptimizer = Annotated[AdamW | Muon, Field(discriminator="kind")]


def build_optimizer(config: AdamW | Muon, model: torch.nn.Module) -> torch.optim.Optimizer:
    """One optimiser over the trainable parameters of ``model``.

    A hidden matrix is a 2-D weight that is neither an ``Embedding`` nor the output layer (a module called
    ``lm_head``); LoRA factors count as hidden matrices.
    """
    import torch

    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for _, p in named if p.ndim >= 2]
    vectors = [p for _, p in named if p.ndim < 2]
    if isinstance(config, AdamW):
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)

    from longstep.optimizers.muon import MuonAdamW

    edge = {
        id(p)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) or name.split(".")[-1] == "lm_head"
        for p in module.parameters()
    }
    hidden = [p for p in matrices if p.ndim == 2 and id(p) not in edge]
    others = [p for p in matrices if p.ndim != 2 or id(p) in edge]
    return MuonAdamW(hidden, others, vectors, config)
