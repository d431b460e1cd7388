"""A calculator for text of a model: exact, bounded, with a reader of its own, so nothing is ever run as a program."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

from longstep.scaling.toolbox.base import Tool, refusal

LONGEST = 200  # characters of a call
DEEPEST = 30  # parentheses, signs and powers inside each other
BITS = 2048  # of a numerator or a denominator on the way

_TOKEN = re.compile(r"\s*(\*\*|[-+*/%^()]|(?:[0-9]+\.?[0-9]*|\.[0-9]+))", re.ASCII)
_Operations = dict[str, Callable[[Fraction, Fraction], Fraction]]
_SUMS: _Operations = {"+": operator.add, "-": operator.sub}
_PRODUCTS: _Operations = {"*": operator.mul, "/": operator.truediv, "%": operator.mod}
#: How some models write operators: a times sign and a dot, a division sign, a minus and a dash.
_SPELT = str.maketrans({0xD7: "*", 0xB7: "*", 0xF7: "/", 0x2212: "-", 0x2013: "-"})


class Calculator(Tool):
    """Sums, differences, products, quotients, powers and remainders of integers, fractions and decimals, exactly.

    ``+ - * / % ** ^`` and parentheses, with the usual precedence; powers are read from the right, and ``-2**2`` is -4.
    A remainder has the sign of its divisor. A result that is no integer is a decimal when all numbers of the call were
    integers or decimals, one of them a decimal, and it ends; else a fraction in lowest terms.
    """

    kind: Literal["calculator"] = "calculator"

    def answer(self, call: str) -> str:
        """The value, or what is wrong with the call."""
        try:
            return shown_value(calculated(call), "." in call)
        except ZeroDivisionError:
            return refusal("division by zero")
        except ValueError as error:
            return refusal(str(error))


def calculated(call: str) -> Fraction:
    """The exact value of an expression.

    Raises:
        ValueError: it is none, too long, too deep, or has values of more than ``BITS`` bits.
        ZeroDivisionError: it divides by zero.
    """
    if len(call) > LONGEST:
        raise ValueError("too long")
    reader = _Reader(list(_tokens(call.translate(_SPELT))))
    value = reader.sum(0)
    if reader.next:
        raise ValueError("not an expression")
    return value


def shown_value(value: Fraction, decimal: bool) -> str:
    """An integer, a decimal that ends where one is wanted, or a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    if decimal and (places := _places(value.denominator)) is not None:
        digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
        sign = "-" if value < 0 else ""
        return f"{sign}{digits[:-places]}.{digits[-places:]}"
    return f"{value.numerator}/{value.denominator}"


def _places(denominator: int) -> int | None:
    """Decimal places of fractions with this denominator; ``None`` when they do not end."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError("only numbers, + - * / % ** and parentheses")
        yield found[1]
        at = found.end()


class _Reader:
    """Reads tokens from the left, a function for each level of precedence; ``depth`` counts what is inside of what."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def next(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def sum(self, depth: int) -> Fraction:
        """Terms, added and subtracted."""
        return self._chain(self._product, _SUMS, depth)

    def _product(self, depth: int) -> Fraction:
        return self._chain(self._signed, _PRODUCTS, depth)

    def _chain(
        self,
        part: Callable[[int], Fraction],
        operations: _Operations,
        depth: int,
    ) -> Fraction:
        value = part(depth)
        while self.next in operations:
            operation = operations[self._take()]
            value = _bounded(operation(value, part(depth)))
        return value

    def _signed(self, depth: int) -> Fraction:
        if self.next not in ("+", "-"):
            return self._power(depth)
        minus = self._take() == "-"
        value = self._signed(_deeper(depth))
        return -value if minus else value

    def _power(self, depth: int) -> Fraction:
        base = self._atom(depth)
        if self.next not in ("**", "^"):
            return base
        self._take()
        return _raised(base, self._signed(_deeper(depth)))

    def _atom(self, depth: int) -> Fraction:
        token = self._take()
        if token == "(":
            value = self.sum(_deeper(depth))
            if self._take() != ")":
                raise ValueError("a parenthesis is not closed")
            return value
        if not token or token[0] not in ".0123456789":
            raise ValueError("not an expression")
        return _bounded(Fraction(token.removesuffix(".")))

    def _take(self) -> str:
        token = self.next
        self._at += 1
        return token


def _deeper(depth: int) -> int:
    if depth == DEEPEST:
        raise ValueError("too deep")
    return depth + 1


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    """A power with a whole exponent; its size is known, and refused, before it is computed."""
    if exponent.denominator != 1:
        raise ValueError("a power needs a whole exponent")
    if not base and exponent < 0:
        raise ZeroDivisionError
    if base in (0, 1, -1):  # of these every power is small
        return base ** (int(exponent) % 2 + 2) if exponent else Fraction(1)
    if _bits(base) * abs(exponent.numerator) > 2 * BITS:
        raise ValueError("too large")
    return _bounded(base**exponent.numerator)


def _bounded(value: Fraction) -> Fraction:
    if _bits(value) > BITS:
        raise ValueError("too large")
    return value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
