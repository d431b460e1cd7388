"""Muon, for small models trained from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.optimizers.base import Optimizer, by_dimensions

if TYPE_CHECKING:
    import torch


class Muon(Optimizer):
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

    kind: Literal["muon"] = "muon"
    lr: float = Field(default=1.5e-2, gt=0)
    momentum: float = Field(default=0.95, ge=0, lt=1)
    adamw_lr: float = Field(default=3e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Sort the weights to Muon and to AdamW.

        A hidden matrix is a 2-D weight that is neither an ``Embedding`` nor the output layer (a module called
        ``lm_head``); LoRA factors count as hidden matrices.
        """
        import torch

        from longstep.optimizers.orthogonal import MuonAdamW

        edge = {
            id(p)
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Embedding) or name.split(".")[-1] == "lm_head"
            for p in module.parameters()
        }
        matrices, vectors = by_dimensions(model)
        hidden = [p for p in matrices if p.ndim == 2 and id(p) not in edge]
        others = [p for p in matrices if p.ndim != 2 or id(p) in edge]
        return MuonAdamW(hidden, others, vectors, self)
