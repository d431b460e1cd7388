"""A declared tolerance: how far a number may lie from the key's. Nothing is tolerated unless somebody said so."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an answer may lie from the key.

    Attributes:
        by: ``relative`` to the key, ``absolute``, or in the key's significant ``digits``.
        size: the greatest distance; for ``digits`` how many, 0 for as many as the key is written with.
        text: as it was declared, for reasons.
    """

    by: Literal["relative", "absolute", "digits"]
    size: Fraction
    text: str

    def admits(self, key: Fraction, value: Fraction, written: int) -> bool:
        """Tell whether a value is near enough to a key that is written with so many significant digits.

        In digits the value has to round to the key: 9.58e-23 is 9.6e-23. What lies in the middle, 9.65, is 9.6 for who
        rounds half to even and 9.7 for who rounds up, and is admitted for both.
        """
        distance = abs(key - value)
        if self.by == "absolute":
            return distance <= self.size
        if self.by == "relative":
            return distance <= self.size * abs(key)
        digits = int(self.size) or written
        if key == 0:
            return value == 0
        return distance <= Fraction(10) ** (_magnitude(abs(key)) - digits + 1) / 2


def _magnitude(value: Fraction) -> int:
    """Give k with 10^k <= value < 10^(k+1)."""
    k = len(str(value.numerator)) - len(str(value.denominator))
    return k if Fraction(10) ** k <= value else k - 1


@dataclass(frozen=True, slots=True)
class Declared:
    """A tolerance with what it needs to know of the key.

    Attributes:
        tolerance: what was declared.
        written: significant digits of the numbers in the key, the fewest of them.
    """

    tolerance: Tolerance
    written: int


_DECLARED: ContextVar[Declared | None] = ContextVar("declared tolerance", default=None)


@contextmanager
def tolerating(declared: Declared | None) -> Generator[None]:
    """Let values differ by as much as was declared."""
    token = _DECLARED.set(declared)
    try:
        yield
    finally:
        _DECLARED.reset(token)


def declared() -> Declared | None:
    """Give the tolerance that holds here."""
    return _DECLARED.get()
