"""Tiny random models of the architectures that users bring, with a tokenizer of their own: for tests and ``make zoo``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m.role + '|>' + m.content + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
_SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
_TEXT = [
    "what is 12+34? the answer is 46.",
    "let us add the numbers step by step",
    "0123456789 abc ( ) = *",
]
CONTEXT = 192

_COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
_GROUPED: dict[str, Any] = {**_COMMON, "num_key_value_heads": 2, "intermediate_size": 64}
_HEADS: dict[str, Any] = {**_GROUPED, "head_dim": 8}

#: Name -> config class and settings; every one is a causal language model of transformers.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2Config", _GROUPED),
    "qwen2-tied": ("Qwen2Config", {**_GROUPED, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", _HEADS),
    "qwen3-moe": (
        "Qwen3MoeConfig",
        {**_HEADS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    ),
    "mixtral": ("MixtralConfig", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "llama": ("LlamaConfig", _GROUPED),
    "gemma2": ("Gemma2Config", _HEADS),
    "gemma3": ("Gemma3TextConfig", _HEADS),
    "mistral": ("MistralConfig", _GROUPED),
    "phi3": ("Phi3Config", _GROUPED),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}),
    "gpt-neox": ("GPTNeoXConfig", {**_COMMON, "intermediate_size": 64}),
    "olmo2": ("Olmo2Config", _GROUPED),
    "gpt-oss": ("GptOssConfig", {**_HEADS, "num_local_experts": 4, "num_experts_per_tok": 2}),
}


def tokenizer(template: str | None = TEMPLATE, think: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer whose stop token pads too, as many published ones have it."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_TEXT, trainer)
    return dressed(add_tags(inner) if think else inner, template)


def add_tags(inner: Tokenizer) -> Tokenizer:
    """The think tags as ordinary single tokens."""
    tags = [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]
    inner.add_tokens(tags)
    return inner


def dressed(inner: Tokenizer, template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """With a chat template, and a stop token that pads too."""
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = template
    return made


def build(
    name: str,
    folder: Path,
    seed: int = 0,
    spare: int = 0,
    change: Callable[[Any], None] | None = None,
    own: PreTrainedTokenizerFast | None = None,
) -> Path:
    """Write one member of the zoo.

    Args:
        name: of ``ARCHITECTURES``.
        folder: where to.
        seed: of the weights.
        spare: rows of the embedding beyond the tokenizer's ids.
        change: edits the config before the model is made.
        own: its tokenizer, if not the byte-level one.
    """
    kind, settings = ARCHITECTURES[name]
    own = own or tokenizer()
    ids = {"bos_token_id": None, "eos_token_id": own.eos_token_id, "pad_token_id": own.pad_token_id}
    config = getattr(transformers, kind)(**settings, **ids, vocab_size=len(own) + spare)
    if change is not None:
        change(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; ``None`` removes one."""
    data = {**json.loads(path.read_bytes()), **changes}
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}), encoding="utf-8")
