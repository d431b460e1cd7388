"""Room for keys and values to come: a token is written behind what is there, and the whole cache not copied for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import ref

from torch import Tensor

ROOM = 32  # columns to spare; a cache is copied once in so many tokens


class Roomy:
    """A layer's keys and values [B, H, T, D], with columns to spare; what the layer's own class says else, stands."""

    keys: Tensor
    values: Tensor
    keys_room: _Room
    values_room: _Room

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append to all rows; gives what they hold."""
        self.keys = self.keys_room.append(self.keys, key_states)
        self.values = self.values_room.append(self.values, value_states)
        return self.keys, self.values

    def move(self, to_K: Tensor, from_K: Tensor) -> None:
        """Put rows into other places, all at once."""
        for held in (self.keys, self.values):
            held.index_copy_(0, to_K, held.index_select(0, from_K))

    def drop_behind(self, count: int) -> None:
        """Forget all but the first rows, without a copy of these."""
        self.keys = self.keys_room.first(self.keys, count)
        self.values = self.values_room.first(self.values, count)


class _Room:
    """Where one tensor grows along its columns; the tensor alone keeps its memory, so what replaces it frees that."""

    def __init__(self) -> None:
        self._shown: Callable[[], Tensor | None] = lambda: None
        self._columns = 0

    def append(self, held: Tensor, new: Tensor) -> Tensor:
        """What was held, and the new columns."""
        (rows, heads, width, depth), end = held.shape, held.shape[2] + new.shape[2]
        if held is self._shown() and end <= self._columns:
            shape = rows, heads, self._columns, depth
            whole = held.as_strided(shape, held.stride(), held.storage_offset())
        else:  # rows were chosen or columns moved, or the room is used up
            self._columns = end + ROOM
            whole = held.new_empty(rows, heads, self._columns, depth)
            whole[:, :, :width] = held
        whole[:, :, width:end] = new
        return self._show(whole[:, :, :end])

    def first(self, held: Tensor, count: int) -> Tensor:
        """The first rows, which still have their room."""
        return self._show(held[:count]) if held is self._shown() else held[:count]

    def _show(self, shown: Tensor) -> Tensor:
        self._shown = ref(shown)
        return shown


def give_room(cache: Any) -> bool:
    """Give every layer room; ``False`` where one keeps anything but all columns of all rows, and none gets it."""
    # Told by its name, for transformers is imported by ``models`` alone.
    kinds = {type(layer).__name__ for layer in cache.layers}
    if kinds != {"DynamicLayer"} or not all(layer.is_initialized for layer in cache.layers):
        return False
    for at, layer in enumerate(cache.layers):
        roomy = cache.layers[at] = _with_room(type(layer))()
        vars(roomy).update(vars(layer), keys_room=_Room(), values_room=_Room())
    return True


@cache
def _with_room(kind: type) -> type:
    return type(f"Roomy{kind.__name__}", (Roomy, kind), {})
