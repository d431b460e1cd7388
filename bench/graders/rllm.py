"""rllm / DeepScaleR: mathd string equality, or sympy equality under strict rules (``methods.md`` 1.7, 4).

Sources: OpenAI's PRM800K ``grader`` and its descendant in agentica-project/rllm (``math_utils``).
Strict rules: fractions must be reduced to count, an integer must match as text, powers with a brace
or with two digits are never handed to sympy, nor more than two unknown letters. Differences: LaTeX
is written as text by ``graders.latex.plain`` instead of pylatexenc, ``parse_expr`` gets arithmetic only.
There is no time limit, as in the original.
"""

from __future__ import annotations

import re

from graders.latex import from_python, plain
from graders.mathd import normalise

_UNITS = "degree|cm|centimeter|meter|mile|second|minute|hour|day|week|month|year|foot|feet|inch|yard|liter"
_REFUSED = re.compile(r"\^\{|\^\(|\^[0-9]+\^|\^[0-9][0-9]+")
_FRACTION = re.compile(r"-?[0-9]+.?/0*[1-9][0-9]*.?")


def grade(gold: str, answer: str, kind: str | None) -> str:
    """Compare; the kind is not used."""
    return "correct" if equal(gold, answer) else "incorrect"


def equal(gold: str, answer: str) -> bool:
    """Say whether the strings agree after normalisation, or sympy finds no difference."""
    if normalise(gold) == normalise(answer):
        return True
    golds, answers = _clean(gold), _clean(answer)
    if golds == answers:
        return True
    if not answers:
        return False
    ours, theirs = _members(golds), _members(answers)
    if len(ours) != len(theirs):
        return False
    if len(ours) > 1 and (golds[0] != answers[0] or golds[-1] != answers[-1]):
        return False
    return all(map(_same, ours, theirs))


def _clean(text: str) -> str:
    wrapped = re.search(r"^\\text\{(.+?)\}$", text)
    text = wrapped.group(1) if wrapped else text
    text = text.replace(r"\%", "").replace("%", "").replace(r"\$", "").replace("$", "")
    text = text.replace(" or ", " , ").replace(" and ", " , ")
    for word, power in (("million", 6), ("billion", 9), ("trillion", 12)):
        text = text.replace(word, f"*10^{power}")
    text = re.sub(rf"(?:{_UNITS})(es)?(s)? *(\^[0-9]+)?", "", text)
    text = re.sub(r"\^ *\\circ", "", text)
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    text = re.sub(r",\\! *", "", text)
    if "\\" in text:
        text = text.replace("tfrac", "frac").replace("dfrac", "frac").replace(r"\frac", r" \frac")
        text = plain(text)
    text = re.sub(r"- *", "-", text)
    text = re.sub(r"([0-9]) +([0-9])", r"\1+\2", text).lower()  # a mixed number is a sum
    whole = _integer(text)
    return text if whole is None else str(whole)


def _integer(text: str) -> int | None:
    try:
        value = float(_without_commas(text))
        return int(value) if abs(value - round(value)) <= 1e-7 else None
    except (ValueError, OverflowError):
        return None


def _without_commas(text: str) -> str:
    previous = ""
    while previous != text:
        previous, text = text, re.sub(r"(\d),(\d\d\d)($|\D)", r"\1\2\3", text)
    return text


def _members(text: str) -> list[str]:
    text = _without_commas(text)
    inner = text[1:-1]
    if len(text) > 2 and text[0] in "([" and text[-1] in ")]" and not set(inner) & set("()[]"):
        return [each.strip() for each in inner.split(",")]
    return [text]


def _same(gold: str, answer: str) -> bool:
    if _FRACTION.fullmatch(gold) and _FRACTION.fullmatch(answer):
        return gold == answer  # not reduced is wrong
    if (_integer(gold) is None) != (_integer(answer) is None):
        return False
    return _no_difference(gold, answer)


def _no_difference(gold: str, answer: str) -> bool:
    from sympy import simplify

    text = f"({gold})-({answer})"
    letters = {c for c in text.replace("sqrt", "").replace("frac", "") if c.isalpha()}
    if len(letters) > 2 or _REFUSED.search(text):
        return False
    try:
        return simplify(from_python(text.replace("^", "**"), implicit=True)) == 0
    except Exception:  # the original swallows everything as well
        return False
