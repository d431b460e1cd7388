"""PRIME: the rules of ``graders.rllm``, then numbers within a relative 1e-4 and sympy.

Source: PRIME-RL/PRIME, ``evaluation_utils/math_util``. A percentage may be off by a factor of 100 either
way, pi may be 3.14, a base is read as a decimal number, parts of a list are compared in order. Differences:
pi is put in by sympy instead of Python's ``eval``; LaTeX is read by latex2sympy2_extended; the
original's limit of 10 s by SIGALRM is left to the harness, whose kill counts as a timeout.
"""

from __future__ import annotations

import re
from math import isclose
from typing import Any

from graders import rllm
from graders.latex import from_latex, from_python

_TOLERANCE = 1e-4


def grade(gold: str, answer: str, kind: str | None) -> str:
    """Compare; the kind is not used."""
    values = ("3.141592653589793", "3.14") if r"\pi" in gold + answer else ("pi",)
    found = rllm.equal(gold, answer) or any(_equal(answer, gold, pi) for pi in values)
    return "correct" if found else "incorrect"


def _equal(answer: str, gold: str, pi: str) -> bool:
    answer, gold = _normalise(answer, pi)[:1000], _normalise(gold, pi)
    if answer.strip().lower() == gold.strip().lower() or answer.replace(" ", "") == gold.replace(
        " ", ""
    ):
        return True
    x, y = _number(answer), _number(gold)
    if x is not None and y is not None:
        return any(isclose(each, x, rel_tol=_TOLERANCE) for each in (y / 100, y, y * 100))
    if not answer:
        return False
    answer, gold = answer.strip(), gold.strip()
    if _bare(answer, gold) == _bare(gold, answer):
        return True
    bracketed = answer[:1] in ("(", "[") and answer[:1] + answer[-1:] == gold[:1] + gold[-1:]
    parts, golds = (s[1:-1].split(",") if bracketed else s.split(",") for s in (answer, gold))
    if len(parts) == len(golds) > 1:
        if all(_equal(a, g, pi) for a, g in zip(parts, golds, strict=True)):
            return True
        if not bracketed:
            return False
    return _symbolic(answer, gold)


def _normalise(text: str, pi: str) -> str:
    if re.match(r"\$\d+(\.\d+)?", text):
        return text[1:]
    if re.match(r"^\d+(\.\d+)?\\?%$", text):
        return text.replace("\\", "").replace("%", "")
    if "_" in text:
        try:
            text = str(int(float(text.split("_")[0])))
        except (ValueError, OverflowError):
            return text
    if r"\pi" in text:
        filled = re.sub(r"(\d)\\pi", rf"\1*{pi}", text).replace(r"\pi", pi)
        try:
            return str(float(from_python(filled)))
        except Exception:  # the original swallows everything as well
            return filled
    return text


def _number(text: str) -> float | None:
    try:
        return float(text.replace("{,}", "").replace(",", ""))
    except ValueError:
        return None


def _bare(text: str, other: str) -> str:
    if (text[:1] == "[" and other[:1] != "(") or (text[:1] == "(" and other[:1] != "["):
        text = text.strip("[]()")
    return re.sub(r"[{}()]", "", text)


def _symbolic(answer: str, gold: str) -> bool:
    from sympy import N, simplify

    x, y = _read(answer), _read(gold)
    try:
        if simplify(x - y) == 0:
            return True
    except Exception:
        pass
    try:
        return isclose(N(x), N(y), rel_tol=_TOLERANCE)
    except Exception:
        return False


def _read(text: str) -> Any:
    for reader in (from_python, from_latex):
        try:
            return reader(text)
        except Exception:  # on to the next reader, as in the original
            continue
    return text
