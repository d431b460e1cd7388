"""Merging whole model folders, streamed over safetensors shards."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longstep.config import UserError
from longstep.merge.base import MergeMethod
from longstep.merge.checks import check_configs, check_tokenizers
from longstep.models.account import same_bits
from longstep.models.load import model_json

if TYPE_CHECKING:
    from torch import Tensor

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_SHARD_BYTES = 2 << 30
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2}


@dataclass(frozen=True, slots=True)
class _Weights:
    """An open model folder: which file holds which tensor."""

    folder: Path
    files: dict[str, Any]

    def slice(self, name: str) -> Any:
        """Shape and dtype without reading the values."""
        return self.files[name].get_slice(name)

    def read(self, name: str) -> Tensor:
        """The tensor itself."""
        return self.files[name].get_tensor(name)


def merge_models(
    config: MergeMethod,
    parents: Sequence[Path],
    base: Path | None,
    out: Path,
    seed: int = 0,
    dtype: Literal["float32", "bfloat16"] | None = None,
) -> None:
    """Merge model folders into a new one, tensor by tensor, in float32 and cast back, or to ``dtype``.

    A tensor in which all parents agree bit for bit is kept as it is, so merging a model with itself
    gives that model by every method (mergekit's TIES and DARE would still trim it towards the
    base). Everything that is not weights is copied from the first parent.

    Raises:
        UserError: the parents do not fit each other, a file is not safetensors, or a result is not
            finite.
    """
    for complaint in config.complaints(len(parents), base is not None):
        raise UserError(f"merge.{complaint}")
    folders = [*parents, base] if base is not None else list(parents)
    for other in folders[1:]:
        check_tokenizers(folders[0], other)
        check_configs(folders[0], other)
    with ExitStack() as stack:
        models = [_open(folder, stack) for folder in folders]
        shards = _plan(models, cast=dtype is not None)
        _copy_rest(parents[0], out)
        if dtype is not None:
            _declare(out / "config.json", dtype)
        for file_name, names in shards.items():
            merged = _merged(config, models, names, len(parents), seed)
            _write_shard(out / file_name, {name: _cast(made, dtype) for name, made in merged})
    if _SINGLE not in shards:
        index = {name: file_name for file_name, names in shards.items() for name in names}
        text = json.dumps({"metadata": {}, "weight_map": index}, indent=1, sort_keys=True)
        (out / _INDEX).write_text(text + "\n", encoding="utf-8")


def refuse_unmergeable(folder: Path) -> None:
    """Refuse a folder that could not be merged, not even with its own copy.

    Raises:
        UserError: its files cannot be read as a merge reads them.
    """
    check_tokenizers(folder, folder)
    check_configs(folder, folder)
    with ExitStack() as stack:
        _plan([_open(folder, stack)], cast=True)


def _merged(
    config: MergeMethod,
    models: list[_Weights],
    names: list[str],
    parents: int,
    seed: int,
) -> Iterator[tuple[str, Tensor]]:
    import torch

    for name in names:
        tensors = [model.read(name) for model in models]
        first = tensors[0]
        if all(same_bits(first, other) for other in tensors[1:parents]):
            merged = first
        elif not first.is_floating_point():
            raise UserError(
                f"{models[0].folder}: {name} holds {first.dtype} and differs between the parents; "
                "only floating-point tensors can be merged"
            )
        else:
            wide = [
                tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors
            ]
            base = wide[parents] if len(wide) > parents else None
            merged = config.merge(name, wide[:parents], base, seed).to(first.dtype)
        if not merged.isfinite().all():
            raise UserError(
                f"merge: {name} has NaN or infinite entries; check this tensor in the parents "
                f"({', '.join(str(model.folder) for model in models)})"
            )
        yield name, merged.contiguous()


def _cast(tensor: Tensor, dtype: str | None) -> Tensor:
    import torch

    wanted = dtype is not None and tensor.is_floating_point()
    return tensor.to(getattr(torch, str(dtype))) if wanted else tensor


def _declare(config: Path, dtype: str) -> None:
    """Let the config name the type of the weights beside it; releases before 5 called the key torch_dtype."""
    found = json.loads(config.read_bytes())
    found.pop("torch_dtype", None)
    text = json.dumps({**found, "dtype": dtype}, indent=2, ensure_ascii=False, sort_keys=True)
    config.write_text(text + "\n", encoding="utf-8")


def _write_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})


def _open(folder: Path, stack: ExitStack) -> _Weights:
    from safetensors import SafetensorError, safe_open

    if (
        folder / _SINGLE
    ).is_file():  # before an index left by an earlier save, as from_pretrained reads it
        names = [_SINGLE]
    elif (folder / _INDEX).is_file():
        index = model_json(folder / _INDEX).get("weight_map")
        if not isinstance(index, dict) or not all(isinstance(v, str) for v in index.values()):
            raise UserError(
                f"{folder / _INDEX}: its weight_map does not say which file holds which tensor; the folder is damaged"
            )
        names = sorted(set(index.values()))
    else:
        pickled = sorted(
            path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)
        )
        found = f"only {pickled[0]}, and pickle files can run code" if pickled else f"no {_SINGLE}"
        raise UserError(f"{folder}: {found}; save the model as safetensors first")
    files: dict[str, Any] = {}
    for file_name in names:
        if Path(file_name).name != file_name:
            raise UserError(
                f"{folder / _INDEX}: {file_name!r} leads out of the folder; expected a file name"
            )
        try:
            file = stack.enter_context(safe_open(folder / file_name, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{folder / file_name}: cannot be read as safetensors: {error}"
            ) from None
        files |= dict.fromkeys(file.keys(), file)
    return _Weights(folder, files)


def _plan(models: list[_Weights], cast: bool) -> dict[str, list[str]]:
    """Check that names, shapes and, unless they are cast, types agree, and give the tensors of each file to write."""
    first = models[0]
    groups: list[list[str]] = [[]]
    size = 0
    for other in models[1:]:
        if unmatched := sorted(first.files.keys() ^ other.files.keys()):
            raise UserError(
                f"{other.folder}: {unmatched[0]} is in only one of this model and {first.folder}; "
                "merge models of one architecture, saved the same way"
            )
    for name in sorted(first.files):
        mine = first.slice(name)
        for other in models[1:]:
            _check_tensor(name, first, other, cast)
        bytes_ = math.prod(mine.get_shape()) * _BYTES.get(mine.get_dtype(), 1)
        if groups[-1] and size + bytes_ > _SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += bytes_
    if len(groups) == 1:
        return {_SINGLE: groups[0]}
    return {
        f"model-{i:05d}-of-{len(groups):05d}.safetensors": group
        for i, group in enumerate(groups, 1)
    }


def _check_tensor(name: str, first: _Weights, other: _Weights, cast: bool) -> None:
    mine, theirs = first.slice(name), other.slice(name)
    here, there = list(mine.get_shape()), list(theirs.get_shape())
    if here != there and here[1:] == there[1:]:
        # Only other padding of the vocabulary, perhaps; slicing needs another vocab_size: refused.
        raise UserError(
            f"{other.folder}: {name} has {there[0]} rows and {here[0]} in "
            f"{first.folder}; if only the "
            "padding of the vocabulary differs, resize both models to one number of rows first"
        )
    if here != there:
        raise UserError(
            f"{other.folder}: {name} has shape {there} and {here} in {first.folder}; "
            "merge models of one architecture"
        )
    if mine.get_dtype() != theirs.get_dtype() and not cast:
        raise UserError(
            f"{other.folder}: {name} is {theirs.get_dtype()} and {mine.get_dtype()} in "
            f"{first.folder}; say which one the result shall have (dtype: float32 or bfloat16)"
        )


def _copy_rest(source: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        weights = path.suffix in {".safetensors", ".bin", ".pt", ".pth"} or path.name == _INDEX
        if path.is_file() and not weights:
            shutil.copyfile(path, out / path.name)
