"""A model that is kept as its adapter and the name of its base: ``lora: {keep: only}``.

A stage that reads one gets a whole model, merged into its own scratch from the base, bit for bit what
``keep: merged`` would have left where both are merged on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longstep.artifacts import fresh_folder, read_json, sha256_file, write_json
from longstep.config import UserError
from longstep.models.load import hub_id, load_model, load_tokenizer, locate, save_model
from longstep.models.lora import store_adapter, with_adapter
from longstep.models.origin import origins, published
from longstep.models.pointer import BASE, POINTER, pointed_at

ADAPTED = "adapter_config.json"
#: Where an adapter says, for other libraries, what it lies on.
NAMED = "base_model_name_or_path"


def write_adapter(peft_model: Any, folder: Path, base: tuple[str, Path]) -> None:
    """Write an adapter as PEFT does, but so that equal runs write equal files.

    PEFT names the base by its path on this disk; here its published name stands, or none. And it keeps names of layers
    as a set, whose order is another in each process.

    Args:
        peft_model: the model in training.
        folder: where to.
        base: what the recipe calls the base, and its artifact or folder.
    """
    store_adapter(peft_model, folder)
    config = folder / ADAPTED
    told = {**read_json(config), NAMED: _published(*base)}
    write_json(config, {k: sorted(v) if isinstance(v, list) else v for k, v in told.items()})


def keep_adapter(stored: Path, out: Path, base: tuple[str, Path], dtype: str) -> None:
    """Make the files of an adapter an artifact.

    Args:
        stored: where they are; moved.
        out: the artifact's folder.
        base: as :func:`write_adapter` takes it.
        dtype: of the merged weights.
    """
    reference, folder = base
    for file in stored.iterdir():
        file.replace(out / file.name)
    stored.rmdir()
    at = os.path.relpath(folder, out) if reference.startswith("@") else None
    known = {"base": reference, "at": at, "weights": _weights(folder), "dtype": dtype}
    write_json(out / BASE, known)


def whole(artifact: Path, scratch: Path) -> Path:
    """The folder of a whole model behind an artifact; an adapter is merged into its base below ``scratch``, once.

    Raises:
        UserError: the base is gone, or is another model than when the adapter was trained.
    """
    if (artifact / POINTER).is_file():
        return pointed_at(artifact / POINTER)
    if not (artifact / BASE).is_file():
        return artifact
    at = scratch / f"merged-{artifact.parent.name}"
    if not at.is_dir():
        unfinished = fresh_folder(at.with_name(f".{at.name}"))
        _merge(artifact, base_of(artifact), scratch, unfinished)
        unfinished.replace(at)
    return at


def base_of(artifact: Path) -> Path:
    """The artifact or folder that an adapter lies on.

    Raises:
        UserError: it is gone, or holds other weights than when the adapter was trained.
    """
    known = read_json(artifact / BASE)
    base = artifact / known["at"] if known["at"] else locate(known["base"])
    if not base.is_dir() or _weights(base) != known["weights"]:
        raise UserError(
            f"{artifact}: an adapter of {base}, which is gone or holds other weights than when it was trained; put the "
            "model back, or train with lora.keep: merged"
        )
    return base


def _merge(artifact: Path, base: Path, scratch: Path, out: Path) -> None:
    import torch

    from longstep.models.chat import encode_text

    tokenizer = load_tokenizer(artifact)
    model = load_model(whole(base, scratch), "float32", sharded=True)
    merged = with_adapter(model, artifact, torch.tensor([encode_text(tokenizer, "1")]))
    dtype: Any = getattr(torch, read_json(artifact / BASE)["dtype"])
    save_model(merged.to(dtype), tokenizer, out)


def _published(reference: str, folder: Path) -> str | None:
    """The name that others find the base by; none for a model that was changed or made here."""
    if hub_id(reference) and published(reference):
        return reference
    found = origins(folder, reference) if (folder / POINTER).is_file() else ()
    return found[0].model if len(found) == 1 and published(found[0].model) else None


def _weights(folder: Path) -> Mapping[str, str]:
    """The weights of a folder by content; a pointer's are proven where it is followed."""
    return {file.name: sha256_file(file) for file in sorted(folder.glob("*.safetensors"))}
