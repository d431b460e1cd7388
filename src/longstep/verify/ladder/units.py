r"""Units: a vocabulary with dimensions and exact factors, and how two of them compare.

A unit may be missing on one side; two units must be the same, or measure the same dimension, in
which case the values are converted exactly (100 cm is 1 m; 5 cm is not 5 m). A percent sign and
a degree sign are units with a value of their own, 1/100 and pi/180.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from longstep.verify.ladder.vocabulary import UNITS


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, or the words that stand where a unit would.

    Attributes:
        dimension: what it measures, such as ``length^1``; for unknown words the words themselves.
        factor: its size in the base unit of that dimension.
        known: whether it is in the vocabulary; unknown words cannot be converted.
    """

    dimension: str
    factor: Fraction
    known: bool = True


PERCENT = Unit("percent", Fraction(1, 100))
DEGREE = Unit("degree", Fraction(1))
DOLLAR = Unit("dollar^1", Fraction(1))


def _dimensions(text: str) -> list[tuple[str, int]]:
    parts = (part.partition("^") for part in text.split("*"))
    return [(name, int(power or 1)) for name, _, power in parts]


_WORDS = {word: (_dimensions(of), Fraction(size)) for word, (of, size) in UNITS.items()}
_DEGREES = frozenset({"degree", "degrees", "deg"})
_PERCENTS = frozenset({"percent", "percents", "per cent", "pct", "percentage"})
_TEMPERATURE = re.compile(r"degrees? (celsius|fahrenheit|c|f)")
_COMPOUND = {"mph": "mi/h", "kmh": "km/h", "kph": "km/h", "cc": "cm^3", "sqft": "ft^2"}
_SPOKEN_POWERS = (
    (re.compile(r"\b(?:square\s+|sq(?:\.\s*|\s+))([A-Za-z]+)"), 2),
    (re.compile(r"\b(?:cubic\s+|cu(?:\.\s*|\s+))([A-Za-z]+)"), 3),
    (re.compile(r"([A-Za-z]+) squared\b"), 2),
    (re.compile(r"([A-Za-z]+) cubed\b"), 3),
)
_BRACES = re.compile(r"[{}]")
_JOINS = re.compile(r"\\(?:cdot|times|text|mathrm)(?![a-z])|[*\\]")
_ARTICLES = re.compile(r"\b(?:a|an|the|of|about|in|total|each)\b")


def is_unit(word: str) -> bool:
    """Tell whether a run of two or more letters after a number is a unit."""
    return word in _WORDS or word in _COMPOUND or word in _DEGREES or word in _PERCENTS


def read_unit(text: str) -> Unit:
    """Read the words after a number, such as ``cm``, ``square meters``, ``km/h``, ``kg m/s^2``, ``apples``."""
    plain = " ".join(_JOINS.sub(" ", _BRACES.sub("", text)).strip(" .~").split())
    if plain.lower() in _DEGREES:
        return DEGREE
    if plain.lower() in _PERCENTS:
        return PERCENT
    if found := _TEMPERATURE.fullmatch(plain.lower()):
        plain = found[1]
    plain = _COMPOUND.get(plain.lower(), plain)
    factor, powers = Fraction(1), dict[str, int]()
    over, *under = re.split(r"\s*/\s*| per ", plain)
    for sign, part in ((1, over), *((-1, each) for each in under)):
        found = _powers(part)
        if found is None:
            return Unit(_plain(plain), Fraction(1), known=False)
        for dimensions, size, power in found:
            factor *= size ** (sign * power)
            for dimension, by in dimensions:
                powers[dimension] = powers.get(dimension, 0) + sign * power * by
    return Unit(
        "*".join(f"{name}^{powers[name]}" for name in sorted(powers) if powers[name]), factor
    )


def _powers(part: str) -> list[tuple[list[tuple[str, int]], Fraction, int]] | None:
    """Give dimensions, size and power of each unit in a product; ``None`` when one is unknown."""
    found = []
    for pattern, power in _SPOKEN_POWERS:
        part = pattern.sub(rf"\1^{power}", part)
    for word in part.split():
        match = re.fullmatch(r"([A-Za-z¢]+)(?:\^?(-?[1-9]))?", word)
        name = match[1] if match else ""
        entry = _WORDS.get(name) or (_WORDS.get(name.lower()) if len(name) > 2 else None)
        if match is None or entry is None:
            return None
        found.append((*entry, int(match[2] or 1)))
    return found or None


def _plain(text: str) -> str:
    words = _ARTICLES.sub(" ", text.lower()).split()
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def scale(left: Unit, right: Unit) -> tuple[Fraction, Fraction] | None:
    """Give what to multiply both values by to compare them, or ``None`` when the units differ."""
    if left.dimension == right.dimension:
        return left.factor, right.factor
    if not left.known and not right.known:
        ours, theirs = set(left.dimension.split()), set(right.dimension.split())
        if ours and theirs and (ours <= theirs or theirs <= ours):
            return Fraction(1), Fraction(1)
    return None
