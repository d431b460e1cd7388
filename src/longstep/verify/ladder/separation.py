r"""Rung 3, the proof of equality: how close two different algebraic numbers can come.

For an expression of whole numbers, ``+ - * /`` and roots, one pass over the tree gives u and l such
that a value that is not zero is at least ``1 / (l * u^(D-1))`` away from it, where D is the product of
the root indices: C. Burnikel, S. Funke, K. Mehlhorn, S. Schirra, S. Schmitt, *A separation bound for
real algebraic expressions* (2001), table 1. Two values whose enclosures still overlap below that
distance are equal. Sines and cosines of rational multiples of pi are halves of sums of roots of unity,
which extends D by the degree of their field; logarithms of u and l are kept, rounded upwards.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

from longstep.verify.ladder.forms import normal
from longstep.verify.ladder.node import Node, TooLarge, Unreadable
from longstep.verify.ladder.poly import ONE

_MAX_DEGREE = 1 << 20
_NEVER = 1 << 60  # more bits than any enclosure has: equality cannot be proved


class _NotAlgebraic(Exception):
    pass


def separation_bits(left: Node, right: Node) -> int | None:
    """Give k such that ``left`` and ``right``, if they differ, differ by more than 2^-k.

    ``None`` for expressions that are not known to be algebraic.
    """
    try:
        tree = _Bounds()
        upper, lower = tree.visit(Node("add", (left, Node("neg", (right,)))))
        degree = tree.degree * max(1, 2 * tree.circle)
        return int(lower + upper * (degree - 1)) + 2 if degree < _MAX_DEGREE else _NEVER
    except TooLarge:
        return _NEVER
    except (_NotAlgebraic, Unreadable):
        return None


class _Bounds:
    """``visit`` gives log2 of u and of l."""

    def __init__(self) -> None:
        self.degree = 1
        self.circle = 0  # a common denominator of all angles, as parts of pi

    def visit(self, node: Node) -> tuple[float, float]:
        match node.op:
            case "num":
                value = Fraction(node.value)
                return _log(value.numerator), _log(value.denominator)
            case "const" if node.value == "i":
                self.degree *= 2
                return 0.0, 0.0
            case "neg":
                return self.visit(node.args[0])
            case "add":
                return self.sum([self.visit(arg) for arg in node.args])
            case "mul":
                bounds = [self.visit(arg) for arg in node.args]
                return sum(u for u, _ in bounds), sum(low for _, low in bounds)
            case "div":
                (u, low), (under_u, under_low) = (self.visit(arg) for arg in node.args)
                return u + under_low, low + under_u
            case "pow":
                return self.power(node.args[0], normal(node.args[1]).constant)
            case "call" if node.value == "root":
                index = normal(node.args[1]).constant
                return self.power(node.args[0], 1 / index if index else None)
            case "call" if node.value in ("sin", "cos", "tan"):
                return self.angle(node)
        raise _NotAlgebraic

    def sum(self, bounds: list[tuple[float, float]]) -> tuple[float, float]:
        """Add n quotients over their common denominator."""
        lower = sum(low for _, low in bounds)
        upper = max(u + lower - low for u, low in bounds) + len(bounds).bit_length()
        return upper, lower

    def power(self, node: Node, exponent: Fraction | None) -> tuple[float, float]:
        if exponent is None:
            raise _NotAlgebraic
        upper, lower = self.visit(node)
        count, index = abs(exponent.numerator), exponent.denominator
        if max(count, index) > _MAX_DEGREE:
            raise TooLarge("a power too large to evaluate")
        upper, lower = upper * count, lower * count
        if exponent < 0:
            upper, lower = lower, upper
        self.degree *= index
        if index == 1:
            return upper, lower
        if upper >= lower:
            return (upper + lower * (index - 1)) / index, lower
        return upper, (upper * (index - 1) + lower) / index

    def angle(self, node: Node) -> tuple[float, float]:
        form = normal(node.args[0])
        if form.under != {ONE: 1} or not form.over.keys() <= {(("pi", Fraction(1)),)}:
            raise _NotAlgebraic
        part = next(iter(form.over.values()), Fraction(0))
        self.circle = lcm(self.circle or 1, part.denominator, 2)
        return (2.0, 2.0) if node.value == "tan" else (1.0, 1.0)


def _log(number: int) -> float:
    return float(abs(number).bit_length())
