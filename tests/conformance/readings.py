"""Pairs about how answers are read, labelled by arithmetic: words, compound amounts, unit changes, names, residues.

Beside ``generated.py``, whose families are compared with other verifiers; these are forms few verifiers read.
An unequal pair changes one number, unit or name of an equal one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm

from conformance.generated import Pair

_LOW = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def say(value: int, link: str = " ", joint: str = " and ") -> str:
    """Write a number below a billion in words."""
    for size, name in ((10**6, "million"), (1000, "thousand")):
        if value >= size:
            rest = value % size
            return f"{say(value // size, link, joint)} {name}" + (
                f"{joint if rest < 100 else ' '}{say(rest, link, joint)}" if rest else ""
            )
    if value >= 100:
        rest = value % 100
        return f"{_LOW[value // 100]} hundred" + (f"{joint}{say(rest, link)}" if rest else "")
    if value >= 20:
        return _TENS[value // 10 - 2] + (f"{link}{_LOW[value % 10]}" if value % 10 else "")
    return _LOW[value]


def _words(draw: random.Random, equal: bool) -> tuple[str, str]:
    value = draw.randrange(draw.choice((30, 1000, 10**6, 10**8)))
    spoken = say(value, draw.choice(" -"), draw.choice((" and ", " ")))
    other = (
        value
        if equal
        else draw.choice((value + 1, value + 10, value * 10 + 10, value * 1000 + 1000))
    )
    return str(other), draw.choice(
        (spoken, spoken.capitalize(), rf"\text{{{spoken}}}", f"{spoken} apples")
    )


def _fraction_words(draw: random.Random, equal: bool) -> tuple[str, str]:
    under, name = draw.choice(
        ((2, "half"), (3, "third"), (4, "fourth"), (4, "quarter"), (5, "fifth"), (8, "eighth"))
    )
    over, whole = draw.randint(1, under - 1), draw.randint(0, 40)
    plural = {"half": "halves"}.get(name, f"{name}s")
    spoken = f"{_LOW[over]} {name if over == 1 else plural}"
    value = whole + Fraction(over, under) if equal else whole + Fraction(over, under + 1)
    return str(value), f"{say(whole)} and {spoken}" if whole else spoken


_FALLING = (
    (("ft", 12), ("in", 1)), (("feet", 12), ("inches", 1)), (("h", 3600), ("min", 60)), (("hours", 60), ("minutes", 1)),
    (("h", 3600), ("min", 60), ("s", 1)), (("lb", 16), ("oz", 1)), (("m", 100), ("cm", 1)), (("kg", 1000), ("g", 1)),
    (("dollars", 100), ("cents", 1)),
)  # fmt: skip


def _compound(draw: random.Random, equal: bool) -> tuple[str, str]:
    units = draw.choice(_FALLING)
    counts = [draw.randint(1, 30)]
    for (_, large), (_, small) in pairwise(units):
        counts.append(draw.randrange(1, large // small))
    joint = draw.choice((" ", " and ")) if len(units) == 2 else " "
    amount = joint.join(f"{count} {name}" for count, (name, _) in zip(counts, units, strict=True))
    total = sum(count * size for count, (_, size) in zip(counts, units, strict=True))
    name, size = draw.choice(units)
    if not equal:
        total += draw.choice((1, -1, units[0][1]))
        if draw.random() < 0.3:  # the smaller count taken for decimals
            return amount, f"{counts[0]}.{counts[1]:04d}1 {units[0][0]}"
    return amount, f"{Fraction(total, size)} {name}"


_SPEEDS = {
    "m/s": Fraction(1),
    "km/h": Fraction(5, 18),
    "km/min": Fraction(50, 3),
    "cm/s": Fraction(1, 100),
}
_SPELT = {
    "m/s": ("m/s", r"\text{ m/s}", r"\mathrm{m\,s^{-1}}", "meters per second", r"\ \frac{\text{m}}{\text{s}}"),
    "km/h": ("km/h", r"\ \mathrm{km/h}", "kilometers per hour", "kmh"),
    "km/min": ("km/min", "kilometers per minute"), "cm/s": ("cm/s", "centimeters per second"),
}  # fmt: skip


def _speed(draw: random.Random, equal: bool) -> tuple[str, str]:
    one, two = (draw.choice(list(_SPEEDS)) for _ in range(2))
    value = Fraction(draw.randint(1, 90))
    other = value * _SPEEDS[one] / _SPEEDS[two]
    if not equal:
        other = draw.choice((other + 1, other * 10, value if one != two else value + 1))
    left, right = (draw.choice(_SPELT[unit][:4]) for unit in (one, two))
    return f"{value} {left}", f"{other} {right}"


def _named(draw: random.Random, equal: bool) -> tuple[str, str]:
    first, second = draw.sample("abcmnpq", 2)
    a, b = draw.sample(range(-20, 40), 2)
    gold = draw.choice((f"{first}={a}, {second}={b}", f"({first},{second})=({a},{b})"))
    ways = [
        f"({second},{first})=({b},{a})",
        f"{second} = {b}, {first} = {a}",
        rf"{first}={a} \text{{ and }} {second}={b}",
    ]
    if equal:
        return gold, draw.choice(ways)
    wrong = [
        f"({second},{first})=({a},{b})",
        f"{second} = {a}, {first} = {b}",
        f"({first},{second})=({a},{b + 1})",
    ]
    return gold, draw.choice(wrong)


def _asked(draw: random.Random, equal: bool) -> tuple[str, str]:
    """A quantity with its value is that value; an equation in one unknown is not."""
    value = draw.randint(2, 999)
    first, second = draw.sample("abcmnpq", 2)
    quantity = draw.choice(
        (
            f"{first}+{second}",
            f"{first}{second}",
            f"{first} - {second}",
            "x+y",
            "AB",
            "f(3)",
            "a_{10}",
        )
    )
    if equal:
        return str(value), f"{quantity} = {value}"
    equation = draw.choice(
        (f"{draw.randint(2, 9)}x", "x^2", r"\lambda x", "-x", "|x|", "3x+2y", "x/2", "ax")
    )
    return str(value), draw.choice((f"{equation} = {value}", f"{quantity} = {value + 1}"))


def _several(draw: random.Random, equal: bool) -> tuple[str, str]:
    a, b, c = (draw.randint(2, 400) for _ in range(3))
    text, value = draw.choice(
        (
            (rf"\gcd({a}, {b}, {c})", gcd(a, b, c)), (rf"\operatorname{{lcm}}({a},{b})", lcm(a, b)),
            (rf"\max({a},{b},{c})", max(a, b, c)), (rf"\min\{{{a},{b}\}}", min(a, b)),
            (rf"{a}^{{{c}}} \bmod {b}", pow(a, c, b)), (rf"-{a} \bmod {b}", -a % b),
            (rf"\max({a},{b})-\min({a},{b})", abs(a - b)),
        )
    )  # fmt: skip
    return str(value if equal else value + draw.choice((1, -1))), text


def _residue(draw: random.Random, equal: bool) -> tuple[str, str]:
    by, residue = draw.randint(3, 40), draw.randint(0, 80)
    gold, other = rf"x \equiv {residue} \pmod{{{by}}}", residue + by * draw.randint(-3, 3)
    if not equal:
        by, other = draw.choice(((by, other + draw.randrange(1, by)), (by + 1, residue)))
    return gold, draw.choice((rf"x\equiv {other}\pmod {{{by}}}", f"x ≡ {other} (mod {by})"))


def _comma(draw: random.Random, equal: bool) -> tuple[str, str]:
    """Braces around a comma: groups of three, and decimals where they cannot be groups."""
    if draw.random() < 0.5:
        value = draw.randint(1000, 10**9)
        return f"{value:,}".replace(",", "{,}"), str(value if equal else Fraction(value, 1000))
    whole, digits = draw.choice((0, 0, 17, 2500)), draw.choice(("5", "25", "0625", "125"))
    if len(digits) == 3:
        whole = 0
    value = Fraction(f"{whole}.{digits}")
    return f"{whole}{{,}}{digits}", str(
        value if equal else draw.choice((value * 10 ** len(digits), value + 1))
    )


READINGS: dict[str, Callable[[random.Random, bool], tuple[str, str]]] = {
    "words": _words,
    "fraction words": _fraction_words,
    "compound": _compound,
    "speed": _speed,
    "named": _named,
    "asked": _asked,
    "several": _several,
    "residue": _residue,
    "comma": _comma,
}


def readings(count: int, seed: int = 0) -> list[Pair]:
    """Give ``count`` pairs of every family, half of them equal."""
    draw = random.Random(seed)
    return [
        Pair(*family(draw, number % 2 == 0), number % 2 == 0, name)
        for name, family in READINGS.items()
        for number in range(count)
    ]
