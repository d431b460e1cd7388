r"""Answers as hashes: the same problem has the same answer, a question with a shared set-up seldom has.

The form compared is a cheap one (no algebra): spelling, units and dollar signs do not count, ``\frac12``, ``1/2``,
``0.5`` and ``2/4`` are one, and so are 36 and 36.0. Two answers that differ here may still be equal, so a difference is
evidence against a match and no proof. What is kept of an answer is 16 bits of a salted hash, 0 for an unknown one. A
dictionary of small integers would find most of them: like the hashes of words this is no encryption.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longstep.curate.normalise import fold

Short = NDArray[np.uint16]
Signs = NDArray[np.int8]

#: Longer answers are prose or proofs: not compared.
LONGEST = 120
#: Letters of choices have the values below this, all other answers those from it on.
_LETTERS = 16
_SALT = b"longstep answers"

_FRACTION = re.compile(r"\\[dtc]?frac\s*(\{[^{}]*\}|\d|[a-z])\s*(\{[^{}]*\}|\d|[a-z])")
_ROOT = re.compile(r"\\sqrt\s*(?:\{([^{}]*)\}|(\d))")
_GROUPED = re.compile(r"(?<=\d)(?:,(?:\\!)?|\{,\}|\\,)(?=\d{3}(?!\d))")
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|mbox|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_SPACING = re.compile(
    r"\\(?:left|right|displaystyle|[Bb]igg?[lr]?|quad|qquad|limits|[,;:!\s()\[\]])|[$~]"
)
_LABEL = re.compile(r"(?<=\d)\s+\([a-z :-]+\)$")
_NAME = re.compile(r"^[a-z](?:_\w)?(?:\([a-z]\))?=")
_UNITS = re.compile(
    r"(?<=[\d)])(?!pi|sqrt|log|ln|sin|cos|tan)(?:[a-z]{3,}|cm|mm|km|ft|kg|in|m|)(?:\^\d)?(?:\^?circ|%)?$"
)
_MIXED = re.compile(r"(?<=\d)\s*(?=\\[dtc]?frac)")
_NUMBER = re.compile(r"([-+]?)(?:(\d+)&)?(\d+(?:\.\d*)?|\.\d+)(?:/(\d+(?:\.\d*)?|\.\d+))?")
_CHOICE = re.compile(r"\(?[a-h]\)?")


def plain(answer: str | None) -> str | None:
    """Give the form in which answers are compared; ``None`` for nothing and for prose."""
    if answer is None or len(answer) > LONGEST:
        return None
    if answer.isascii() and answer.isdigit():  # most answers
        return answer.lstrip("0") or "0"
    text = _LABEL.sub("", fold(answer).strip().rstrip(".").lower())  # 9 (apples)
    text = _TEXT.sub(r" \1 ", _SPACING.sub(" ", _GROUPED.sub("", _MIXED.sub("&", text))))
    for _ in range(2):
        text = _ROOT.sub(lambda found: f"sqrt({found[1] or found[2]})", text)
        text = _FRACTION.sub(
            lambda found: f"({found[1].strip('{}')})/({found[2].strip('{}')})", text
        )
    text = re.sub(r"\s+", "", text).replace("\\cdot", "*").replace("\\times", "*")
    text = re.sub(r"(?<![a-z])\((\w+)\)(?=/)|(?<=/)\((\w+)\)", r"\1\2", text)
    text = _NAME.sub("", re.sub(r"[\\{}]", "", text))
    if not text:
        return None
    if _CHOICE.fullmatch(text):
        return text.strip("()")
    value = number(_UNITS.sub("", text))
    return text if value is None else str(value)


def number(text: str) -> Fraction | None:
    """Exact value of an integer, decimal or fraction; ``None`` for anything else."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    below = Fraction(found[4] or 1)
    if not below:
        return None
    return (-1 if found[1] == "-" else 1) * (int(found[2] or 0) + Fraction(found[3]) / below)


@dataclass(frozen=True, slots=True)
class Answers:
    """Hashes of the answers of Q questions, 0 where there is none.

    Attributes:
        values: of the answer, length Q.
        totals: what a competition's answer of up to three digits may be made of: the sum of the integers in an answer
            that has several ("find m + n"), the last three digits of an integer of more ("divided by 1000").
    """

    values: Short
    totals: Short

    def take(self, at: NDArray[np.int64]) -> Answers:
        """Those of the questions ``at``."""
        return Answers(self.values[at], self.totals[at])


def hashed(answers: Sequence[str | None]) -> Answers:
    """Hash answers."""
    pairs = np.array([_hashes(each) for each in answers], np.uint16).reshape(-1, 2)
    return Answers(pairs[:, 0].copy(), pairs[:, 1].copy())


def agreement(one: Answers, other: Answers) -> Signs:
    """Compare answers one by one: 1 equal, -1 different, 0 when that cannot be told.

    The letters of two choices can only differ: the same one is common, and a value beside a letter says nothing. An
    answer that is the other's total says nothing either: small sums coincide.
    """
    a, b = one.values, other.values
    equal, letter = a == b, a < _LETTERS
    total = (a == other.totals) | (one.totals == b)
    unknown = (a == 0) | (b == 0) | (letter != (b < _LETTERS)) | (letter & equal) | (total & ~equal)
    return np.where(unknown, 0, np.where(equal, 1, -1)).astype(np.int8)


@lru_cache(1 << 14)
def _hashes(answer: str | None) -> tuple[int, int]:
    form = plain(answer)
    return _short(form), _short(_total(form))


def _total(form: str | None) -> str | None:
    parts = re.findall(r"\d+", form or "")
    if len(parts) > 1:
        return str(sum(map(int, parts)))
    whole = re.fullmatch(r"\d{4,}", form or "")
    return str(int(whole[0]) % 1000) if whole else None


def _short(form: str | None) -> int:
    if form is None:
        return 0
    if len(form) == 1 and form in "abcdefgh":
        return ord(form) - ord("a") + 1
    digest = hashlib.blake2b(form.encode(), digest_size=2, key=_SALT).digest()
    return max(int.from_bytes(digest, "little"), _LETTERS)
