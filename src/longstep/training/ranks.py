"""The processes of one run: started by ``accelerate launch`` or ``torchrun``, one for each device.

Process 0 leads: it holds the folder's lock, decides what runs and writes everything. The others wait until it tells
them of a training stage, and take part in that. Words between the processes go over gloo and may wait for days,
because process 0 may sample alone for so long; tensors go over the fastest backend with its usual timeout.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

from longstep.config import UserError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")
PATIENCE = timedelta(days=30)


def launched() -> bool:
    """Whether a launcher started this process."""
    return {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys()


def world() -> int:
    """How many processes the launcher started; 1 without a launcher."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def rank() -> int:
    """This process among them; 0 leads."""
    return int(os.environ["RANK"]) if launched() else 0


def sharded() -> bool:
    """Whether the launcher asked for FSDP: no process holds all the weights."""
    return launched() and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


@contextmanager
def joined() -> Iterator[None]:
    """Connect the processes, and take leave of each other at the end; nothing at all without a launcher.

    After an error there is no leave to take: the process ends, and its launcher ends the others.
    """
    if not launched():
        yield
        return
    import torch
    from torch import distributed

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    _words()
    yield
    barrier()
    _words.cache_clear()
    distributed.destroy_process_group()


@cache
def _words() -> ProcessGroup:
    from torch import distributed

    return cast("ProcessGroup", distributed.new_group(backend="gloo", timeout=PATIENCE))


def barrier() -> None:
    """Wait until every process is here."""
    gather(None)


def from_main(make: Callable[[], T]) -> T:
    """What process 0 makes, given to all; the others do not call ``make``.

    Raises:
        UserError: process 0 ended before it said anything.
    """
    if world() == 1:
        return make()
    from torch import distributed

    said: list[T | None] = [make() if rank() == 0 else None]
    try:
        distributed.broadcast_object_list(said, src=0, group=_words())
    except RuntimeError:
        if rank() == 0:
            raise
        raise UserError("process 0 ended; what it said last is the cause") from None
    return cast("T", said[0])


def gather(mine: T) -> list[T]:
    """One value of every process, in their order, given to all."""
    if world() == 1:
        return [mine]
    from torch import distributed

    everyone: list[T | None] = [None] * world()
    distributed.all_gather_object(everyone, mine, group=_words())
    return cast("list[T]", everyone)
