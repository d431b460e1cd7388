"""One allowance of work for a pair of answers, whatever it is spent on: forms, enclosures, members of lists.

Work is counted in units that no machine's speed changes: a unit is about five microseconds of one core here. Long
numbers cost by the squares of their lengths, functions by the square of the precision.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from longstep.verify.ladder.node import TooLarge

MAX_BITS = 40_000  # of one number
MAX_TOTAL = 20_000  # units for deciding one pair
MAX_ALONE = 4_000  # units for finding out which side of an undecided pair is at fault
_LEFT: ContextVar[list[int] | None] = ContextVar("work left", default=None)


@contextmanager
def allowance() -> Generator[None]:
    """Bound the work inside; within another allowance it is that one's."""
    if _LEFT.get() is not None:
        yield
        return
    with _counted(MAX_TOTAL):
        yield


@contextmanager
def reserve() -> Generator[None]:
    """Bound the work inside by ``MAX_ALONE``, whatever was spent before."""
    with _counted(MAX_ALONE):
        yield


@contextmanager
def _counted(units: int) -> Generator[None]:
    token = _LEFT.set([units])
    try:
        yield
    finally:
        _LEFT.reset(token)


def charge(units: int) -> None:
    """Take work off the allowance, if there is one.

    Raises:
        TooLarge: none is left.
    """
    left = _LEFT.get()
    if left is not None:
        left[0] -= units
        if left[0] < 0:
            raise TooLarge("the pair takes more operations than are allowed")


def weight(bits: int) -> int:
    """Give the units of one multiplication of fractions with that many bits."""
    return (bits >> 9) ** 2 >> 5
