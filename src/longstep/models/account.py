"""Every tensor accounted for: what a file lacks is never filled at random, what a model has no place for is never lost.

``from_pretrained`` fills missing tensors with fresh random numbers and drops unknown ones with a log line. Names that a
wrapper prefixed (torch.compile, DataParallel, PEFT) therefore give a model that is random from end to end, runs, and
answers differently each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.models.chat import THINK_CLOSE, THINK_OPEN, encode_text, render_prompt
from longstep.models.damage import InWords
from longstep.models.load import model_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Types of safetensors that hold a weight as it is.
_PLAIN = ("F64", "F32", "F16", "BF16")
#: What wrappers write before or into a tensor's name, and who does it.
WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "module.": "DataParallel",
    "base_model.model.": "PEFT",
    ".base_layer.": "PEFT, without merging the adapter",
}


def load_whole(
    kind: Any, folder: Path, dtype: torch.dtype, more: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """``kind.from_pretrained`` of a local folder, refused unless file and model hold the same tensors.

    Args:
        kind: ``AutoModelForCausalLM`` or a model's own class.
        folder: a Hugging Face model folder.
        dtype: of the weights in memory.
        more: for ``from_pretrained``.

    Raises:
        UserError: the weights are damaged, or some tensor is missing or left over.
    """
    refuse_quantised(folder)
    generation = _generation(folder)
    with InWords(f"{folder}: the model cannot be loaded"):
        model, told = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **generation,
            **(more or {}),
        )
    refuse_unaccounted(folder, told)
    return model


def refuse_quantised(folder: Path) -> None:
    """Refuse weights that are whole numbers or eighths of what they were: read as they stand, they mean nothing.

    Most releases say so in config.json; a folder whose config was copied from the plain release does not. A model may
    hold some numbers of such a type, masks and counters, but not most.

    Raises:
        UserError: naming the type.
    """
    types = stored_types(folder)
    most = max(types, key=lambda each: types[each], default="F32")
    if most not in _PLAIN:
        raise UserError(
            f"{folder}: most of its numbers are stored as {most}, so its weights are quantised; longstep trains, draws "
            "and merges plain ones; take the unquantised release"
        )


def stored_types(folder: Path) -> dict[str, int]:
    """Numbers stored by type, from the heads of the files.

    Raises:
        UserError: a file is damaged.
    """
    types: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for entry in _entries(path):
            count = 1
            for size in entry["shape"]:
                count *= size
            types[entry["dtype"]] = types.get(entry["dtype"], 0) + count
    return types


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Type and shape of every tensor of a file, in the order of the file."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        head.pop("__metadata__", None)
        yield from ({"dtype": e["dtype"], "shape": e["shape"]} for e in head.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
        raise UserError(
            f"{path}: cannot be read as safetensors; it is damaged, download it again"
        ) from None


def _generation(folder: Path) -> dict[str, Any]:
    """Nothing, unless the folder's generation config is one that this transformers refuses, even to load the weights.

    Older releases wrote settings that contradict each other; longstep reads nothing but the ids of it.
    """
    from transformers import GenerationConfig

    path = folder / "generation_config.json"
    if not path.is_file():
        return {}
    found = model_json(path)
    try:
        with InWords(f"{path}: cannot be read"):
            GenerationConfig.from_pretrained(folder, local_files_only=True).validate(strict=True)
    except UserError:
        ids = ("bos_token_id", "eos_token_id", "pad_token_id")
        kept = GenerationConfig(**{name: found.get(name) for name in ids})
        return {"generation_config": kept}
    return {}


def refuse_unaccounted(folder: Path, told: Mapping[str, Any]) -> None:
    """Refuse a load that left a tensor without its value or a value without its tensor.

    Args:
        folder: for the sentence.
        told: transformers' loading info.

    Raises:
        UserError: with the first missing and the first unused name, and the remedy.
    """
    missing, unused = sorted(told["missing_keys"]), sorted(map(str, told["unexpected_keys"]))
    if not missing and not unused:
        return
    said = [_counted(missing, "missing from its weights"), _counted(unused, "not used by it")]
    raise UserError(
        f"{folder}: not every tensor of this model is accounted for: {', '.join(filter(None, said))}; "
        f"nothing is filled in at random: {_remedy(missing, unused)}"
    )


def _counted(names: list[str], what: str) -> str:
    if not names:
        return ""
    return f"{len(names)} {'is' if len(names) == 1 else 'are'} {what} (first {names[0]!r})"


def _remedy(missing: Iterable[str], unused: Iterable[str]) -> str:
    first = next(iter(unused), "")
    for mark, who in WRAPPERS.items():
        if first.startswith(mark) or (mark.startswith(".") and mark in first):
            return f"{who} wrote {mark!r} into the names; save the unwrapped model again"
    if set(missing) == {"lm_head.weight"}:
        return (
            "if the output layer is the embedding, config.json must say tie_word_embeddings: true"
        )
    if any(".layers." in name or ".h." in name for name in [*missing, *unused]):
        return "does the number of layers in config.json belong to these weights?"
    return "the folder is incomplete, or its config.json belongs to other weights"


def refuse_rowless(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a model whose embedding has no row for a token that every prompt or answer needs.

    Tokens that were added to a tokenizer and not to its model (think tags, mostly). A published tokenizer may know
    others that a text model has no row for, such as Gemma 3's image token; those do no harm until they are used.

    Raises:
        UserError: naming the first such token.
    """
    rows: Any = model.get_input_embeddings().weight  # pyright: ignore[reportOptionalMemberAccess]
    needed = [tokenizer.eos_token_id, *encode_text(tokenizer, THINK_OPEN + THINK_CLOSE)]
    if tokenizer.chat_template is not None:
        needed.extend(render_prompt(tokenizer, "1").ids)
    lacking = [index for index in needed if isinstance(index, int) and index >= len(rows)]
    if lacking:
        token = tokenizer.convert_ids_to_tokens(lacking[0])
        raise UserError(
            f"the tokenizer gives {token!r} id {lacking[0]}, and the model's embedding has {len(rows)} rows: the token "
            "was added to the tokenizer only; use the tokenizer that the model was trained with, or resize the model"
        )


def is_whole(model: Any) -> bool:
    """Whether a folder of this model holds all of its weights: a model as it is, without adapters around it."""
    from transformers import PreTrainedModel

    return isinstance(model, PreTrainedModel)


def refill(model: Any, folder: Path) -> None:
    """Give a model in memory the weights of a folder that it was saved to.

    Through ``from_pretrained``, because files of some architectures (Qwen3-MoE, Mixtral, GPT-NeoX) name and cut tensors
    otherwise than the model does: a plain ``load_state_dict(strict=False)``, which the trainer's own resume is, skips
    those and goes on from the start weights. The second copy lives until the first has its values.

    Raises:
        UserError: the folder does not hold this model's tensors.
    """
    saved = load_whole(type(model), folder, next(model.parameters()).dtype)
    model.load_state_dict(saved.state_dict(), strict=True)


def prove_saved(model: Any, folder: Path) -> None:
    """Load a folder back and compare every tensor with the model that was saved to it.

    Raises:
        UserError: it would come back as another model; names the first tensor that differs.
    """
    saved = load_whole(type(model), folder, next(model.parameters()).dtype).state_dict()
    for name, value in model.state_dict().items():
        if name not in saved or not same_bits(saved[name], value.detach().cpu()):
            raise UserError(
                f"{folder}: {name} does not come back from the checkpoint as it was saved, so this architecture "
                f"({type(model).__name__}) could not be resumed; please report it"
            )


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Equality of bytes: 0.0 and -0.0 differ, and a weight that is no number equals itself."""
    import torch

    one, two = (each.contiguous().reshape(-1).view(torch.uint8) for each in (first, second))
    return torch.equal(one, two)
