"""How every stage that trains an existing model begins: tokenizer and float32 weights, adapters laid over them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.models.lora import Lora
from longstep.ranks import sharded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def open_policy(folder: Path, lora: Lora | None) -> tuple[PreTrainedTokenizerBase, Any]:
    """The tokenizer of a model folder and the model to train."""
    from longstep.models.load import load_model, load_tokenizer
    from longstep.models.lora import wrap

    model = load_model(folder, "float32", sharded())
    return load_tokenizer(folder), model if lora is None else wrap(model, lora)
