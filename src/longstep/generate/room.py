"""Room in a cache for columns to come, so that feeding a token writes one column and copies none of the others.

A layer of transformers' ``DynamicCache`` is concatenated anew at every token. Here its tensors are views of larger
ones, and whatever else takes rows or columns of them (``Prefilled.select``, ``pack``) makes tensors without room, which
are given some at the next token. Numbers and their order are the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

#: Columns that are made room for at a time.
ROOM = 16


def make_room(cache: Any) -> None:
    """Let all layers of a cache grow in place; those that are no plain ``DynamicLayer`` stay as they are."""
    for layer in cache.layers:
        if type(layer).__name__ == "DynamicLayer" and layer.is_initialized:
            layer.update = partial(_update, layer, {})


def _update(
    layer: Any, wide: dict[str, Tensor], keys_BHTD: Tensor, values_BHTD: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, Tensor]:
    layer.keys = _grown(layer.keys, keys_BHTD, wide, "keys")
    layer.values = _grown(layer.values, values_BHTD, wide, "values")
    return layer.keys, layer.values


def _grown(held_BHTD: Tensor, new_BHTD: Tensor, wide: dict[str, Tensor], name: str) -> Tensor:
    start, count = held_BHTD.shape[-2], new_BHTD.shape[-2]
    room = wide.get(name)
    inside = room is not None and room.data_ptr() == held_BHTD.data_ptr()
    if room is None or not inside or start + count > room.shape[-2]:
        shape = (*held_BHTD.shape[:-2], start + count + ROOM, held_BHTD.shape[-1])
        wide[name] = room = torch.empty(shape, dtype=held_BHTD.dtype, device=held_BHTD.device)
        room[..., :start, :] = held_BHTD
    room[..., start : start + count, :] = new_BHTD
    return room[..., : start + count, :]
