"""The critic of an algorithm that needs one: a copy of the policy's layers with one number on top, and its updates.

It is a model of its own with an optimiser of its own, because what the policy must keep, language, a critic must give
up. Its updates come before the policy's in each micro-batch, so that the activations of the two are never held at once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from longstep.config import UserError
from longstep.losses.critic import CriticConfig
from longstep.losses.out import masked_mean

#: In each checkpoint, beside the policy's weights.
FILE = "critic.pt"


class Critic(torch.nn.Module):
    """Says before each token what reward the answer will earn; at first 0, whatever it reads."""

    def __init__(self, model: Any) -> None:
        """Copy the layers below the output layer of a causal model.

        Raises:
            UserError: they do not stand apart from it.
        """
        super().__init__()
        trunk = model.base_model
        if trunk is model:
            raise UserError(
                f"algorithm: a critic is made of the layers below the output layer, and {type(model).__name__} does "
                "not keep them apart; take an algorithm without a critic"
            )
        self.trunk = copy.deepcopy(trunk)
        head = model.get_output_embeddings()
        self.head = torch.nn.Linear(head.weight.shape[1], 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, ids_BS: Tensor, attended_BS: Tensor, completion: int) -> Tensor:
        """Values of the last ``completion`` places, ``[B, T]`` float32: each read from all tokens before it."""
        read = self.trunk(input_ids=ids_BS, attention_mask=attended_BS, use_cache=False)
        before_BTH = read.last_hidden_state[:, -completion - 1 : -1]
        with torch.autocast(
            before_BTH.device.type, enabled=False
        ):  # bfloat16 would round a value to 1 in 256
            return self.head(before_BTH.float()).squeeze(-1)


class CriticTrainer:
    """Trains a critic, a micro-batch at a time.

    Attributes:
        config: how it learns.
        critic: the model.
        optimizer: its own.
    """

    def __init__(self, config: CriticConfig, model: Any, clip: float) -> None:
        """Make the critic of a policy; ``clip`` is the largest norm of its gradient."""
        self.config, self._clip = config, clip
        self.critic = Critic(model)
        self.optimizer = config.optimizer.build(self.critic)

    def to(self, device: Any, checkpointing: bool) -> None:
        """Go where the policy is, and keep as few activations as it does."""
        if checkpointing:
            self.critic.trunk.gradient_checkpointing_enable()
        self.critic.to(device)

    def warming(self, step: int) -> bool:
        """Whether the critic alone learns in this optimiser step, counted from 0."""
        return step < self.config.warmup

    @torch.no_grad()
    def values(self, ids_BS: Tensor, attended_BS: Tensor, completion: int, together: int) -> Tensor:
        """Values of a whole draw, ``together`` rows at a time."""
        self.critic.eval()
        pairs = zip(ids_BS.split(together), attended_BS.split(together), strict=True)
        return torch.cat([self.critic(ids, attended, completion) for ids, attended in pairs])

    def loss(
        self, rows: tuple[Tensor, Tensor, int], old: Mapping[str, Tensor], mask_BT: Tensor
    ) -> Tensor:
        """The part of a step's loss that some rows make: a mean over its tokens.

        Args:
            rows: what ``forward`` takes.
            old: ``values`` and ``targets`` of the draw, and the ``tokens`` of the whole step.
            mask_BT: tokens that train.
        """
        self.critic.train()
        losses_BT = self.config.loss.each(self.critic(*rows), old["values"], old["targets"])
        loss = losses_BT.where(mask_BT.bool(), 0.0).sum() / max(int(old["tokens"]), 1)
        if not torch.isfinite(loss):
            raise UserError(
                f"the critic's loss is {loss.item()}; no step was taken and checkpoints are intact"
            )
        return loss

    def step(self) -> None:
        """Update it with the gradients so far."""
        torch.nn.utils.clip_grad_norm_(self.critic.parameters(), self._clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, checkpoint: Path) -> None:
        """Keep weights and optimiser in a checkpoint that is not sealed yet."""
        state = {"critic": self.critic.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, checkpoint / FILE)

    def load(self, checkpoint: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(checkpoint / FILE, map_location="cpu", weights_only=True)
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])


def explained_variance(values_BT: Tensor, targets_BT: Tensor, mask_BT: Tensor) -> float | None:
    """``1 - Var(target - value) / Var(target)`` over the tokens under the mask; ``None`` where all targets are equal.

    1 for a critic that knows, 0 for one that says the same everywhere, below 0 for one that is worse than that.
    """

    def variance(each_BT: Tensor) -> float:
        return masked_mean((each_BT - masked_mean(each_BT, mask_BT)).square(), mask_BT).item()

    spread = variance(targets_BT)
    return None if spread == 0.0 else 1.0 - variance(targets_BT - values_BT) / spread
