"""Muon and AdamW as one torch optimiser, so that schedulers and checkpoints see a single object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from longstep.optimizers.muon import Muon

# Quintic Newton-Schulz coefficients of Jordan's Muon post (2024): singular values land in about
# [0.7, 1.2], not at 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices_NMK: Tensor, steps: int = 5) -> Tensor:
    """Replace each matrix ``U S V^T`` by about ``U V^T``.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). Differs from the
    reference: float32 instead of bfloat16 (slow on a CPU), and many matrices of one shape at once.

    Args:
        matrices_NMK: stacked matrices [N, M, K].
        steps: iterations of the quintic polynomial.

    Returns:
        Matrices of the same shape with singular values in about [0.7, 1.2]; zero matrices stay zero.
    """
    a, b, c = COEFFICIENTS
    tall = matrices_NMK.shape[1] > matrices_NMK.shape[2]
    x_NMK = (matrices_NMK.mT if tall else matrices_NMK).float()
    x_NMK = x_NMK / (x_NMK.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram_NMM = x_NMK @ x_NMK.mT
        x_NMK = a * x_NMK + (b * gram_NMM + c * gram_NMM @ gram_NMM) @ x_NMK
    return (x_NMK.mT if tall else x_NMK).to(matrices_NMK.dtype)


class MuonAdamW(torch.optim.Optimizer):
    """Muon on ``hidden``, AdamW on ``others`` and (without decay) on ``vectors``.

    The group's ``method`` says which rule it follows; it is part of ``state_dict``.
    """

    def __init__(
        self,
        hidden: Sequence[Tensor],
        others: Sequence[Tensor],
        vectors: Sequence[Tensor],
        config: Muon,
    ) -> None:
        """Build the parameter groups from the config; empty groups are left out."""
        adamw = {"method": "adamw", "lr": config.adamw_lr, "betas": config.betas, "eps": config.eps}
        groups: list[dict[str, Any]] = [
            {
                "params": hidden,
                "method": "muon",
                "lr": config.lr,
                "momentum": config.momentum,
                "weight_decay": config.weight_decay,
            },
            {"params": others, **adamw, "weight_decay": config.weight_decay},
            {"params": vectors, **adamw, "weight_decay": 0.0},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for p in parameters:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            if group["method"] == "muon":
                self._muon(parameters, group)
            else:
                self._adamw(parameters, group)
        return loss

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Nesterov momentum, orthogonalised; matrices of one shape go through together."""
        by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for p in parameters:
            by_shape[p.shape].append(p)
        for shape, same in by_shape.items():
            updates = []
            for p in same:
                assert p.grad is not None
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                updates.append(p.grad.lerp(momentum, group["momentum"]))
            # Jordan's factor: a tall matrix moves each output as far as a square one does.
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for p, update in zip(same, orthogonalize(torch.stack(updates)), strict=True):
                p.add_(update, alpha=-group["lr"] * scale)

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        for p in parameters:
            if "step" not in self.state[p]:
                self.state[p].update(
                    step=torch.zeros(()),
                    exp_avg=torch.zeros_like(p),
                    exp_avg_sq=torch.zeros_like(p),
                )
            assert p.grad is not None
            state = self.state[p]
            state["step"] += 1
            count = int(state["step"])
            state["exp_avg"].lerp_(p.grad, 1 - beta1)
            state["exp_avg_sq"].lerp_(p.grad.square(), 1 - beta2)
            denominator = (state["exp_avg_sq"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
            p.addcdiv_(state["exp_avg"], denominator, value=-group["lr"] / (1 - beta1**count))
