r"""Rung 1: one spelling per answer. Two answers spelt alike are equal, whatever they mean.

Only what never changes a meaning is folded: spacing commands, ``\left``/``\right``, ``\dfrac``,
Unicode look-alikes, math delimiters around the whole. Every step is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata

from longstep.verify.ladder.symbols import COMMANDS, SUBSCRIPTS, SUPERSCRIPTS, UNICODE

_SUPERSCRIPTS, _SUBSCRIPTS = str.maketrans(SUPERSCRIPTS), str.maketrans(SUBSCRIPTS)
_SUPERSCRIPT = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
_SUBSCRIPT = re.compile(f"[{''.join(SUBSCRIPTS)}]+")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")  # mathematical italic, bold, ...
_UNICODE = str.maketrans(UNICODE)
_SPACING = re.compile(
    r"(\\\\)|\\(?:[,;:>! ]|(?:q?quad|thinspace|displaystyle|textstyle|limits|left|right|[bB]igg?[lrm]?)(?![A-Za-z]))"
)
_SEPARATOR = r"(?:\{,\}|,\\!|,\{\}|\\,|~)\s*"
_GROUPS = re.compile(rf"(?<![0-9])([0-9]+)((?:{_SEPARATOR}[0-9]+)+)")
_THOUSANDS = re.compile(rf"(?:{_SEPARATOR}[0-9]{{3}})+")
_DECIMALS = re.compile(r"\{,\}\s*([0-9]+)")
_NO_DIGIT = re.compile(r"[^0-9]+")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_ORDINAL = re.compile(r"\^\s*\{?\s*\\(?:text|mathrm|textrm)\s*\{(st|nd|rd|th)\}\s*\}?")
_ESCAPED_TWICE = re.compile(r"\\\\(?=[A-Za-z])")
_BACKSLASHES = re.compile(r"\\+(?=[A-Za-z{}|,;:!])")
_OVER = re.compile(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}")
_MODULE = re.compile(r"\b(?:np|numpy|math|sympy|sp)\.(?=[a-z])")
_BRACED = re.compile(r"(?<![A-Za-z])\{\s*([:,;=<>+])\s*\}")
_PRIME = re.compile(r"\^\s*\{?\s*('+)\s*\}?")
_ABBREVIATED = re.compile(r"\b(sq|cu|ft|in|hr|hrs|min|sec|yd|lb|lbs|oz)\.(?= [a-zA-Z])")
_DOLLARS = re.compile(r"(?<!\\)\$")
_DELIMITERS = (("**", "**"), ("`", "`"), ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_RENAME = re.compile("|".join(rf"{re.escape(old)}(?![A-Za-z])" for old in COMMANDS))
_DERIVATIVE = re.compile(r"(?<![A-Za-z\\])d([a-zA-Z]) ?/ ?d([a-zA-Z])(?![A-Za-z])")
_SPACES = re.compile(r"\s+")


def spell(text: str) -> str:
    """Give the answer in its one spelling; spaces are folded to one and still there."""
    if not text.isascii():
        text = _STYLED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
        text = _SUPERSCRIPT.sub(lambda m: f"^{{{m[0].translate(_SUPERSCRIPTS)}}}", text)
        text = _SUBSCRIPT.sub(lambda m: f"_{{{m[0].translate(_SUBSCRIPTS)}}}", text)
        text = text.translate(_UNICODE)
    if "\\\\" in text and all(len(m[0]) % 2 == 0 for m in _BACKSLASHES.finditer(text)):
        text = text.replace("\\\\", "\\")  # a key that was escaped twice
    if "." in text:
        text = _MODULE.sub("", text)
    text = _ABBREVIATED.sub(r"\1", text)
    text = _DERIVATIVE.sub(r"\\frac{d\1}{d\2}", text) if "/" in text else text
    if text.startswith("~"):
        text = rf"\approx {text[1:]}"
    if "\\" in text or "{" in text or "~" in text:
        text = _GROUPS.sub(_number, text)
        text = _SPACING.sub(lambda m: m[1] or " ", text)  # a double backslash ends a row
        text = _OVER.sub(r"\\frac{\1}{\2}", text) if r"\over" in text else text
        text = _FRACTION.sub(r"\\frac", text)
        text = _RENAME.sub(lambda m: COMMANDS[m[0]], text)
        text = _BRACED.sub(r"\1", text).replace("~", " ")
        text = _PRIME.sub(r"\1", text)
        text = _ORDINAL.sub(r" \1", text)
        if "\\begin" not in text:
            text = _ESCAPED_TWICE.sub(r"\\", text)
    return _outside(_SPACES.sub(" ", text).strip())


def _number(match: re.Match[str]) -> str:
    """Join groups of three digits; braces around a comma before other digits make it a decimal comma: ``0{,}125``."""
    head, rest = match[1], match[2]
    behind_point = match.string[match.start() - 1 : match.start()] == "."
    if _THOUSANDS.fullmatch(rest) and (behind_point or (len(head) < 4 and head[0] != "0")):
        return head + _NO_DIGIT.sub("", rest)
    if not behind_point and (found := _DECIMALS.fullmatch(rest)):
        return f"{head}.{found[1]}"
    return match[0]


def _outside(text: str) -> str:
    """Take off delimiters around the whole and inside, and the full stop of a sentence."""
    if text.count("$") > 1:
        text = _without_dollars(text)
    for _ in range(4):
        before = text
        for left, right in _DELIMITERS:
            inner = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and inner and left not in inner:
                text = inner.strip()
        if text.endswith((".", ",", ";")) and not text.endswith(("..", "\\,", "\\;")):
            text = text[:-1].strip()
        text = text.removesuffix("\\").rstrip() if text.endswith(" \\") else text
        if text.startswith("{") and text.endswith("}") and _closes_last(text):
            text = text[1:-1].strip()
        if text == before:
            break
    return text


def _without_dollars(text: str) -> str:
    """Take off pairs of dollar signs around formulas; ``$5 or $6`` is money and stays."""
    places = [match.start() for match in _DOLLARS.finditer(text)]
    money = any(text[place + 1 : place + 2].isdigit() for place in places[1::2])
    if len(places) % 2 or money:
        return text
    return _DOLLARS.sub(" ", text).strip()


def _closes_last(text: str) -> bool:
    depth = 0
    escaped = False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return place == len(text) - 1
    return False


def squeezed(spelt: str) -> str:
    """Give the spelling without any space, but for those that keep two numbers or words apart."""
    return _LOOSE.sub("", spelt)


_LOOSE = re.compile(r"(?<![0-9A-Za-z.]) | (?![0-9A-Za-z])|(?<=[0-9]) (?=[A-Za-z])")
