"""LoRA through PEFT, with a gate: the merged model must be the adapter model, and must not be the base model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longstep.config import Field, Strict, UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TOLERANCE = 1e-3


class Lora(Strict):
    """Low-rank adapters (Hu et al., arXiv 2106.09685); merged into the model when the stage ends."""

    r: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")


def wrap(model: PreTrainedModel, lora: Lora) -> Any:
    """A PEFT model with fresh adapters on the named projections."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def merge(peft_model: Any, probe_ids_BT: Tensor) -> PreTrainedModel:
    """Merge adapters in float32 and check the result on probe rows.

    Raises:
        UserError: the adapter changes nothing, or merged and adapter logits disagree.
    """
    import torch

    dtype = next(peft_model.parameters()).dtype
    peft_model = peft_model.float().eval()
    with torch.no_grad():
        adapter_BTV = peft_model(probe_ids_BT).logits
        with peft_model.disable_adapter():
            base_BTV = peft_model(probe_ids_BT).logits
        merged = peft_model.merge_and_unload()
        merged_BTV = merged(probe_ids_BT).logits
    if torch.equal(adapter_BTV, base_BTV):
        raise UserError(
            "the LoRA adapter has no effect: its logits equal the base model's; nothing was trained"
        )
    difference = (adapter_BTV - merged_BTV).abs().max().item()
    if not difference <= TOLERANCE:  # not a number is no agreement either
        raise UserError(
            f"the merged LoRA model differs from the adapter model by {difference:.2g} in its logits"
        )
    return merged.to(dtype)
