"""Numbers in words: ``twelve``, ``five hundred and four``, ``two thirds``, ``two and a half``, ``three dozen``."""

from __future__ import annotations

import re
from fractions import Fraction

from longstep.verify.ladder.vocabulary import DENOMINATORS, NUMERALS, SCALES


def _any(words: list[str]) -> str:
    return "(?:" + "|".join(words) + ")"


_DIGIT = _any([word for word, value in NUMERALS.items() if 0 < value < 10])
_TENS = _any([word for word, value in NUMERALS.items() if value >= 20])
_LOW = rf"(?:{_TENS}(?: {_DIGIT})?|{_any([word for word, value in NUMERALS.items() if 0 < value < 20])})"
_SCALE = _any([word for word in SCALES if word != "hundred"])
_HUNDREDS = rf"(?:(?:(?:{_LOW}|an?) )?hundred(?:(?: and)? {_LOW})?|{_LOW})"
_GROUP = rf"(?:(?:{_HUNDREDS}|an?) )?{_SCALE}"
_WHOLE = rf"(?:zero|{_GROUP}(?:(?: and)? {_GROUP})*(?:(?: and)? {_HUNDREDS})?|{_HUNDREDS})"
_UNDER = _any(list(DENOMINATORS))
_NUMBER = re.compile(
    rf"""(?P<minus>negative\ |minus\ )?(?:
    (?:(?P<mixed>{_WHOLE.replace(" ", "[ ]")})\ and\ )?(?P<over>{_WHOLE.replace(" ", "[ ]")}|an?)\ (?P<under>{_UNDER})
        (?:\ (?P<scaled>{_SCALE}))?
    |half(?:\ an?)?\ (?P<halved>{_SCALE})
    |(?P<half>half)
    |(?P<whole>{_WHOLE.replace(" ", "[ ]")})(?:\ point(?P<digits>(?:[ ](?:zero|{_DIGIT}))+))?
    )(?![a-z])(?:\ (?P<rest>.*))?""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset({*NUMERALS, *SCALES, *DENOMINATORS, "and", "a", "point", "over", "negative"})
_NOT_BEHIND = _WORDS | {"first", "second"}  # twenty first
_STARTS = frozenset({*NUMERALS, *SCALES, "a", "an", "half", "negative", "minus"})
_MAX_CHARS = 300


def spoken(text: str) -> tuple[Fraction, str] | None:
    """Read the number that a text in small letters starts with; give it with the words behind it.

    ``None`` for what is no number or no single one: ``one two three``, ``twenty third``. A word with a hyphen
    must be made of numbers, so that ``two-sided`` is none.
    """
    if re.split("[ -]", text, maxsplit=1)[0] not in _STARTS or len(text) > _MAX_CHARS:
        return None
    chunks = [chunk.split("-") for chunk in text.split()]
    if any(len(parts) > 1 and not _WORDS.issuperset(parts) for parts in chunks):
        return None
    found = _NUMBER.fullmatch(" ".join(word for parts in chunks for word in parts))
    value = None if found is None else _value(found)
    if found is None or value is None:
        return None
    rest = found["rest"] or ""
    if rest.partition(" ")[0] in _NOT_BEHIND:
        return None
    return -value if found["minus"] else value, rest


def _value(found: re.Match[str]) -> Fraction | None:
    if found["half"]:
        return Fraction(1, 2)
    if found["halved"]:
        return Fraction(SCALES[found["halved"]], 2)
    if found["under"]:
        value = _fraction(found["mixed"], found["over"], found["under"])
        return value and value * SCALES.get(found["scaled"], 1)
    whole = _whole(found["whole"])
    if whole is None or not found["digits"]:
        return whole
    digits = "".join(str(NUMERALS[word]) for word in found["digits"].split())
    return whole + Fraction(int(digits), 10 ** len(digits))


def _fraction(mixed: str | None, over: str, under: str) -> Fraction | None:
    """Read ``two thirds`` and ``one half``; ``twenty third`` is an ordinal."""
    above = Fraction(1) if over in ("a", "an") else _whole(over)
    front = Fraction(0) if mixed is None else _whole(mixed)
    singular = not under.endswith(("s", "ves"))
    if above is None or front is None or singular != (above == 1):
        return None
    return front + above / DENOMINATORS[under]


def _whole(text: str) -> Fraction | None:
    """Add up the groups; scales must fall: ``two million three thousand``."""
    total, group, last = 0, 0, 10**18
    for word in text.split():
        if word == "hundred":
            group = 100 * (group or 1)
        elif word in SCALES:
            if SCALES[word] >= last:
                return None
            last = SCALES[word]
            total, group = total + last * (group or 1), 0
        else:
            group += NUMERALS.get(word, 0)
    return Fraction(total + group)
