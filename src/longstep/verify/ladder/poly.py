"""Sums of monomials and their quotients: what a normal form is made of. The arithmetic is in ``algebra``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Monomial = tuple[tuple[str, Fraction], ...]
Poly = dict[Monomial, Fraction]
ONE: Monomial = ()


class Sum(str):
    """An atom that is a sum under a fractional power; it remembers the sum."""

    __slots__ = ("poly",)
    poly: Poly


@dataclass(slots=True)
class Form:
    """A quotient of two sums; the second one is never zero.

    Attributes:
        over: numerator.
        under: denominator.
        complete: whether the atoms are independent, so that a different form is a different value.
    """

    over: Poly
    under: Poly
    complete: bool = True

    @property
    def constant(self) -> Fraction | None:
        """The value, if it is a rational number."""
        if self.under == {ONE: 1} and self.over.keys() <= {ONE}:
            return self.over.get(ONE, Fraction(0))
        return None
