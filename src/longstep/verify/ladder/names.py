r"""What stands on the left of an equals sign: a name (``x``, ``\angle ABC``, ``f(3)``), or the quantity asked for.

``m+n = 204`` says 204 to who was asked for ``m+n``; ``2x = 5`` and ``\lambda x = 5`` are equations that say
something else about their letters. The letters decide: a quantity has two or more, and all play one part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.vocabulary import CLOSE, GREEK, NAMES, NEGATIONS, OPEN

Tokens = Sequence[Token]
_FUNCTIONS = frozenset("fghpqFGHPQ")
_UNKNOWNS = frozenset("uvwxyz")
_GIVEN_POWER = re.compile(r"[abcdfghpqA-HPQ]\^(?:[0-9]|\{[0-9]+\})")
_EXPONENTIAL = re.compile(r"\^(?![0-9]|\{[0-9]+\})")
_ARITHMETIC = frozenset("+-*/^(){}|:") | {r"\frac", r"\cdot", r"\times", r"\sqrt"}


def joined(tokens: Tokens) -> str:
    """Give the text of tokens; a number behind a word stands apart, so that it is no power of a unit."""
    kinds = ["", *(token.kind for token in tokens)]
    apart = (
        t.spaced or t.kind == "word" or (t.kind, before) == ("number", "word")
        for t, before in zip(tokens, kinds, strict=False)
    )
    return "".join((" " if a else "") + t.text for a, t in zip(apart, tokens, strict=True)).strip()


def name(tokens: Tokens) -> str | None:
    r"""Give the name that the tokens are: ``x``, ``f(x)``, ``x_1``, ``\angle ABC``, words, ``(x,y)``."""
    if not tokens or not NEGATIONS.isdisjoint(token.text.lower() for token in tokens):
        return None
    if called := _called(tokens):
        return called
    if tokens[0].text == r"\frac" and len(tokens) == 9:
        return derivative(tokens, 1)
    allowed = all(
        token.kind in ("letter", "word")
        or token.text in NAMES
        or (token.kind == "number" and place > 0 and tokens[place - 1].text in ("_", "{"))
        for place, token in enumerate(tokens)
    )
    if not allowed or _is_product(tokens):
        return None
    return "".join(token.text for token in tokens).replace("{", "").replace("}", "")


def _called(tokens: Tokens) -> str | None:
    r"""Name the value of a function: ``f`` for ``f(x)`` with any variable, the whole for ``f(3)`` and ``P(A)``."""
    place = next((i for i, token in enumerate(tokens) if token.text == "("), 0)
    if place < 1 or len(tokens) < place + 3 or closing(tokens, place) != len(tokens) - 1:
        return None
    head, inner = tokens[:place], tokens[place + 1 : -1]
    stem = joined(head).replace("{", "").replace("}", "").replace(" ", "")
    bare = stem.removesuffix("^-1").rstrip("'")
    if len(bare) != 1 or not bare.isalpha() or head[0].kind != "letter":
        return None
    if all(
        token.text == "," or (token.kind == "letter" and token.text.islower()) for token in inner
    ):
        return stem
    plain = all(
        token.kind == "number" or token.text in ",-" or token.text.isupper() for token in inner
    )
    listed = any(token.text == "," for token in inner) and all(
        token.kind in ("number", "letter") or token.text in ",-" for token in inner
    )
    if bare == "P" or listed or (plain and bare in _FUNCTIONS):
        return f"{stem}({joined(inner)})"
    return None


def is_application(letter: str, before: Token | None, inner: Tokens) -> bool:
    r"""Tell a function's value (``f(2x)``, ``p(3)``) from a product (``g(h_1-h_2)``, ``x(x+1)``)."""
    if letter not in _FUNCTIONS or (before is not None and before.kind == "letter"):
        return False
    signed = inner[1:] if inner and inner[0].text == "-" else inner
    if len(signed) == 1:
        return signed[0].kind in ("number", "letter")
    letters = [token.text for token in inner if token.kind == "letter"]
    return letter in "fg" and set(letters) <= set("xyztnfg")


def derivative(tokens: Tokens, place: int) -> str | None:
    r"""Name the derivative whose numerator starts here: ``dy/dx`` for the ``{dy}{dx}`` of a fraction."""
    texts = [token.text for token in tokens[place : place + 8]]
    if texts[:2] != ["{", "d"] or texts[3:6] != ["}", "{", "d"] or texts[7:] != ["}"]:
        return None
    return f"d{texts[2]}/d{texts[6]}" if (texts[2] + texts[6]).isalpha() else None


def closing(tokens: Tokens, place: int) -> int:
    """Give the place of the bracket that closes the one here; -1 when none does."""
    depth = 0
    for at in range(place, len(tokens)):
        depth += (tokens[at].text in OPEN) - (tokens[at].text in CLOSE)
        if depth == 0:
            return at
    return -1


def _is_symbol(token: Token) -> bool:
    return token.kind == "letter" or token.text in GREEK


def _is_product(tokens: Tokens) -> bool:
    r"""Tell whether letters stand side by side outside of brackets; capitals are points, as in ``AB``."""
    depth = 0
    for token, following in pairwise(tokens):
        depth += (token.text in OPEN) - (token.text in CLOSE)
        capitals = token.text.isupper() and following.text.isupper()
        if depth == 0 and _is_symbol(token) and _is_symbol(following) and not capitals:
            return True
    return False


def quantity(tokens: Tokens, value: Tokens) -> str | None:
    r"""Give the expression that was asked for, such as ``m+n``, ``\frac{p}{q}`` or ``xy``; ``None`` for an equation.

    Its letters are two or more unknowns, all Greek, all capitals or all others; unknowns come without numbers, because
    ``2x+y = 5`` is a line. The value zero is for equations (``x+y+z = 0``), and so are letters that occur twice, points
    excepted. A single letter counts in a power and only if it is no usual unknown: ``a^2 = 17``.
    """
    tokens = _subscripted(tokens)
    letters = {token.text for token in tokens if _is_symbol(token)}
    numbers = any(token.kind == "number" for token in tokens)
    if not all(
        _is_symbol(token) or token.kind == "number" or token.text in _ARITHMETIC for token in tokens
    ):
        return None
    text = joined(tokens).replace(" ", "")
    if (len(letters) < 2 and not _GIVEN_POWER.fullmatch(text)) or _EXPONENTIAL.search(text):
        return None
    parts = {_part(letter) for letter in letters}
    repeated = sum(map(_is_symbol, tokens)) > len(letters) and parts != {"capital"}
    if len(parts) != 1 or repeated or (numbers and parts == {"unknown"}):
        return None
    if [token.text for token in value] == ["0"]:
        return None
    return text


_SUBSCRIPT = re.compile(r"[0-9A-Za-z]{1,4}")


def _subscripted(tokens: Tokens) -> list[Token]:
    """Put subscripts to their letters, so that ``S_{1}`` is one name."""
    out: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        inner = tokens[place + 2 : place + 3] if token.kind == "letter" else []
        braces = bool(inner) and inner[0].text == "{"
        end = place + 5 if braces else place + 3
        inner = tokens[place + 3 : place + 4] if braces else inner
        closed = not braces or [t.text for t in tokens[place + 4 : end]] == ["}"]
        joint = tokens[place + 1 : place + 2]
        if (
            joint
            and joint[0].text == "_"
            and inner
            and closed
            and _SUBSCRIPT.fullmatch(inner[0].text)
        ):
            token = token._replace(text=f"{token.text}_{inner[0].text}")
            place = end
        else:
            place += 1
        out.append(token)
    return out


def _part(letter: str) -> str:
    letter = letter.partition("_")[0]
    if letter in GREEK:
        return "greek"
    if letter.isupper():
        return "capital"
    return "unknown" if letter in _UNKNOWNS else "other"
