"""A cache with room against one that is put together anew at every step."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, DynamicLayer

from longstep.generate.room import ROOM, give_room


def cache_of(rows: int, width: int) -> DynamicCache:
    cache = DynamicCache()
    cache.update(*torch.rand(2, rows, 2, width, 3), 0)
    return cache


def test_what_is_appended_moved_and_dropped_is_what_a_plain_cache_holds():
    torch.manual_seed(0)
    cache = cache_of(5, 4)
    keys, values = cache.layers[0].keys.clone(), cache.layers[0].values.clone()
    assert give_room(cache)
    for step in range(2 * ROOM):
        new = torch.rand(2, len(keys), 2, 1, 3)
        seen = cache.update(*new, 0)
        keys, values = torch.cat([keys, new[0]], 2), torch.cat([values, new[1]], 2)
        assert torch.equal(seen[0], keys) and torch.equal(seen[1], values)
        if step == 9:
            to, origin = torch.tensor([0, 3]), torch.tensor([3, 0])
            cache.layers[0].move(to, origin)
            keys[to], values[to] = keys[origin], values[origin]
        if step in (15, ROOM + 3):
            cache.layers[0].drop_behind(len(keys) - 1)
            keys, values = keys[:-1], values[:-1]
        if step == 20:
            again = torch.tensor([1, 1, 0, 2])
            cache.batch_select_indices(again)
            keys, values = keys[again], values[again]
        assert cache.get_seq_length() == keys.shape[2]
    assert torch.equal(cache.layers[0].keys, keys) and torch.equal(cache.layers[0].values, values)


def test_room_is_not_copied_for_every_token():
    cache = cache_of(3, 4)
    give_room(cache)
    places = set()
    for _ in range(ROOM):
        cache.update(*torch.rand(2, 3, 2, 1, 3), 0)
        places.add(cache.layers[0].keys.data_ptr())
    assert len(places) == 1


def test_a_cache_with_a_layer_of_another_kind_is_left_as_it_is():
    class Window(DynamicLayer):
        """Not all columns."""

    cache = cache_of(2, 3)
    cache.layers.append(Window())
    before = list(cache.layers)
    assert not give_room(cache) and cache.layers == before


@pytest.mark.parametrize("count", [1, 2])
def test_rows_that_are_dropped_keep_the_room_of_the_others(count: int):
    cache = cache_of(3, 4)
    give_room(cache)
    cache.update(*torch.rand(2, 3, 2, 1, 3), 0)
    place = cache.layers[0].keys.data_ptr()
    cache.layers[0].drop_behind(count)
    cache.update(*torch.rand(2, count, 2, 1, 3), 0)
    assert cache.layers[0].keys.data_ptr() == place and len(cache.layers[0].keys) == count
