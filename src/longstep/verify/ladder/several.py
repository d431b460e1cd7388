"""``max``, ``min``, ``gcd``, ``lcm`` and ``mod``: decided for plain numbers, else left to the last rung."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from longstep.verify.ladder.allowance import MAX_BITS, charge, weight
from longstep.verify.ladder.node import Foreign, Node, TooLarge, Unreadable

_ARITHMETIC = frozenset({"num", "neg", "add", "mul", "div", "pow", "call"})


#: Calls over plain numbers that have a plain number as their value.
_CALCULATED = frozenset({"factorial", "binomial", "abs", "floor", "ceil"})


def of_numbers(name: str, args: tuple[Node, ...]) -> Node:
    """Make a call whose arguments are arithmetic over written numbers.

    Raises:
        Foreign: an argument is something else.
    """
    if not all(map(_is_arithmetic, args)):
        raise Foreign(f"the function {name} of no plain numbers")
    return Node("call", args, name)


def _is_arithmetic(node: Node) -> bool:
    known = node.op != "call" or node.value in VALUES or node.value in _CALCULATED
    return node.op in _ARITHMETIC and known and all(map(_is_arithmetic, node.args))


def _whole(values: list[Fraction]) -> list[int]:
    if any(value.denominator != 1 for value in values):
        raise Unreadable("a function of whole numbers of a fraction")
    out = [int(value) for value in values]
    charge(sum(1 + 4 * weight(each.bit_length()) for each in out))
    return out


def _modulo(values: list[Fraction]) -> Fraction:
    value, by = _whole(values)
    if by < 1:
        raise Unreadable("a modulus that is not positive")
    return Fraction(value % by)


def _multiple(values: list[Fraction]) -> Fraction:
    found = 1
    for each in _whole(values):
        bits = found.bit_length() + each.bit_length()
        if bits > MAX_BITS:
            raise TooLarge("a common multiple too large to evaluate")
        charge(1 + 4 * weight(bits))
        found = math.lcm(found, each)
    return Fraction(found)


VALUES: dict[str, Callable[[list[Fraction]], Fraction]] = {
    "max": max,
    "min": min,
    "gcd": lambda values: Fraction(math.gcd(*_whole(values))),
    "lcm": _multiple,
    "mod": _modulo,
}
