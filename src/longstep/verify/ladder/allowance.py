"""One allowance of work for all parts of two answers: a list has many members, each within its own bounds."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from longstep.verify.ladder.node import TooLarge

MAX_TOTAL = 40_000  # operations, each about seven microseconds
_LEFT: ContextVar[list[int] | None] = ContextVar("work left", default=None)


@contextmanager
def allowance() -> Generator[None]:
    """Bound the work of all comparisons inside by ``MAX_TOTAL``."""
    token = _LEFT.set([MAX_TOTAL])
    try:
        yield
    finally:
        _LEFT.reset(token)


def charge(amount: int) -> None:
    """Take work off the allowance, if there is one.

    Raises:
        TooLarge: none is left.
    """
    left = _LEFT.get()
    if left is not None:
        left[0] -= amount
        if left[0] < 0:
            raise TooLarge("all parts together take more operations than are allowed")
