"""QLoRA: a frozen base in 4 bits while adapters train on it, and the adapters merged into the weights as they were.

The model in training and the one that comes out differ by the rounding of the base: merging into the 4-bit weights
would round a second time. Never run on a GPU by us.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from longstep.models.account import load_whole
from longstep.models.load import best_device, load_model, refuse_unsafe
from longstep.models.lora import store_adapter, with_adapter

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def load_nf4(folder: Path) -> PreTrainedModel:
    """The model of a folder with its linear layers but the last in NF4, scales quantised too; the rest in float32.

    Raises:
        UserError: as :func:`longstep.models.load.load_model` does.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    refuse_unsafe(folder)
    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    more = {"quantization_config": how, "device_map": {"": best_device()}}
    return load_whole(AutoModelForCausalLM, folder, torch.float32, more)


def merged_plain(peft_model: Any, folder: Path, probe_ids_BT: Tensor) -> PreTrainedModel:
    """The adapters of a model in training merged into the plain weights of its folder, in bfloat16 on the device.

    It is merged in float32 in the host's memory: a device that needs a base in 4 bits has no room for that.

    Raises:
        UserError: as :func:`longstep.models.lora.merge` does.
    """
    import torch

    with TemporaryDirectory(prefix="longstep-") as scratch:
        store_adapter(peft_model, Path(scratch))
        plain = load_model(folder, "float32", sharded=True)
        merged = with_adapter(plain, Path(scratch), probe_ids_BT.cpu())
    return merged.to(torch.bfloat16).to(torch.device(best_device()))  # pyright: ignore[reportArgumentType]
