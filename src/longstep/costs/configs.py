"""A model's shape from its config.json, without torch: what architectures call their sizes; their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from longstep.config import UserError
from longstep.costs.decoder import Experts, Shape
from longstep.models.load import model_json


@dataclass(frozen=True)
class _Family:
    """What a model_type has beside the large matrices, and the defaults its config may leave out.

    Attributes:
        norms: of the model's width, in one layer.
        normed: queries and keys pass a norm of one ``head``, or of the whole ``row``.
        biases: of the attention: none, of ``queries``, keys and values, or of ``all`` four; a text names the key of
            the config that says whether all four have one.
        default: that key's value where the config is silent.
        plain: no gate in the MLP; norms and MLP have biases too.
        tied: where the config is silent.
        head: width of a head, where the config is silent.
        names: what it calls a size, where not as Llama does.
        positions: the key that says how many rows its table of positions has.
        sinks: each head has a weight of its own that attention may rest on.
    """

    norms: int = 2
    normed: Literal["", "head", "row"] = ""
    biases: str = ""
    default: bool = False
    plain: bool = False
    tied: bool = False
    head: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    positions: str = ""
    sinks: bool = False


_GPT2 = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "num_key_value_heads": "n_head",
    "intermediate_size": "n_inner",
}
_UNGROUPED = {"num_key_value_heads": "num_attention_heads"}
_FAMILIES: Mapping[str, _Family] = {
    "llama": _Family(biases="attention_bias"),
    "mistral": _Family(),
    "phi3": _Family(),
    "qwen2": _Family(biases="queries"),
    "qwen3": _Family(biases="attention_bias", normed="head", head=128),
    "gemma": _Family(biases="attention_bias", tied=True, head=256),
    "gemma2": _Family(biases="attention_bias", norms=4, tied=True, head=256),
    "gemma3_text": _Family(biases="attention_bias", norms=4, normed="head", tied=True, head=256),
    "olmo2": _Family(biases="attention_bias", normed="row"),
    "olmo3": _Family(biases="attention_bias", normed="row"),
    "granite": _Family(biases="attention_bias"),
    "smollm3": _Family(biases="attention_bias", tied=True),
    "gpt2": _Family(biases="all", plain=True, tied=True, names=_GPT2, positions="n_positions"),
    "gpt_neox": _Family(biases="attention_bias", default=True, plain=True, names=_UNGROUPED),
    "mixtral": _Family(),
    "qwen2_moe": _Family(biases="queries"),
    "qwen3_moe": _Family(biases="attention_bias", normed="head"),
    "olmoe": _Family(biases="attention_bias", normed="row"),
    "gpt_oss": _Family(biases="attention_bias", default=True, head=64, sinks=True),
}
#: What architectures call the number of experts in a layer.
_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")


def read_config(path: Path) -> tuple[Shape, str]:
    """The shape that a config.json describes, and a remark where it may not be exact.

    Raises:
        UserError: it is damaged, or lacks a size.
    """
    raw, remark = model_json(path), ""
    if isinstance(raw.get("text_config"), dict):
        raw = raw["text_config"]
        remark = f"{path}: only its text model is counted"
    kind = str(raw.get("model_type"))
    if kind not in _FAMILIES:
        remark = f"{path}: plan does not know model_type {kind!r}, and counts it like a Llama's"
    return _Config(path, raw, _FAMILIES.get(kind, _FAMILIES["llama"])).shape(), remark


@dataclass(frozen=True)
class _Config:
    """One config.json, read by the words of its family."""

    path: Path
    raw: Mapping[str, Any]
    family: _Family

    def shape(self) -> Shape:
        """All of it."""
        width, heads = self._size("hidden_size"), self._size("num_attention_heads")
        mixture = self._mixture(self._size("num_hidden_layers"))
        shape = Shape(
            layers=self._size("num_hidden_layers"),
            width=width,
            inner=self._size("intermediate_size", self._inner(width, mixture)),
            heads=heads,
            kv_heads=self._size("num_key_value_heads", heads),
            vocab=self._size("vocab_size"),
            tied=bool(self.raw.get("tie_word_embeddings", self.family.tied)),
            head_width=self._size("head_dim", self.family.head or max(1, width // heads)),
            matrices_of_mlp=2 if self.family.plain else 3,
            experts=mixture,
        )
        outside = width * (2 if self.family.plain else 1)
        outside += self._size(self.family.positions) * width if self.family.positions else 0
        return replace(shape, vectors=self._vectors(shape), outside=outside)

    def _size(self, name: str, default: int = 0) -> int:
        """A whole number above 0, by the family's name for it; absent or null where there is a default."""
        called = self.family.names.get(name, name)
        value = self.raw.get(called)
        if value is None and default:
            return default
        if value is None:
            raise UserError(
                f"{self.path}: no {called}; plan knows decoders with Llama-like configs only"
            )
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(
                f"{self.path}: {called} is {str(value)[:40]!r}, expected a whole number of at least 1; plan knows "
                "decoders with the same size in every layer only"
            )
        return value

    def _inner(self, width: int, mixture: Experts | None) -> int:
        """The MLP's width where the config is silent: GPT-2's is four times the model's; a pure mixture has none."""
        return 4 * width if self.family.positions else mixture.inner if mixture else 0

    def _vectors(self, shape: Shape) -> int:
        """Norms, biases and sinks of one layer."""
        own, total = self.family, self.family.norms * shape.width * (2 if self.family.plain else 1)
        head = shape.attention_width // shape.heads
        rows = shape.attention_width + 2 * shape.kv_width
        if own.normed:
            total += 2 * head if own.normed == "head" else shape.attention_width + shape.kv_width
        if own.biases == "queries":
            total += rows * bool(self.raw.get("qkv_bias", True))
        elif own.biases == "all" or self.raw.get(own.biases, own.default):
            total += rows + shape.width
        if own.plain or self.raw.get("mlp_bias"):
            total += (shape.matrices_of_mlp - 1) * shape.inner + shape.width
        return total + (shape.heads if own.sinks else 0)

    def _mixture(self, layers: int) -> Experts | None:
        named = next((name for name in _COUNTS if self.raw.get(name)), None)
        if named is None:
            return None
        inner = "moe_intermediate_size" if self.raw.get("moe_intermediate_size") else ""
        inner = self._size(inner or "intermediate_size")
        every = self._size("decoder_sparse_step", 1)
        first = self.raw.get("first_k_dense_replace") or 0
        dense = self.raw.get("mlp_only_layers") or ()
        sparse = [
            n for n in range(layers) if n not in dense and (n + 1) % every == 0 and n >= first
        ]
        shared = self.raw.get("shared_expert_intermediate_size") or 0
        return Experts(
            count=self._size(named),
            used=self._size("num_experts_per_tok"),
            inner=inner,
            layers=len(sparse),
            shared=shared or inner * int(self.raw.get("n_shared_experts") or 0),
            gated=bool(shared),
            biased=self.family.sinks,
        )
