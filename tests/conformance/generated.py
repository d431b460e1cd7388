"""Pairs whose label follows from how they were made: exact arithmetic with Python's ``Fraction``, no parser.

``generate(n, seed)`` draws from fifteen families in turn. An equal pair writes one value twice in
different ways; the other half changes one digit, sign, member, end or coefficient, or rounds a decimal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import comb, prod
from typing import NamedTuple


class Pair(NamedTuple):
    """A gold answer, an answer, whether they are equal, and the family they came from."""

    gold: str
    answer: str
    equal: bool
    family: str


def generate(count: int, seed: int = 0) -> list[Pair]:
    """Give ``count`` pairs, half of them equal, in turn from every family."""
    draw = random.Random(seed)
    names = list(FAMILIES)
    pairs = []
    for number in range(count):
        name, equal = names[number // 2 % len(names)], number % 2 == 0
        gold, answer = FAMILIES[name](draw, equal)
        pairs.append(Pair(gold, answer, equal, name))
    return pairs


def _rational(draw: random.Random, size: int = 60) -> Fraction:
    return Fraction(draw.randint(-size, size), draw.choice((1, 1, 2, 3, 4, 5, 6, 7, 8, 12, 25)))


def _spell(draw: random.Random, value: Fraction) -> str:
    """Write a rational in one of the ways people do."""
    top, bottom = value.numerator, value.denominator
    sign, size = ("-" if value < 0 else ""), abs(value)
    ways = [
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"{sign}\dfrac{{{abs(top)}}}{{{bottom}}}",
        f"{top}/{bottom}",
    ]
    factor = draw.randint(2, 9)
    ways.append(rf"\frac{{{factor * top}}}{{{factor * bottom}}}")
    if bottom == 1:
        ways = [str(top), f"{top}.0", f"{sign}{abs(top):,}"]
    else:
        ways.append(_decimal(value))
        if size > 1:
            whole, rest = divmod(abs(top), bottom)
            ways.append(rf"{sign}{whole}\frac{{{rest}}}{{{bottom}}}")
    return draw.choice(ways)


def _decimal(value: Fraction) -> str:
    """Write a rational as a decimal, a repeating one with a bar."""
    sign, top, bottom = ("-" if value < 0 else ""), abs(value.numerator), value.denominator
    whole, rest = divmod(top, bottom)
    digits, seen = "", {}
    while rest and rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(10 * rest, bottom)
        digits += str(digit)
    if rest:
        start = seen[rest]
        digits = digits[:start] + rf"\overline{{{digits[start:]}}}"
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def _other(draw: random.Random, value: Fraction) -> Fraction:
    return value + draw.choice((1, -1)) * draw.choice(
        (Fraction(1), Fraction(1, 10), Fraction(1, 100))
    )


def _long_integer(draw: random.Random, equal: bool) -> tuple[str, str]:
    value = draw.randint(10**3, 10 ** draw.randint(4, 40))
    if not equal:
        value += draw.choice((1, -1, 10))
        return str(value), f"{value - draw.choice((1, -1, 10, 10**3)):,}"
    return str(value), draw.choice(
        (f"{value:,}", f"+{value}", f"00{value}", f"{value:,}".replace(",", r",\!"))
    )


def _number(draw: random.Random, equal: bool) -> tuple[str, str]:
    value = _rational(draw)
    return _spell(draw, value), _spell(draw, value if equal else _other(draw, value))


def _rounded(draw: random.Random, equal: bool) -> tuple[str, str]:
    value = Fraction(draw.randint(1, 500), draw.choice((3, 7, 9, 11, 13, 17)))
    if value.denominator == 1:
        value += Fraction(1, 3)
    gold = rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    return gold, _decimal(value) if equal else f"{float(value):.{draw.randint(2, 15)}f}"


def _percent(draw: random.Random, equal: bool) -> tuple[str, str]:
    value = Fraction(draw.randint(1, 999), 10)
    if equal:
        return rf"{_decimal(value)}\%", draw.choice((_decimal(value), _decimal(value / 100)))
    return (
        rf"{_decimal(value)}\%",
        rf"{_decimal(draw.choice((value / 100, value * 10, value + 1)))}\%",
    )


def _surd(draw: random.Random, equal: bool) -> tuple[str, str]:
    """``n / (a + b sqrt c)`` and what follows by its conjugate."""
    n, a, b = (draw.randint(1, 9) for _ in range(3))
    c = draw.choice((2, 3, 5, 7, 11))
    bottom = a * a - b * b * c
    gold = rf"\frac{{{n}}}{{{a}+{b}\sqrt{{{c}}}}}"
    first, second = n * a, -n * b if equal else n * b
    return gold, rf"\frac{{{first}{second:+d}\sqrt{{{c}}}}}{{{bottom}}}"


def _root(draw: random.Random, equal: bool) -> tuple[str, str]:
    a, c = draw.randint(2, 12), draw.choice((2, 3, 5, 6, 7, 10, 11))
    inner = a * a * c
    if equal:
        return rf"{a}\sqrt{{{c}}}", rf"\sqrt{{{inner}}}"
    answer = draw.choice(
        (rf"\sqrt{{{inner + 1}}}", f"{(inner) ** 0.5:.9f}", rf"{a + 1}\sqrt{{{c}}}")
    )
    return rf"{a}\sqrt{{{c}}}", answer


def _product(draw: random.Random, equal: bool) -> tuple[str, str]:
    """A product of linear factors and its coefficients."""
    roots = [draw.choice((-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)) for _ in range(draw.randint(2, 4))]
    coefficients = [1]
    for root in roots:
        shifted, scaled = [*coefficients, 0], [0, *(-root * each for each in coefficients)]
        coefficients = [x + y for x, y in zip(shifted, scaled, strict=True)]
    if not equal:
        coefficients[draw.randrange(len(coefficients))] += draw.choice((1, -1))
    top = len(coefficients) - 1
    terms = [f"{c:+d}x^{{{top - k}}}" for k, c in enumerate(coefficients) if c]
    text = "".join(terms).removeprefix("+").replace("x^{0}", "").replace("x^{1}", "x")
    return "".join(f"(x{-root:+d})" for root in roots), text


def _fractions_of_x(draw: random.Random, equal: bool) -> tuple[str, str]:
    a, b = draw.sample(range(1, 9), 2)
    total = a + b if equal else a + b + draw.choice((1, -1))
    return rf"\frac{{1}}{{x+{a}}}+\frac{{1}}{{x+{b}}}", rf"\frac{{2x+{total}}}{{(x+{a})(x+{b})}}"


def _members(draw: random.Random) -> list[Fraction]:
    found: dict[Fraction, None] = {}
    while len(found) < draw.randint(2, 5):
        found[_rational(draw)] = None
    return list(found)


def _set(draw: random.Random, equal: bool) -> tuple[str, str]:
    values = _members(draw)
    others = draw.sample(values, len(values))
    if not equal:
        change = draw.choice(("drop", "add", "alter"))
        if change == "drop":
            others.pop()
        elif change == "add":
            others.append(max(values) + 1)
        else:
            others[0] = max(values) + 1
    texts = (", ".join(_spell(draw, each) for each in side) for side in (values, others))
    gold, answer = (rf"\{{{text}\}}" for text in texts)
    return gold, answer


def _point(draw: random.Random, equal: bool) -> tuple[str, str]:
    values = _members(draw)
    others = list(values)
    if not equal:
        if draw.random() < 0.5:
            others[0], others[1] = others[1], others[0]
        else:
            others[-1] = _other(draw, others[-1])
    texts = (", ".join(_spell(draw, each) for each in side) for side in (values, others))
    gold, answer = (f"({text})" for text in texts)
    return gold, answer


def _interval(draw: random.Random, equal: bool) -> tuple[str, str]:
    low = _rational(draw)
    high = low + Fraction(draw.randint(1, 40), 4)
    left, right = draw.choice("(["), draw.choice(")]")
    gold = f"{left}{_spell(draw, low)}, {_spell(draw, high)}{right}"
    if not equal:
        change = draw.randrange(3)
        left = {"(": "[", "[": "("}[left] if change == 0 else left
        right = {")": "]", "]": ")"}[right] if change == 1 else right
        high = high + Fraction(1, 4) if change == 2 else high
    if draw.random() < 0.5 and (left, right) != ("(", ")"):  # an open one could be a point
        signs = {"(": "<", "[": r"\le ", ")": "<", "]": r"\le "}
        return gold, f"{_spell(draw, low)}{signs[left]}x{signs[right]}{_spell(draw, high)}"
    return gold, f"{left}{_spell(draw, low)}, {_spell(draw, high)}{right}"


def _matrix(draw: random.Random, equal: bool) -> tuple[str, str]:
    values = [[_rational(draw, 9) for _ in range(2)] for _ in range(2)]
    others = [list(row) for row in values]
    if not equal:
        others[draw.randrange(2)][draw.randrange(2)] += draw.choice((1, -1))
    gold, answer = (
        rf"\begin{{{kind}}}"
        + r" \\ ".join(" & ".join(_spell(draw, x) for x in row) for row in side)
        + rf"\end{{{kind}}}"
        for kind, side in (("pmatrix", values), (draw.choice(("pmatrix", "bmatrix")), others))
    )
    return gold, answer


def _line(draw: random.Random, equal: bool) -> tuple[str, str]:
    """A line as ``ax + by + c = 0`` and solved for y."""
    a, b, c = draw.randint(1, 9), draw.randint(1, 9), draw.randint(1, 9)
    slope, offset = Fraction(-a, b), Fraction(-c, b)
    if not equal:
        slope, offset = draw.choice(((-slope, offset), (slope, -offset), (1 / slope, offset)))
        if (slope, offset) == (Fraction(-a, b), Fraction(-c, b)):
            offset += 1
    sign = "+" if offset >= 0 else "-"
    return f"{a}x+{b}y+{c}=0", f"y=({_slash(slope)})x{sign}{_slash(abs(offset))}"


def _slash(value: Fraction) -> str:
    return (
        f"{value.numerator}/{value.denominator}" if value.denominator > 1 else str(value.numerator)
    )


def _count(draw: random.Random, equal: bool) -> tuple[str, str]:
    """Powers, factorials, binomials and logarithms with the integers they are."""
    base, power = draw.randint(2, 12), draw.randint(2, 30)
    n, k = draw.randint(4, 30), draw.randint(2, 4)
    gold, value = draw.choice(
        (
            (f"{base}^{{{power}}}", base**power),
            (f"{min(n, 20)}!", prod(range(1, min(n, 20) + 1))),
            (rf"\binom{{{n}}}{{{k}}}", comb(n, k)),
            (rf"\log_{{{base}}} {base**k}", k),
            (f"{base}^{{{power}}}-{n}", base**power - n),
        )
    )
    return gold, str(value if equal else value + draw.choice((1, -1)))


def _complex(draw: random.Random, equal: bool) -> tuple[str, str]:
    a, b, c, d = (draw.randint(1, 9) for _ in range(4))
    real, imaginary = a * c - b * d, a * d + b * c
    if not equal:
        real, imaginary = draw.choice(((real, -imaginary), (real + 1, imaginary)))
    return f"({a}+{b}i)({c}+{d}i)", f"{real}{imaginary:+d}i"


FAMILIES: dict[str, Callable[[random.Random, bool], tuple[str, str]]] = {
    "long integer": _long_integer,
    "number": _number,
    "rounded": _rounded,
    "percent": _percent,
    "surd": _surd,
    "root": _root,
    "product": _product,
    "fractions of x": _fractions_of_x,
    "set": _set,
    "point": _point,
    "interval": _interval,
    "matrix": _matrix,
    "line": _line,
    "count": _count,
    "complex": _complex,
}
