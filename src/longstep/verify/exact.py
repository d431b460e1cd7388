r"""Exact numbers: integers of any length, fractions, decimals and percents, with no floating point.

An answer is brought to its one spelling (``ladder.spelling``) and then to one canonical string, ``-?digits`` or
``-?digits/digits`` in lowest terms; two answers are equal when the strings are. A percent is its value: ``50\%`` is
1/2, never 50. Nothing is evaluated: a power, a factorial or a sum is not a number here.
"""

from __future__ import annotations

import re
from fractions import Fraction

from longstep.types import Problem, Verdict
from longstep.verify.extract import extract
from longstep.verify.gold import key_of
from longstep.verify.ladder.spelling import spell, squeezed

#: Fractions and decimals longer than this are refused; plain integers are compared as text.
MAX_DIGITS = 2000
_INTEGER = re.compile(r"[+-]?[0-9]+")  # [0-9]: \d would take other scripts' digits
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+)(?:\.[0-9]+)?")
_RATIO = re.compile(r"([+-]?)([+-]?[0-9]+)/([+-]?[0-9]+)")
_FRAC = re.compile(r"([+-]?)\\frac ?(?:\{([+-]?[0-9]+)\}\{([+-]?[0-9]+)\}|([0-9]) ?([0-9]))")
#: A name and the sign of a currency, which say nothing about the number.
_AROUND = re.compile(r"^(?:[A-Za-z]=)?(-?)(?:\\?\$)?")


def canonical(answer: str) -> str | None:
    r"""Give the canonical string of an exact number, or ``None`` when the text is not one.

    ``007`` -> ``7``, ``0.50`` -> ``1/2``, ``50\%`` -> ``1/2``, ``\frac{-4}{6}`` -> ``-2/3``,
    ``10,\!080`` -> ``10080``, ``x = 5`` -> ``5``.
    """
    text = answer.strip()
    if not _INTEGER.fullmatch(text):
        text = squeezed(spell(text))
        text = _AROUND.sub(r"\1", text)
    percent = text.endswith("%")
    text = text.removesuffix("%").removesuffix("\\").rstrip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "").replace(" ", "")
    if not percent and _INTEGER.fullmatch(text):
        digits = text.lstrip("+-0") or "0"
        return f"-{digits}" if text[0] == "-" and digits != "0" else digits
    value = _fraction(text)
    return None if value is None else str(value / 100 if percent else value)


def _fraction(text: str) -> Fraction | None:
    if len(text) > MAX_DIGITS:
        return None
    if _DECIMAL.fullmatch(text):
        return Fraction(text.removesuffix("."))
    if match := _FRAC.fullmatch(text):
        sign, over, under = match[1], match[2] or match[4], match[3] or match[5]
    elif match := _RATIO.fullmatch(text):
        sign, over, under = match.groups()
    else:
        return None
    if int(under) == 0:
        return None
    value = Fraction(int(over), int(under))
    return -value if sign == "-" else value


def exact(problem: Problem, text: str) -> Verdict:
    """Compare the extracted answer with the gold one as exact numbers."""
    key = key_of(problem.answer)  # a whole solution is read as its final answer
    gold = canonical(key.answers[0]) if len(key.answers) == 1 else None
    if gold is None:
        reason = f"gold {problem.answer[:80]!r} is not an exact number; use verifier 'math'"
        return Verdict("bad_gold", None, reason)
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    value = canonical(answer)
    if value is None:
        return Verdict("unparseable", answer, "the answer is not an exact number")
    if value == gold:
        return Verdict("correct", value)
    return Verdict("incorrect", value, "another number")
