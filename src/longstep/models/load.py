"""Open and save Hugging Face model folders: the only place that chooses device and dtype.

Weights are safetensors only: pickled weights are refused before anything reads them, and remote code is never
executed (``trust_remote_code`` is not reachable from a recipe).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from longstep.config import UserError, nearest
from longstep.models.pointer import BASE, POINTER
from longstep.models.tokens import open_tokenizer
from longstep.wording import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Dtype = Literal["auto", "float32", "bfloat16"]
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
#: What architectures call the longest sequence in config.json.
_CONTEXTS = {"max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"}
#: The card is among them for its licence.
DESCRIPTIONS = ("*.json", "*.txt", "*.jinja", "*.model", "README.md")
WEIGHTS = (*DESCRIPTIONS, "*.safetensors")
SHIPPED = ("longstep-tiny", "longstep-tiny-rater")


def shipped_folder(name: str) -> Path:
    """The folder of a model shipped inside the package."""
    return Path(str(resources.files("longstep") / "data" / name))


def hub_id(reference: str) -> bool:
    """Whether a reference can be an id of the hub: ``owner/name``."""
    return reference.count("/") == 1 and not reference.startswith((".", "/", "~", "@"))


def locate(reference: str, revision: str | None = None, offline: bool = False) -> Path:
    """Turn a shipped name, a local folder or a hub id into a local folder; ``offline`` only looks into the cache.

    Raises:
        UserError: nothing of that name exists here and the hub cannot provide it.
    """
    if (known := _here(reference)) is not None:
        return known
    return _from_hub(reference, revision, WEIGHTS, local=offline)


def located_before(reference: str, revision: str | None = None, ask: bool = False) -> Path | None:
    """As :func:`locate`, without the weights of a model of the hub: what tells whether it can be used.

    Args:
        reference: a shipped name, a local folder or a hub id.
        revision: of a hub id.
        ask: whether the hub may be asked; if not, a hub id that is not in the cache gives ``None``.

    Raises:
        UserError: as ``locate`` does.
    """
    if (known := _here(reference)) is not None:
        return known
    if ask:
        return _from_hub(reference, revision, DESCRIPTIONS)
    try:
        return _from_hub(reference, revision, DESCRIPTIONS, local=True)
    except (UserError, ModuleNotFoundError):
        return None


def _here(reference: str) -> Path | None:
    """A shipped or local folder; ``None`` for what may be a hub id."""
    if reference in SHIPPED:
        return shipped_folder(reference)
    if not reference.strip():
        raise UserError("model '': is empty; name a stage as '@name', a folder or a hub id")
    path = Path(reference)
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(f"model {reference!r}: is a file; give the folder it lies in")
    if hub_id(reference):
        return None
    near = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(reference, SHIPPED) or nearest(path.name, near)
    if close is not None and close not in SHIPPED:
        close = str(path.parent / close)
    raise UserError(
        f"model {reference!r}: no such folder, and not a hub id like 'Qwen/Qwen2.5-1.5B'{did_you_mean(close)}"
    )


def _from_hub(
    reference: str, revision: str | None, patterns: Sequence[str], local: bool = False
) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            reference, revision=revision, allow_patterns=[*patterns], local_files_only=local
        )
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        near = [str(each) for each in Path(reference).parent.glob("*/")]
        asked = "" if local else f", and the hub did not provide it ({first})"
        raise UserError(
            f"model {reference!r}: no such folder here{did_you_mean(nearest(reference, near))}, not in the local "
            f"cache{asked}; download it where there is a network, or give a local folder"
        ) from None
    return Path(found)


def refuse_unsafe(folder: Path) -> None:
    """Refuse a folder with no safetensors weights or with code of its own.

    Raises:
        UserError: only pickled weights are there, or a config asks for remote code.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    refuse_adapter(folder)
    if not any(name.endswith(".safetensors") for name in names):
        if pickled := pickles(folder):
            raise UserError(
                f"{pickled[0]}: pickled weights can execute code and are refused; "
                "convert the model to safetensors first"
            )
        raise UserError(
            f"{folder}: no *.safetensors weights here; expected a Hugging Face model folder"
        )
    refuse_foreign(folder)


def pickles(folder: Path) -> list[Path]:
    """Weights in files that can hold code."""
    return sorted(path for path in folder.glob("*") if path.name.endswith(_PICKLES))


def refuse_foreign(folder: Path) -> None:
    """Refuse a model by its descriptions alone: code of its own, quantised weights.

    Raises:
        UserError: a config asks for remote code, is missing, or is of weights that longstep does not take.
    """
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        if (folder / name).is_file() and "auto_map" in model_json(folder / name):
            raise UserError(
                f"{folder / name}: asks for code of its own (auto_map); remote code is never executed"
            )
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; expected a Hugging Face model folder")
    config = model_json(folder / "config.json")
    inner = config.get("text_config")
    if not _CONTEXTS & {*config, *(inner if isinstance(inner, dict) else ())}:
        raise UserError(
            f"{folder / 'config.json'}: has no max_position_embeddings, and transformers would take the default of the "
            "architecture in silence; write the tokens of the model's longest sequence into it"
        )
    quantised = config.get("quantization_config")
    if quantised:
        how = quantised if isinstance(quantised, dict) else {"quant_method": quantised}
        method = how.get("quant_method", "some method")
        raise UserError(
            f"{folder}: its weights are quantised ({method}), and longstep trains, draws and merges plain ones; take "
            "the unquantised release"
        )


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder that holds an adapter, alone or beside a model.

    Raises:
        UserError: naming the base that it belongs to.
    """
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return
    base = _lies_on(folder)
    if (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: holds a model and an adapter of {base} beside it, and libraries would load {base} with the "
            "adapter instead of the model; move one of the two into a folder of its own"
        )
    raise UserError(
        f"{folder}: holds an adapter of {base}, not a model; a stage {{kind: checkpoint, path: {base}, adapter: "
        f"{folder}}} merges it into its base"
    )


def _lies_on(folder: Path) -> str:
    """What an adapter says of its base; one that a stage kept alone knows where it lies, seen from there."""
    if not (folder / BASE).is_file():
        named = model_json(folder / "adapter_config.json").get("base_model_name_or_path")
        return named or "a base that it does not name"
    known = model_json(folder / BASE)
    if known["at"] is None:
        return known["base"]
    at = (folder / known["at"]).resolve()
    return model_json(at / POINTER)["path"] if (at / POINTER).is_file() else str(at)


def model_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a Hugging Face model folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); the folder is damaged") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected a JSON object; the folder is damaged")
    return data


def load_model(folder: Path, dtype: Dtype = "auto", sharded: bool = False) -> PreTrainedModel:
    """Load a causal language model from a local folder onto the best device; float32 on a CPU.

    With ``sharded`` it stays in the host's memory, from where FSDP moves it part by part: no device holds all of it.

    Raises:
        UserError: the weights are pickled, missing, damaged, or not this model's to the last tensor.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from longstep.models.account import load_whole

    logging.disable_progress_bar()
    refuse_unsafe(folder)
    device = best_device()
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    model = load_whole(AutoModelForCausalLM, folder, getattr(torch, dtype))
    if sharded:
        return model
    return model.to(torch.device(device))  # pyright: ignore[reportArgumentType]


def best_device() -> str:
    """``cuda:<local rank>`` when there is one, else ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"


def device_memory() -> tuple[float, bool]:
    """Bytes of the device that a model would be loaded onto, and whether that is the machine's own memory."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(best_device()).total_memory, False
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), True


def reset_accelerator_peak() -> None:
    """Begin to measure anew; a process that never loaded torch holds nothing there."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def accelerator_peak() -> int | None:
    """Bytes that tensors took on this process's accelerator at most; ``None`` without one."""
    if "torch" not in sys.modules:
        return None
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def load_tokenizer(folder: Path, template: Path | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder, its ids and its chat template (or the file given instead) proven.

    Raises:
        UserError: there is none, it is damaged, or its template loses the question.
    """
    from longstep.models.chat import template_faults

    if not (folder / "tokenizer_config.json").is_file():
        raise UserError(
            f"{folder}: no tokenizer_config.json; every model folder must carry its tokenizer"
        )
    tokenizer = open_tokenizer(folder)
    if template is not None:
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    if faults := template_faults(tokenizer):
        raise UserError(
            f"{folder}: its chat template is refused: {'; '.join(faults)}; give another one by a stage of kind "
            "checkpoint with chat_template: FILE"
        )
    return tokenizer


def shard_frozen(model: PreTrainedModel) -> PreTrainedModel:
    """Shard a frozen model layer by layer, as accelerate shards the one in training.

    TRL would shard a reference model in one piece, so that its forward pass gathers all of it on every device.
    """
    import torch
    from torch.distributed.fsdp import (
        CPUOffloadPolicy,
        MixedPrecisionPolicy,
        OffloadPolicy,
        fully_shard,
    )

    half = os.environ.get("ACCELERATE_MIXED_PRECISION") == "bf16"
    precision = MixedPrecisionPolicy(torch.bfloat16, output_dtype=torch.bfloat16)
    offload = os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true"
    layers = cast("torch.nn.ModuleList", model.get_decoder().layers)
    for module in (*layers, model):
        fully_shard(
            module,
            mp_policy=precision if half else MixedPrecisionPolicy(),
            offload_policy=CPUOffloadPolicy() if offload else OffloadPolicy(),
        )
    return model


def whole_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights of a sharded model, gathered on process 0 in the host's memory; the others get none.

    All processes must call this.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    whole = cast("dict[str, Tensor]", get_model_state_dict(model, options=options))
    once = {name for name, _ in model.named_parameters()}
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
    return {name: value for name, value in whole.items() if name not in tied}


def copy_weights(model: PreTrainedModel, copy: PreTrainedModel) -> None:
    """Bring a whole copy up to date with a sharded model, gathering one weight at a time.

    All processes must call this.
    """
    import torch
    from torch.distributed.tensor import DTensor

    theirs = dict(copy.named_parameters())
    with torch.no_grad():
        for name, part in model.named_parameters():
            theirs[name].copy_(part.full_tensor() if isinstance(part, DTensor) else part)


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write weights (safetensors), configs and tokenizer: a folder that ``from_pretrained`` loads.

    ``weights`` are those of :func:`whole_weights`; ``None`` takes the model's own.
    """
    model.save_pretrained(out, state_dict=weights)
    tokenizer.save_pretrained(out)
