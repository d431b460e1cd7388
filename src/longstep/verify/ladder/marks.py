r"""Answers that are no formulas: a choice letter, a time of day, digits in a base, plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from longstep.verify.ladder.vocabulary import MONTHS

_WRAPPER = re.compile(r"\\(?:text[a-z]*|mbox|mathrm|mathbf|mathsf|operatorname)\s*\{([^{}]*)\}")
_CHOICE = re.compile(
    r"\(?([A-Ja-j])(?:\)|[.:](?= |$)|(?<=[A-J]) --?-?(?= (?:an? |[A-Za-z]{3})))\s*(.*)", re.DOTALL
)
#: Another choice, or a word that takes the choice back, behind a letter.
_OTHER = re.compile(
    r"\((?:[A-Ja-j]|ii|iii|iv)\)|(?<![A-Za-z\\])[A-J][).:](?= |$)|\b(?:or|and|wrong|incorrect|not)\b"
)
_PART = re.compile(r"(?:^|(?<=[\s,;]))\(?([a-f]|i{1,3}|iv|v|[1-6])\)\s")
_ORDERS = (("a", "b", "c", "d", "e", "f"), ("i", "ii", "iii", "iv", "v"), tuple("123456"))
_LETTER = re.compile(r"(?:(?:option|choice|answer)\s*)?\(?([A-Ja-j])\)?[.:]?", re.IGNORECASE)
_TIME = re.compile(
    r"(?:[a-zA-Z] ?= ?)?([0-9]{1,2})(?:\s*:\s*([0-9]{2}))?(?:\s*:\s*([0-9]{2}))?\s*\(?([ap])\.?\s?m\.?\)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DAY, _YEAR = r"([0-9]{1,2})(?:st|nd|rd|th)?", r"(?:,? ([0-9]{4}))?"
_DATE = re.compile(
    rf"([A-Za-z]{{3,9}})\.? {_DAY}{_YEAR}|{_DAY} (?:of )?([A-Za-z]{{3,9}})\.?{_YEAR}"
)
_IN_BASE = re.compile(r"(\()?([0-9A-Fa-f]{1,400})(?(1)\))_(?:([0-9]{1,2})|\{([0-9]{1,2})\})")
#: Digits of a base without brackets; ``a_{12}`` and ``2a_{12}`` are terms of a sequence, ``AB_{16}`` is a number.
_BARE_DIGITS = re.compile(r"[0-9](?:[0-9A-Fa-f]*[0-9])?|[0-9A-F]{2,}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter, how sure it is that it names a choice, what is written behind it, and whether a space is between."""

    letter: str
    marked: bool
    rest: str = ""
    apart: bool = True


def unwrapped(spelt: str) -> str:
    r"""Take off ``\text{}`` and its like."""
    for _ in range(3 if "\\" in spelt else 0):
        spelt, count = _WRAPPER.subn(r"\1", spelt)
        if not count:
            break
    return " ".join(spelt.split())


def choice(spelt: str) -> Choice | None:
    r"""Read ``A``, ``(a)``, ``B.``, ``A) 5``; a bare letter is not marked: ``C`` and ``c`` may be two constants."""
    plain = unwrapped(spelt).strip("{}* ")
    if found := _LETTER.fullmatch(plain):
        return Choice(found[1].upper(), len(plain) > 1)
    if found := _CHOICE.fullmatch(plain):
        rest = found[2].strip()
        if rest[:1] in tuple("^,;/(") or _OTHER.search(rest):
            return None
        return Choice(found[1].upper(), True, rest, found.end(1) + 1 < found.start(2))
    return None


def parts(spelt: str) -> list[str]:
    """Give the answers in ``(a) 5 (b) 6``, ``1) 5, 2) 6``; empty when it is no such row."""
    if ")" not in spelt:
        return []
    plain = unwrapped(spelt)
    found = list(_PART.finditer(plain))
    labels = tuple(match[1] for match in found)
    if len(found) < 2 or found[0].start() or all(labels != o[: len(labels)] for o in _ORDERS):
        return []
    ends = [match.start() for match in found[1:]] + [len(plain)]
    cut = [plain[match.end() : end] for match, end in zip(found, ends, strict=True)]
    return [each.strip(" ,;").removesuffix(" and").rstrip(" ,;") for each in cut]


def clock(spelt: str) -> tuple[int, bool, bool] | None:
    """Read a time of day: seconds after midnight, whether morning or afternoon is known, whether it is marked.

    ``1:15`` alone is not marked and may be a ratio.
    """
    plain = unwrapped(spelt)
    if found := _TIME.fullmatch(plain):
        hour, late = int(found[1]), found[4].lower() == "p"
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * late
    elif found := _CLOCK.fullmatch(plain):
        hour = int(found[1])
    else:
        return None
    minute, second = int(found[2] or 0), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    marked = found.re is _TIME or found[3] is not None
    return hour * 3600 + minute * 60 + second, found.re is _TIME or hour > 12, marked


_NUMERAL = re.compile(r"[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+")


def written_digits(text: str) -> int:
    """Count the significant digits of the first number that is written: 2 of ``9.6e-23``, 3 of ``0.0250``.

    Zeros at the end of a whole number are significant here, because nothing says that they are not.
    """
    found = _NUMERAL.search(text)
    digits = found[0].replace(",", "").replace(".", "").lstrip("0") if found else ""
    return len(digits) or 1


def date(spelt: str) -> tuple[int, int, int | None] | None:
    """Read month, day and year of a date with the month in letters."""
    found = _DATE.fullmatch(
        unwrapped(spelt).replace(",", ", ").replace("  ", " ").replace(" ,", ",")
    )
    if found is None:
        return None
    name = (found[1] or found[5]).lower()
    months = [place for place, month in enumerate(MONTHS, 1) if name in (month, month[:3])]
    if not months:
        return None
    year = found[3] or found[6]
    return months[0], int(found[2] or found[4]), int(year) if year else None


def in_base(spelt: str) -> Fraction | None:
    """Read digits with their base behind them, such as ``(1A)_{16}``."""
    found = _IN_BASE.fullmatch(spelt.replace(" ", ""))
    if found is None or not (found[1] or _BARE_DIGITS.fullmatch(found[2])):
        return None
    digits, base = found[2], int(found[3] or found[4])
    if not 2 <= base <= 36 or (digits.isalpha() and len(digits) == 1):
        return None
    try:
        return Fraction(int(digits, base))
    except ValueError:
        return None


def same_clock(left: tuple[int, bool, bool], right: tuple[int, bool, bool]) -> bool:
    """Compare two times; where one does not say morning or afternoon, twelve hours do not count."""
    if left[1] and right[1]:
        return left[0] == right[0]
    return (left[0] - right[0]) % (12 * 3600) == 0


def same_date(left: tuple[int, int, int | None], right: tuple[int, int, int | None]) -> bool:
    """Compare two dates; the year may be missing on one side."""
    return left[:2] == right[:2] and (left[2] == right[2] or None in (left[2], right[2]))
