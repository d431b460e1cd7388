r"""Read the structure of an answer: lists, sets, tuples, intervals, unions, relations, matrices, units, words.

Text is cut at separators outside of all brackets, from the loosest (``or``, ``;``, ``,``) to the
tightest; what is left is an expression for ``grammar``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from longstep.verify.ladder import amounts, grammar
from longstep.verify.ladder.amounts import joined
from longstep.verify.ladder.node import Node, TooLarge, Unreadable, number
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.vocabulary import (
    CLOSE,
    CONNECTIVES,
    LEADING,
    MATRICES,
    NAMES,
    OPEN,
    RELATIONS,
)

MAX_ITEMS = 400
Tokens = Sequence[Token]


def read(tokens: Tokens) -> Node:
    """Read a whole answer.

    Raises:
        Unreadable: it has no structure this ladder knows.
        TooLarge: more than ``MAX_ITEMS`` members, or bounds of ``grammar``.
    """
    tokens = _without_braces(tokens)
    parts = split(tokens, lambda token: token.text == ";" or _is_connective(token))
    if len(parts) == 1 or any(_is_connective(token) for token in tokens):
        parts = [
            piece for part in parts for piece in split(part, _is_comma) if piece or len(parts) == 1
        ]
    if len(parts) == 1:
        return item(parts[0])
    spoken = {token.text for token in tokens if _is_connective(token)}
    joint = "and" if spoken == {"and"} else ""
    return Node("list", tuple(item(part) for part in parts if part), joint)


def split(tokens: Tokens, separates: Callable[[Token], bool]) -> list[Tokens]:
    """Cut at separators outside of all brackets."""
    parts, depth, start = [], 0, 0
    for place, token in enumerate(tokens):
        if token.text in OPEN or token.kind == "begin":
            depth += 1
        elif token.text in CLOSE or token.kind == "end":
            depth -= 1
        elif depth == 0 and separates(token):
            parts.append(tokens[start:place])
            start = place + 1
    parts.append(tokens[start:])
    if len(parts) > MAX_ITEMS:
        raise TooLarge(f"more than {MAX_ITEMS} members")
    return parts


def item(tokens: Tokens) -> Node:
    """Read one member: a relation, a union, something in brackets, words, or an expression with its unit."""
    tokens = _without_braces(tokens)
    if not tokens:
        raise Unreadable("an empty member")
    if len(tokens) > 1 and tokens[0].kind == "word" and amounts.words(tokens[0].text) in LEADING:
        return item(tokens[1:])
    if [token.text for token in tokens] == [r"\emptyset"]:
        return Node("empty")
    if "".join(token.text for token in tokens) in (r"\mathbb{R}", r"\R"):
        return amounts.everything()
    parts = split(tokens, lambda token: token.text == r"\in")
    if len(parts) == 2:
        return Node("named", (read(parts[1]),), _name(parts[0]) or joined(parts[0]))
    parts = split(tokens, lambda token: token.text == r"\cup")
    if len(parts) > 1:
        return Node("union", tuple(item(part) for part in parts))
    parts = split(tokens, lambda token: token.text in RELATIONS)
    if len(parts) > 1:
        return _relation(tokens, parts)
    place = next((i for i, token in enumerate(tokens) if token.kind == "begin"), None)
    if place is not None:
        return _scaled_matrix(tokens, place)
    groups = _groups(tokens)
    if len(groups) > 1:
        return Node("list", tuple(item(group) for group in groups))
    if _enclosed(tokens):
        found = _bracketed(tokens)
        if found is not None:
            return found
    parts = split(tokens, lambda token: token.text == ":")
    if len(parts) > 1 and all(parts):
        return Node("ratio", tuple(amounts.measured(part) for part in parts))
    return amounts.measured(tokens)


def _is_comma(token: Token) -> bool:
    return token.text == ","


def _is_connective(token: Token) -> bool:
    return token.kind == "word" and token.text in CONNECTIVES


def _enclosed(tokens: Tokens) -> bool:
    """Tell whether the first bracket closes at the end, whichever bracket closes it (``[0, 1)``)."""
    if tokens[0].text not in OPEN or tokens[0].text in (r"\lfloor", r"\lceil"):
        return False
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if depth == 0:
            return place == len(tokens) - 1
    return False


def _groups(tokens: Tokens) -> list[Tokens]:
    """Cut ``(1,2)(3,4)`` into its tuples; a single entry when it is not made of tuples."""
    if tokens[0].text != "(" or tokens[-1].text != ")" or _enclosed(tokens):
        return [tokens]
    groups, depth, start = [], 0, 0
    for place, token in enumerate(tokens):
        if depth == 0 and token.text != "(":
            return [tokens]
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if depth == 0:
            groups.append(tokens[start : place + 1])
            start = place + 1
    plain = any(len(split(group[1:-1], _is_comma)) == 1 for group in groups)
    return [tokens] if plain else groups


def _without_braces(tokens: Tokens) -> Tokens:
    while (
        len(tokens) > 2 and tokens[0].text == "{" and tokens[-1].text == "}" and _enclosed(tokens)
    ):
        tokens = tokens[1:-1]
    return tokens


def _bracketed(tokens: Tokens) -> Node | None:
    """Read a group in brackets; ``None`` for brackets around a single expression."""
    left, right, inner = tokens[0].text, tokens[-1].text, tokens[1:-1]
    if left == r"\{":
        if right != r"\}":
            raise Unreadable("brackets that do not match")
        return _set(inner)
    parts = split(inner, lambda token: token.text in (",", ";"))
    if len(parts) > 1:
        brackets = "()" if left == r"\langle" else {r"\{": "{", r"\}": "}"}.get(left, left) + right
        return Node("tuple", tuple(item(part) for part in parts), brackets)
    if not inner:
        raise Unreadable("empty brackets")
    if left == "[" or any(token.text in RELATIONS or token.kind == "word" for token in inner):
        return item(inner)
    return None


def _set(inner: Tokens) -> Node:
    if not inner:
        return Node("empty")
    parts = split(inner, lambda token: token.text in (r"\mid", "|", ":"))
    if len(parts) == 2 and any(
        token.text in RELATIONS or token.text == r"\in" for token in parts[1]
    ):
        return read(parts[1])
    parts = split(inner, lambda token: token.text in (",", ";"))
    return Node("set", tuple(item(part) for part in parts))


def _scaled_matrix(tokens: Tokens, place: int) -> Node:
    """Read a matrix, perhaps in brackets of its own, perhaps with a factor before it."""
    if place and _enclosed(tokens):
        return _scaled_matrix(tokens[1:-1], place - 1)
    matrix = _matrix(tokens[place:])
    if not place:
        return matrix
    by = (
        number(-1)
        if [token.text for token in tokens[:place]] == ["-"]
        else grammar.parse(tokens[:place])
    )
    return Node("matrix", tuple(Node("mul", (by, cell)) for cell in matrix.args), matrix.value)


def _matrix(tokens: Tokens) -> Node:
    if tokens[-1].kind != "end" or tokens[0].text not in MATRICES:
        raise Unreadable(f"the environment {tokens[0].text[:20]}")
    inner = tokens[1:-1]
    if tokens[0].text == "array" and inner and inner[0].text == "{":
        close = next((i for i, token in enumerate(inner) if token.text == "}"), 0)
        inner = inner[close + 1 :]
    rows = [row for row in split(inner, lambda token: token.text == r"\\") if row]
    cells = [[item(cell) for cell in split(row, lambda token: token.text == "&")] for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise Unreadable("a matrix whose rows differ in length")
    return Node("matrix", tuple(cell for row in cells for cell in row), str(len(cells[0])))


def _name(tokens: Tokens) -> str | None:
    r"""Give the name on the left of an equals sign: ``x``, ``f(x)``, ``x_1``, ``\angle ABC``, words, ``(x,y)``."""
    if not tokens:
        return None
    texts = [token.text for token in tokens]
    if len(texts) > 3 and texts[1] == "(" and texts[-1] == ")" and (at := _at(tokens)):
        return at
    if len(texts) > 3 and texts[1] == "(" and texts[-1] == ")" and tokens[0].kind == "letter":
        texts = texts[:1] if all(t.kind == "letter" or t.text in "()," for t in tokens) else []
    allowed = all(
        token.kind in ("letter", "word")
        or token.text in NAMES
        or (token.kind == "number" and place > 0 and tokens[place - 1].text in ("_", "{"))
        for place, token in enumerate(tokens)
    )
    return "".join(texts).replace("{", "").replace("}", "") if allowed and texts else None


def _at(tokens: Tokens) -> str:
    """Give the name ``f(5)`` of a function's value at a number; ``x(5)`` is a product."""
    inner = tokens[2:-1]
    plain = all(t.kind == "number" or t.text in ",-" for t in inner)
    return joined(tokens) if tokens[0].text in "fghpqFGHPQ" and plain else ""


def _relation(tokens: Tokens, parts: list[Tokens]) -> Node:
    signs = [RELATIONS[token.text] for token in tokens if token.text in RELATIONS]
    if len(signs) != len(parts) - 1:  # some are inside brackets
        raise Unreadable("relations inside brackets")
    if not parts[0] and signs[0] in ("=", "~"):
        return item(parts[1]) if signs == ["="] else Node("hedge", (item(parts[-1]),))
    if not all(parts):
        raise Unreadable("a relation with an empty side")
    name = _name(parts[0])
    sides = tuple(item(part) for part in parts[1:])
    if signs == ["="] and name is not None:
        left = Node("var", (), name) if "(" in joined(parts[0]) else _left(parts[0], name)
        return Node("named", (sides[0], left), name)
    first = Node("var", (), name) if name and "~" in signs else item(parts[0])
    return Node("relation", (first, *sides), " ".join(signs))


def _left(tokens: Tokens, name: str) -> Node:
    try:
        return grammar.parse(tokens)
    except Unreadable:
        return Node("var", (), name)
