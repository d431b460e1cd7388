r"""Read the structure of an answer: lists, sets, tuples, intervals, unions, relations, matrices, units, words.

Text is cut at separators outside of all brackets, from the loosest (``or``, ``;``, ``,``) to the
tightest; what is left is an expression for ``grammar``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate

from longstep.verify.ladder import amounts, grammar, matrices, names
from longstep.verify.ladder.names import joined
from longstep.verify.ladder.node import Node, TooLarge, Unreadable
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.values import variables
from longstep.verify.ladder.vocabulary import (
    CLOSE,
    CONNECTIVES,
    LEADING,
    MODULO,
    NUMBER_SETS,
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
    if tokens and tokens[0].text == r"\{" and len(tokens) > 1 and tokens[1].kind == "begin":
        return matrices.read(tokens, item)
    parts = split(tokens, lambda token: token.text == ";" or _is_connective(token))
    connected = any(_is_connective(token) for token in tokens)
    if connected and tokens[0].kind == "number" and (whole := amounts.compound(tokens)):
        return whole  # 2 hours and 15 minutes
    if len(parts) > 1 and _are_solutions(parts):
        return Node("list", tuple(map(read, parts)))
    if len(parts) == 1 or connected:
        parts = [piece for part in parts for piece in _between_commas(part, connected)]
    if len(parts) == 1:
        return _alone(parts[0])
    if not all(parts):
        raise Unreadable("a list with an empty member")
    spoken = {token.text for token in tokens if _is_connective(token)}
    joint = spoken.pop() if len(spoken) == 1 else ""
    return Node("list", tuple(item(part) for part in parts), joint)


def _are_solutions(parts: list[Tokens]) -> bool:
    """Tell whether all parts assign the same names, as in ``x=1, y=2 or x=3, y=4``."""
    if any(all(token.text != "=" for token in part) for part in parts):
        return False
    names = [
        sorted(joined(split(piece, _is_equal)[0]) for piece in split(part, _is_comma))
        for part in parts
    ]
    distinct = len(names[0]) == len(set(names[0])) > 1
    return distinct and all(each == names[0] for each in names)


def _between_commas(tokens: Tokens, connected: bool) -> list[Tokens]:
    """Cut at commas; the one before a connective (``1, 2, and 3``) cuts nothing off."""
    pieces = split(tokens, _is_comma)
    return pieces[:-1] if connected and len(pieces) > 1 and not pieces[-1] else pieces


def _alone(tokens: Tokens) -> Node:
    """Read an answer that is no list: if it is an equation, its left side may be the quantity asked for."""
    node = item(tokens)
    if node.op != "relation" or node.value != "=":
        return node
    left, right = node.args
    sides = split(tokens, lambda token: token.text == "=")
    asked = names.quantity(*sides) if len(sides) == 2 else None  # else it stands in brackets
    return Node("named", (right, left), asked) if asked and not variables(right) else node


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
    if len(tokens) > 1 and tokens[0].kind == "word" and (behind := _leading(tokens)):
        return item(tokens[behind:])
    texts = [token.text for token in tokens]
    if texts in ([r"\ldots"], [".", ".", "."]):
        return Node("text", (), "and so on")
    if len(texts) < 5 and (known := _set_by_name("".join(texts))):
        return known
    parts = _cut(tokens, texts, r"\in")
    if len(parts) == 2:
        return Node("named", (read(parts[1]),), names.name(parts[0]) or joined(parts[0]))
    parts = _cut(tokens, texts, r"\cup")
    if len(parts) > 1:
        return Node("union", tuple(item(part) for part in parts))
    if not RELATIONS.keys().isdisjoint(texts):
        parts = split(tokens, lambda token: token.text in RELATIONS)
        if len(parts) > 1:
            return _relation(tokens, parts)
    parts = _cut(tokens, texts, r"\backslash")
    if len(parts) == 1 and texts[0].startswith(r"\mathbb") and texts[-1] == r"\}":
        parts = _cut(tokens, texts, "-")  # \mathbb{R} - \{0\}
    if len(parts) == 2:
        return _without(item(parts[0]), item(parts[1]))
    return _member(tokens, texts)


def _cut(tokens: Tokens, texts: list[str], sign: str) -> list[Tokens]:
    return split(tokens, lambda token: token.text == sign) if sign in texts else [tokens]


def _set_by_name(text: str) -> Node | None:
    r"""Give the set that ``\emptyset``, ``\mathbb{R}`` or ``\mathbb{Z}`` names."""
    if text == r"\emptyset":
        return Node("empty")
    if text in (r"\mathbb{R}", r"\mathbbR", r"\R"):
        return amounts.everything()
    letter = text.removeprefix(r"\mathbb").strip("{}") if text.startswith(r"\mathbb") else ""
    return Node("text", (), NUMBER_SETS[letter]) if letter in NUMBER_SETS else None


def _without(whole: Node, taken: Node) -> Node:
    r"""Read ``\mathbb{R} \setminus \{1, 2\}``; other set differences are equal only when they are spelt alike."""
    if not _is_line(whole) or taken.op != "set" or not all(map(_is_written, taken.args)):
        raise Unreadable("a set difference")
    return Node("without", taken.args)


def _is_line(node: Node) -> bool:
    if node.op != "tuple" or len(node.args) != 2 or node.args[0].op != "neg":
        return False
    return {node.args[0].args[0].value, node.args[1].value} == {"infinity"}


def _is_written(node: Node) -> bool:
    """Tell whether it is a number as it is written: ``-2``, ``3/4``."""
    return node.op == "num" or (node.op in ("neg", "div") and all(map(_is_written, node.args)))


def _member(tokens: Tokens, texts: list[str]) -> Node:
    """Read what is no relation: a residue class, a matrix, something in brackets, a ratio, an amount."""
    if not _MODULUS.isdisjoint(texts) or r"\equiv" in texts:
        place = next((i for i in range(len(tokens)) if _is_class(tokens, i)), None)
        if place is not None:
            return _congruence(tokens, place)
    if any(token.kind == "begin" for token in tokens):
        return matrices.read(_unbracketed(tokens), item)
    groups = _groups(tokens)
    if len(groups) > 1:
        return Node("list", tuple(item(group) for group in groups))
    if _enclosed(tokens):
        found = _bracketed(tokens)
        if found is not None:
            return found
    parts = _cut(tokens, texts, ":")
    if len(parts) > 1 and all(parts):
        return Node("ratio", tuple(amounts.measured(part) for part in parts))
    return amounts.measured(tokens)


def _unbracketed(tokens: Tokens) -> Tokens:
    """Take off round or square brackets around the whole: those of a matrix written by hand."""
    while tokens[0].text in ("(", "[") and _enclosed(tokens):
        tokens = tokens[1:-1]
    return tokens


def _leading(tokens: Tokens) -> int:
    """Count the tokens of a phrase that says nothing, such as ``the answer is`` or ``Answer:``."""
    end = next((i for i, token in enumerate(tokens[:5]) if token.kind != "word"), 0)
    while end and amounts.words(joined(tokens[:end])) not in LEADING:
        end -= 1
    return end + (0 < end < len(tokens) - 1 and tokens[end].text == ":")


#: What makes a residue class of a number; ``10 \bmod 7`` without brackets is a number.
_CLASSES = frozenset({r"\equiv", r"\pmod"})
_MODULUS = MODULO | {r"\pmod"}


def _is_class(tokens: Tokens, place: int) -> bool:
    bracketed = tokens[place].text in MODULO and place > 0 and tokens[place - 1].text == "("
    return tokens[place].text in _CLASSES or bracketed


def _congruence(tokens: Tokens, place: int) -> Node:
    r"""Read ``x \equiv 3 \pmod 7`` as a name and a text, with the residue between 0 and the modulus."""
    named = tokens[place].text in (r"\equiv", "=")
    left, right = (tokens[:place], tokens[place + 1 :]) if named else ((), tokens)
    cut = next((i for i, token in enumerate(right) if token.text in _MODULUS), 0)
    modulus = right[cut + 1 :]
    if cut and right[cut - 1].text == "(" and modulus and modulus[-1].text == ")":
        cut, modulus = cut - 1, modulus[:-1]
    if not cut or not modulus:
        raise Unreadable("a congruence without a modulus")
    numbers = [grammar.parse(part).value for part in (right[:cut], modulus)]
    if any(not isinstance(each, Fraction) or each.denominator != 1 for each in numbers):
        raise Unreadable("a congruence of other than whole numbers")
    residue, by = (int(each) for each in numbers)
    if by < 1:
        raise Unreadable("a modulus that is not positive")
    value = Node("text", (), f"{residue % by} mod {by}")
    if not left:
        return value
    name = names.name(left)
    if name is None:
        raise Unreadable("a congruence of an expression")
    return Node("named", (value, Node("var", (), name)), name)


def _is_equal(token: Token) -> bool:
    return token.text == "="


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
        members = tuple(item(part) for part in parts)
        if left == "[" and right == "]" and (matrix := _written_matrix(members)):
            return matrix
        brackets = "()" if left == r"\langle" else {r"\{": "{", r"\}": "}"}.get(left, left) + right
        return Node("tuple", members, brackets)
    if not inner:
        raise Unreadable("empty brackets")
    if left == "[" and right != "]":
        raise Unreadable("brackets that do not match")
    if left == "[" or any(token.text in RELATIONS or token.kind == "word" for token in inner):
        return item(inner)
    return None


def _written_matrix(members: tuple[Node, ...]) -> Node | None:
    """Read ``[[1, 2], [3, 4]]`` by rows."""
    rows = [member.args for member in members if member.op == "tuple" and member.value == "[]"]
    if len(rows) != len(members) or len({len(row) for row in rows}) != 1:
        return None
    return matrices.made(rows)


def _set(inner: Tokens) -> Node:
    if not inner:
        return Node("empty")
    parts = split(inner, lambda token: token.text in (r"\mid", "|", ":"))
    if len(parts) == 2 and any(
        token.text in RELATIONS or token.text == r"\in" for token in parts[1]
    ):
        return _such_that(*parts)
    parts = split(inner, lambda token: token.text in (",", ";"))
    return Node("set", tuple(item(part) for part in parts))


def _such_that(members: Tokens, condition: Tokens) -> Node:
    r"""Read ``\{x : x > 1\}`` as its condition, with the ``2k`` of other members and any domain but the reals."""
    sides = split(members, lambda token: token.text == r"\in")
    if names.name(sides[0]) is None:
        return Node("assignments", (item(members), read(condition)), "member condition")
    domain = item(sides[1]) if len(sides) == 2 else None
    if domain is None or _is_line(domain):
        return read(condition)
    return Node("assignments", (domain, read(condition)), "domain condition")


def _relation(tokens: Tokens, parts: list[Tokens]) -> Node:
    ends = accumulate(len(part) + 1 for part in parts[:-1])
    signs = [RELATIONS[tokens[end - 1].text] for end in ends]
    if not parts[0] and signs[0] in ("=", "~"):
        return item(parts[1]) if signs == ["="] else Node("hedge", (item(parts[-1]),))
    if not all(parts):
        raise Unreadable("a relation with an empty side")
    name = names.name(parts[0])
    if signs == ["="] and name is None and _is_closed(parts[0]) and names.name(parts[1]):
        parts, name = parts[::-1], names.name(parts[1])  # 5 = x
    if signs == ["="] and name and not MODULO.isdisjoint(token.text for token in parts[1]):
        return _congruence(tokens, len(parts[0]))  # x = 3 mod 7
    sides = tuple(item(part) for part in parts[1:])
    if signs == ["="] and name is not None:
        left = Node("var", (), name) if "(" in joined(parts[0]) else _left(parts[0], name)
        return Node("named", (sides[0], left), name)
    first = Node("var", (), name) if name and "~" in signs else item(parts[0])
    return Node("relation", (first, *sides), " ".join(signs))


def _is_closed(tokens: Tokens) -> bool:
    return all(token.kind in ("number", "symbol") for token in tokens)


def _left(tokens: Tokens, name: str) -> Node:
    try:
        return grammar.parse(tokens)
    except Unreadable:
        return Node("var", (), name)
