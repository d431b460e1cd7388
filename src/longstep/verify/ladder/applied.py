r"""Read what an operator applies to: functions by name, sums and products over an index, integrals, limits.

An operator that binds a variable becomes a call whose variable has a name of its own (``~0``), so that
``\sum_k k`` and ``\sum_i i`` are one tree. A short sum or product with whole limits is written out; any other call of
this kind has no value here, and equals only what is the same tree or has the same normal form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from longstep.verify.ladder import several
from longstep.verify.ladder.node import Node, Unreadable, number
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.vocabulary import CLOSE, OPEN

if TYPE_CHECKING:
    from longstep.verify.ladder.grammar import _Parser as Parser

#: Operators that bind a variable, and the call that each becomes.
BINDERS = {r"\sum": "sum", r"\prod": "product", r"\int": "integral", r"\lim": "limit"}
#: Functions that are written as words with brackets.
NAMED = {"abs": "abs", "floor": "floor", "ceil": "ceil", "ceiling": "ceil"}
MAX_WRITTEN_OUT = 100  # terms
_OPERATIONS = {"sum": "add", "product": "mul"}


def function(parser: Parser, name: str) -> Node:
    """Read what follows the name of a function: an exponent, a base, what it applies to."""
    if name in several.VALUES:
        return several.of_numbers(name, arguments(parser))
    if name in ("binomial", "binom"):
        return Node("call", _pair(arguments(parser)), "binomial")
    if name in NAMED or name == "cbrt":
        argument = parser.operand()
        return (
            Node("call", (argument, number(3)), "root")
            if name == "cbrt"
            else Node("call", (argument,), NAMED[name])
        )
    base: Node | None = None
    exponent: Node | None = None
    while parser.peek.text in ("^", "_"):
        mark = parser.take().text
        if mark == "^":
            exponent = parser.exponent()
        else:
            base = parser.argument() if parser.peek.text == "{" else parser.bare()
    if (base is not None) and name != "log":
        raise Unreadable(f"a subscript of {name}")
    argument = parser.operand()
    if exponent is not None and _is_minus_one(exponent) and name in ("sin", "cos", "tan"):
        return Node("call", (argument,), f"arc{name}")
    node = Node("call", (argument,), "ln" if name == "log" else name)
    if name in ("log", "lg"):
        below = Node("call", (base or number(10),), "ln")
        node = Node("div", (Node("call", (argument,), "ln"), below))
    return node if exponent is None else Node("pow", (node, exponent))


def arguments(parser: Parser) -> tuple[Node, ...]:
    """Read arguments with commas between them, in round brackets or braces."""
    closes = {"(": ")", "{": "}", r"\{": r"\}"}.get(parser.take().text)
    if closes is None:
        raise Unreadable("a function without brackets")
    bars, parser.bars = parser.bars, 0
    parts = [parser.sum()]
    while parser.peek.text == ",":
        parser.take()
        parts.append(parser.sum())
    parser.bars = bars
    parser.expect(closes)
    return tuple(parts)


def _pair(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    if len(parts) != 2:
        raise Unreadable("a binomial coefficient of other than two numbers")
    return parts


def _is_minus_one(node: Node) -> bool:
    return node.op == "num" and node.value == -1


def binder(parser: Parser, command: str) -> Node:
    """Read a sum, product, integral or limit with its limits and what it applies to."""
    name = BINDERS[command]
    lower: Sequence[Token] = ()
    upper: Node | None = None
    while parser.peek.text in ("^", "_"):
        if parser.take().text == "_":
            lower = _group(parser)
        else:
            upper = parser.exponent()
    if name == "integral":
        return _integral(parser, lower, upper)
    if len(lower) < 3 or lower[0].kind != "letter":
        raise Unreadable(f"a {name} without an index")
    if lower[1].text != {"limit": r"\to"}.get(name, "="):
        raise Unreadable(f"the condition of a {name}")
    rest, side = lower[2:], ""
    if name == "limit" and (side := _side(rest)):
        rest = rest[: -(3 if rest[-1].text == "}" else 1) - 1]
    ends = [_end(parser.parse(rest)), *([_end(upper)] if upper is not None else [])]
    variable = parser.bind(lower[0].text)
    body = parser.product()
    parser.unbind(lower[0].text)
    if name in _OPERATIONS and (found := _written_out(_OPERATIONS[name], body, variable, ends)):
        return found
    return Node("call", (body, *ends), name + side)


def _group(parser: Parser) -> list[Token]:
    """Take the tokens of a subscript."""
    first = parser.take()
    if first.text != "{":
        return [first]
    taken, depth = [], 1
    while True:
        token = parser.take()
        if token.kind == "end" and not token.text:
            raise Unreadable("a subscript that does not end")
        depth += (token.text == "{") - (token.text == "}")
        if not depth:
            return taken
        taken.append(token)


def _side(tokens: Sequence[Token]) -> str:
    """Give the sign at the end of ``0^+`` or ``0^{-}``."""
    texts = [token.text for token in tokens]
    if len(texts) > 2 and texts[-2] == "^" and texts[-1] in "+-":
        return texts[-1]
    if len(texts) > 4 and texts[-4:-2] == ["^", "{"] and texts[-2] in "+-":
        return texts[-2]
    return ""


def _end(node: Node) -> Node:
    """Give a limit as an expression: infinity is a name here, because nothing is calculated with it."""
    if node.op == "const" and node.value == "infinity":
        return Node("var", (), "~infinity")
    return replace(node, args=tuple(map(_end, node.args))) if node.op == "neg" else node


def _written_out(operation: str, body: Node, variable: str, ends: list[Node]) -> Node | None:
    """Write a sum or product with whole limits term by term; ``None`` for a long or an open one."""
    values = [end.value for end in ends]
    if len(ends) != 2 or not all(isinstance(v, Fraction) and v.denominator == 1 for v in values):
        return None
    first, last = (int(Fraction(value)) for value in values)
    if not 0 <= last - first < MAX_WRITTEN_OUT:
        return None
    terms = [_with(body, variable, number(k)) for k in range(first, last + 1)]
    return terms[0] if len(terms) == 1 else Node(operation, tuple(terms))


def _with(node: Node, variable: str, value: Node) -> Node:
    if node.op == "var" and node.value == variable:
        return value
    if not node.args:
        return node
    return replace(node, args=tuple(_with(arg, variable, value) for arg in node.args), form=None)


def _integral(parser: Parser, lower: Sequence[Token], upper: Node | None) -> Node:
    r"""Read an integrand up to its ``dx``; without limits the variable stays free."""
    letter = _differential(parser.tokens, parser.place)
    if bool(lower) != (upper is not None):
        raise Unreadable("an integral with one limit")
    if lower and upper is not None:
        ends = [_end(parser.parse(lower)), _end(upper)]
        parser.bind(letter)
    else:
        ends = [Node("var", (), letter)]
    parser.differentials += 1
    body = number(1) if parser.at_differential() else parser.sum()
    parser.differentials -= 1
    if lower:
        parser.unbind(letter)
    parser.expect("d")
    parser.expect(letter)
    return Node("call", (body, *ends), "integral")


def _differential(tokens: Sequence[Token], place: int) -> str:
    """Give the variable of the integral whose integrand starts here."""
    depth = nested = 0
    for at in range(place, len(tokens) - 1):
        text = tokens[at].text
        depth += (text in OPEN) - (text in CLOSE)
        nested += text == r"\int"
        if depth < 0:
            break
        if depth == 0 and text == "d" and tokens[at + 1].kind == "letter":
            if not nested:
                return tokens[at + 1].text
            nested -= 1
    raise Unreadable("an integral without its variable")
