"""Shapes of models: what a plan must know of a model without opening it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import longstep
from longstep.config import UserError


@dataclass(frozen=True)
class Shape:
    """A Qwen2-like decoder: grouped-query attention, gated MLP, biases on queries, keys and values.

    Attributes:
        layers: decoder layers.
        width: hidden size.
        inner: width of the gated MLP.
        heads: query heads.
        kv_heads: key and value heads.
        vocab: rows of the embedding.
        tied: the output layer shares the embedding.
        head_width: of one head; 0 is ``width // heads``.
        bias: queries, keys and values have biases (Qwen2 yes, Llama no).
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    head_width: int = 0
    bias: bool = True

    @property
    def attention_width(self) -> int:
        """Query heads times their width."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def kv_width(self) -> int:
        """Key heads times their width."""
        return self.kv_heads * (self.head_width or self.width // self.heads)

    @property
    def layer_matrices(self) -> int:
        """Weights in the matrices of one layer."""
        attention = 2 * self.width * (self.attention_width + self.kv_width)
        return attention + 3 * self.width * self.inner

    @property
    def matrices(self) -> int:
        """Weights every token is multiplied with: all matrices and the output layer, not the look-up."""
        return self.layers * self.layer_matrices + self.vocab * self.width

    @property
    def parameters(self) -> int:
        """All parameters."""
        vectors = 2 * self.width + (self.attention_width + 2 * self.kv_width) * self.bias
        embedding = 0 if self.tied else self.vocab * self.width
        return self.matrices + embedding + self.layers * vectors + self.width

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values in bf16 that one token leaves in the cache."""
        return 2 * 2 * self.layers * self.kv_width


_Q05 = Shape(24, 896, 4864, 14, 2, 151_936, True)
_Q15 = Shape(28, 1536, 8960, 12, 2, 151_936, True)
_Q3 = Shape(36, 2048, 11_008, 16, 2, 151_936, True)
_Q7 = Shape(28, 3584, 18_944, 28, 4, 152_064, False)
_Q14 = Shape(48, 5120, 13_824, 40, 8, 152_064, False)
_Q32 = Shape(64, 5120, 27_648, 40, 8, 152_064, False)
_D15 = Shape(28, 1536, 8960, 12, 2, 151_936, False)

#: Shapes as published in each model's config.json. A distilled 1.5B has an output layer of its own;
#: Qwen2.5-1.5B shares its embedding.
MODELS: Mapping[str, Shape] = {
    "Qwen/Qwen2.5-0.5B": _Q05,
    "Qwen/Qwen2.5-0.5B-Instruct": _Q05,
    "Qwen/Qwen2.5-Math-1.5B": _Q15,
    "Qwen/Qwen2.5-Math-1.5B-Instruct": _Q15,
    "Qwen/Qwen2.5-Math-7B": _Q7,
    "Qwen/Qwen2.5-Math-7B-Instruct": _Q7,
    "Qwen/Qwen2.5-1.5B-Instruct": _Q15,
    "Qwen/Qwen2.5-3B-Instruct": _Q3,
    "Qwen/Qwen2.5-7B-Instruct": _Q7,
    "Qwen/Qwen2.5-14B-Instruct": _Q14,
    "Qwen/Qwen2.5-32B-Instruct": _Q32,
    "agentica-org/DeepScaleR-1.5B-Preview": _D15,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _D15,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": _Q7,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": _Q14,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": _Q32,
    "qihoo360/Light-R1-7B-DS": _Q7,
    "qihoo360/Light-R1-14B-DS": _Q14,
    "qihoo360/Light-R1-32B": _Q32,
    "qihoo360/Light-R1-32B-DS": _Q32,
}

_SIZE = re.compile(r"(?<![0-9.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z0-9])")


def shape_of(name: str) -> tuple[Shape, str]:
    """The shape of a shipped, local or published model, and a remark when it was guessed.

    Raises:
        UserError: the model is in no table, in no folder, and has no size in its name.
    """
    for folder in (Path(name), Path(longstep.__file__).parent / "data" / name):
        if (folder / "config.json").is_file():
            return _read(folder / "config.json"), ""
    if name in MODELS:
        return MODELS[name], ""
    sizes = _SIZE.findall(name)
    if not sizes:
        raise UserError(
            f"plan: the size of model {name!r} is unknown; give a local folder with its config.json "
            "as path, or add its shape to MODELS in costs/shapes.py"
        )
    wanted = float(sizes[-1]) * 1e9
    close = min(MODELS, key=lambda each: abs(MODELS[each].parameters - wanted))
    return MODELS[close], f"{name} is not in the table of shapes; planned as {close}"


def _read(path: Path) -> Shape:
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    try:
        heads = raw["num_attention_heads"]
        return Shape(
            layers=raw["num_hidden_layers"],
            width=raw["hidden_size"],
            inner=raw["intermediate_size"],
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            vocab=raw["vocab_size"],
            tied=bool(raw.get("tie_word_embeddings", False)),
            head_width=raw.get("head_dim") or 0,
            bias=raw.get("model_type") == "qwen2" or bool(raw.get("attention_bias", False)),
        )
    except KeyError as error:
        raise UserError(
            f"{path}: no {error.args[0]}; plan knows decoders with Llama-like configs only"
        ) from None
