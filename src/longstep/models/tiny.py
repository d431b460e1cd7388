r"""A character tokenizer and Qwen2 models small enough to train from nothing on two cores.

One assistant turn is ``<think>TRACE</think>\boxed{ANSWER}``. The think tags and ``\boxed{`` are ordinary added
tokens, not special ones, so decoding with ``skip_special_tokens=True`` keeps them.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from longstep.config import Field, Strict, model_validator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

SPECIAL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<|unk|>")
ADDED = ("<think>", "</think>", "\\boxed{")
CHARACTERS = (
    string.digits
    + string.ascii_lowercase
    + string.ascii_uppercase
    + " \n.,:;?!'()[]{}+-*/%^=~<>_$\\"
)

#: The think part of earlier assistant turns is dropped, that of the last turn is kept: one template serves training
#: (messages end with the assistant) and inference (``add_generation_prompt``). ``enable_thinking=False`` closes the
#: think block in the prompt, which turns reasoning off.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}"
    "{{- '<|user|>' + message.content -}}"
    "{%- elif message.role == 'assistant' -%}"
    "{{- '<|assistant|>' -}}"
    "{%- if loop.last -%}"
    "{%- generation -%}{{- message.content + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message.content.split('</think>')[-1] + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- else -%}"
    "{{- raise_exception('the tiny chat format has user and assistant turns, not '"
    " + message.role) -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|assistant|><think>' -}}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{- '</think>' -}}{%- endif -%}"
    "{%- endif -%}"
)


class TinySpec(Strict):
    """Shape of a tiny Qwen2 model with random weights.

    Attributes:
        width: hidden size; the SwiGLU layer is twice as wide.
        layers: number of decoder layers.
        heads: attention heads; ``width / heads`` must be even (rotary positions rotate pairs).
        context: longest sequence in tokens.
        init_std: spread of the initial weights. The usual 0.02 is made for wide models; here it learns far slower.
        tie: share the embedding with the output layer.
    """

    width: int = Field(default=64, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    context: int = Field(default=256, ge=16)
    init_std: float = Field(default=0.08, gt=0)
    tie: bool = True

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TinySpec:
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} must be a multiple of 2 * heads = {2 * self.heads}"
            )
        return self


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokenizer: one token per character, plus the chat and think tokens.

    A character it does not know becomes ``<|unk|>`` (one for each of its bytes), which no prompt and no row may hold.
    Characters are written as byte-level BPE without merges writes them, because of all tokenizers that is the one that
    transformers' ``AutoTokenizer`` leaves as it is in a folder of a Qwen2 model.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    characters = [cut.pre_tokenize_str(character)[0][0] for character in CHARACTERS]
    words = (*SPECIAL, *ADDED, *characters)
    known = {word: i for i, word in enumerate(words)}
    inner = Tokenizer(models.BPE(vocab=known, merges=[], unk_token="<|unk|>"))
    inner.pre_tokenizer = cut
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    inner.add_tokens([AddedToken(word, special=False, normalized=False) for word in ADDED])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        unk_token="<|unk|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(spec: TinySpec, seed: int) -> Qwen2ForCausalLM:
    """A Qwen2 model with random weights that depend on ``seed`` alone.

    The caller's random state is left as it was.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    end, pad = SPECIAL.index("<|end|>"), SPECIAL.index("<|pad|>")
    config = Qwen2Config(
        vocab_size=len(SPECIAL) + len(ADDED) + len(CHARACTERS),
        hidden_size=spec.width,
        intermediate_size=2 * spec.width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.heads,
        max_position_embeddings=spec.context,
        initializer_range=spec.init_std,
        tie_word_embeddings=spec.tie,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype=torch.float32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    return model
