"""Chunks worked on by several processes, results in the chunks' order.

Each worker has one pipe of its own and no other process holds its ends, so a worker whose parent was killed reads the
end of the pipe and leaves: no orphans. (The pools of the standard library share their queues among the workers, and
idle ones outlive a killed parent.)
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from longstep.config import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Give ``(item, work(item))`` for every item, in order; one worker means this process.

    The next item is read while the workers are busy; each worker has one item at a time, so memory is flat.

    Raises:
        UserError: a worker raised one, or was killed.
    """
    if workers <= 1:
        work = make()
        for item in items:
            yield item, work(item)
        return
    crew = _start(make, workers)
    try:
        waiting: deque[tuple[Item, Connection]] = deque()
        free = deque(crew.values())
        for item in items:
            if not free:
                done, connection = waiting.popleft()
                result = _receive(connection)
                _send(connection, item)
                waiting.append((item, connection))
                yield done, result
                continue
            connection = free.popleft()
            _send(connection, item)
            waiting.append((item, connection))
        while waiting:
            done, connection = waiting.popleft()
            yield done, _receive(connection)
    finally:
        for process, connection in crew.items():
            connection.close()
            process.terminate()
            process.join()


def _start(make: Callable[[], Any], workers: int) -> dict[Any, Connection]:
    context = multiprocessing.get_context("spawn")  # a fork would copy the parent's threads' locks
    crew: dict[Any, Connection] = {}
    for _ in range(workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        process.start()
        theirs.close()
        crew[process] = ours
    return crew


def _serve(connection: Connection, make: Callable[[], Callable[[Any], Any]]) -> None:
    """The life of a worker: until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends the work
    try:
        work = make()
        while True:
            item = connection.recv()
            connection.send(work(item))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except UserError as error:
        connection.send(error)


def _send(connection: Connection, item: object) -> None:
    try:
        connection.send(item)
    except (BrokenPipeError, ConnectionResetError):
        _receive(connection)  # says why the worker left, if it could
        raise _lost() from None


def _receive(connection: Connection) -> Any:
    try:
        result = connection.recv()
    except (EOFError, ConnectionResetError):
        raise _lost() from None
    if isinstance(result, UserError):
        raise result
    return result


def _lost() -> UserError:
    return UserError(
        "a worker process died (killed, or out of memory); the same command continues, perhaps with fewer --workers"
    )
