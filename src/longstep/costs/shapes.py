"""Shapes of models: what a plan must know of a model without opening it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import longstep
from longstep.config import UserError
from longstep.costs.configs import read_config
from longstep.costs.decoder import Experts, Shape
from longstep.models.load import refuse_adapter

_Q05 = Shape(24, 896, 4864, 14, 2, 151_936, True)
_Q15 = Shape(28, 1536, 8960, 12, 2, 151_936, True)
_Q3 = Shape(36, 2048, 11_008, 16, 2, 151_936, True)
_Q7 = Shape(28, 3584, 18_944, 28, 4, 152_064, False)
_Q14 = Shape(48, 5120, 13_824, 40, 8, 152_064, False)
_Q32 = Shape(64, 5120, 27_648, 40, 8, 152_064, False)
_D15 = Shape(28, 1536, 8960, 12, 2, 151_936, False)


def _qwen3(layers: int, width: int, inner: int, heads: int, tied: bool = False) -> Shape:
    """Heads of 128, each with a norm; no biases."""
    vectors = 2 * width + 2 * 128
    return Shape(layers, width, inner, heads, 8, 151_936, tied, 128, vectors=vectors)


def _qwen3_moe(layers: int, width: int, heads: int, inner: int) -> Shape:
    vectors, experts = 2 * width + 2 * 128, Experts(128, 8, inner, layers)
    return Shape(
        layers, width, inner, heads, 4, 151_936, False, 128, vectors=vectors, experts=experts
    )


def _mixtral(layers: int, width: int, inner: int, heads: int, vocab: int) -> Shape:
    experts = Experts(8, 2, inner, layers)
    return Shape(layers, width, inner, heads, 8, vocab, False, 128, False, experts=experts)


def _gpt_oss(layers: int, count: int) -> Shape:
    """Width 2,880 everywhere, 64 heads of 64 with sinks, biases everywhere."""
    vectors = 2 * 2880 + (64 + 2 * 8) * 64 + 2880 + 64
    experts = Experts(count, 4, 2880, layers, biased=True)
    return Shape(layers, 2880, 2880, 64, 8, 201_088, False, 64, vectors=vectors, experts=experts)


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
    "Qwen/Qwen3-0.6B": _qwen3(28, 1024, 3072, 16, tied=True),
    "Qwen/Qwen3-1.7B": _qwen3(28, 2048, 6144, 16, tied=True),
    "Qwen/Qwen3-4B": _qwen3(36, 2560, 9728, 32, tied=True),
    "Qwen/Qwen3-8B": _qwen3(36, 4096, 12_288, 32),
    "Qwen/Qwen3-14B": _qwen3(40, 5120, 17_408, 40),
    "Qwen/Qwen3-32B": _qwen3(64, 5120, 25_600, 64),
    "Qwen/Qwen3-30B-A3B": _qwen3_moe(48, 2048, 32, 768),
    "Qwen/Qwen3-235B-A22B": _qwen3_moe(94, 4096, 64, 1536),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": _mixtral(32, 4096, 14_336, 32, 32_000),
    "mistralai/Mixtral-8x22B-Instruct-v0.1": _mixtral(56, 6144, 16_384, 48, 32_768),
    "openai/gpt-oss-20b": _gpt_oss(24, 32),
    "openai/gpt-oss-120b": _gpt_oss(36, 128),
}

#: The last size in a name: 14B, 0.5b; 8x7B; 30B-A3B, of which 3 billion are met by a token.
_SIZE = re.compile(
    r"(?<![0-9.aAxX])(?:(\d+)[xX])?(\d+(?:\.\d+)?)[bB](?:-[aA](\d+(?:\.\d+)?)[bB])?(?![a-zA-Z0-9])"
)


def shape_of(name: str) -> tuple[Shape, str]:
    """The shape of a shipped, local or published model, and a remark when it was guessed or may not be exact.

    Raises:
        UserError: the model is in no table, in no folder, and has no size in its name; or the folder holds no model.
    """
    if Path(name).is_dir():
        refuse_adapter(Path(name))
    for folder in (Path(name), Path(longstep.__file__).parent / "data" / name):
        if (folder / "config.json").is_file():
            return read_config(folder / "config.json")
    if Path(name).is_dir():
        raise UserError(f"{name}: no config.json; expected a Hugging Face model folder")
    if name in MODELS:
        return MODELS[name], ""
    sizes = _SIZE.findall(name)
    if not sizes:
        raise UserError(
            f"plan: the size of model {name!r} is unknown; give a local folder with its config.json "
            "as path, or add its shape to MODELS in costs/shapes.py"
        )
    close = _named_after(name) or _closest(*sizes[-1])
    return MODELS[close], f"{name} is not in the table of shapes; planned as {close}"


def _named_after(name: str) -> str | None:
    """The published model whose own name stands in this one, as in most finetunes'; the longest, if several do."""
    short = {each: each.partition("/")[2].lower() for each in MODELS}
    found = [each for each, own in short.items() if own in name.lower()]
    return max(found, key=lambda each: len(short[each]), default=None)


def _closest(times: str, size: str, active: str) -> str:
    """The published model nearest to the sizes in a name, a mixture where the name is one's."""
    wanted = float(size) * int(times or 1)
    mixture = bool(times or active)

    def distance(name: str) -> float:
        total, met = MODELS[name].parameters / 1e9, MODELS[name].active / 1e9
        # Rounded, so that of two models of one size the first in the table stands for it.
        apart = round(abs(math.log(total / wanted)), 2)
        return apart + (abs(math.log(met / float(active))) if active else 0.0)

    return min((name for name in MODELS if bool(MODELS[name].experts) == mixture), key=distance)
