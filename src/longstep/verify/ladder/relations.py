"""Relations: names, intervals written as inequalities, equations up to a factor, plus-minus."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from longstep.verify.ladder import intervals
from longstep.verify.ladder.algebra import ratio
from longstep.verify.ladder.forms import normal
from longstep.verify.ladder.node import Node, Unreadable, number
from longstep.verify.ladder.values import Judgement, variables
from longstep.verify.ladder.values import compare as compare_values

_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def settle(node: Node) -> Node:
    """Bring one spelling of a structure to another: plus-minus to a list, an inequality to an interval."""
    if node.op in ("num", "var", "const", "text", "empty"):
        return node
    if node.op == "list":
        return _settle_list(node)
    if node.op == "relation":
        return _settle_relation(node)
    if node.op == "without":
        return _without(node.args)
    if node.op == "named":
        inner = node.args[0]
        if inner.op == "list" or _has_signs(inner):
            return replace(node, args=(settle(inner), *node.args[1:]))
        return node
    if node.op not in ("set", "matrix", "union") and _has_signs(node):
        return Node("list", (_with_sign(node, upper=True), _with_sign(node, upper=False)))
    return node


def _without(taken: tuple[Node, ...]) -> Node:
    r"""Read the real line without some numbers (``\mathbb{R} \setminus \{1, 2\}``) as open intervals."""
    infinity = Node("const", (), "infinity")
    values = {value for arg in taken if (value := normal(arg).constant) is not None}
    ends = [Node("neg", (infinity,)), *map(number, sorted(values)), infinity]
    return Node("union", tuple(Node("tuple", pair, "()") for pair in pairwise(ends)))


def _has_signs(node: Node) -> bool:
    return node.op == "pm" or any(_has_signs(arg) for arg in node.args)


def _with_sign(node: Node, *, upper: bool) -> Node:
    if node.op == "pm":
        inner = _with_sign(node.args[0], upper=upper)
        return inner if (node.value == r"\pm") == upper else Node("neg", (inner,))
    if not node.args:
        return node
    return replace(node, args=tuple(_with_sign(arg, upper=upper) for arg in node.args), form=None)


def _settle_list(node: Node) -> Node:
    """Flatten plus-minus, take a common name off the members, sort assignments by name."""
    members: list[Node] = []
    for arg in node.args:
        arg = settle(arg)
        if arg.op == "named" and arg.args[0].op == "list":
            members.extend(replace(arg, args=(each,)) for each in arg.args[0].args)
        else:
            members.extend(arg.args if arg.op == "list" else (arg,))
    names = {str(arg.value) for arg in members if arg.op == "named"}
    if len(names) == 1 and len(members) > 1:
        plain = tuple(arg.args[0] if arg.op == "named" else arg for arg in members)
        points = next(iter(names)).startswith("(")  # (x,y) = (1,2) or (3,4)
        if not points and all(_is_interval(arg) for arg in plain):
            if node.value == "and" and len(plain) == 2 and (both := _between(*plain)):
                return Node("named", (both,), names.pop())
            return Node("named", (Node("union", plain),), names.pop())
        return Node("named", (Node("list", plain),), names.pop())
    if len(names) == len(members) > 1:
        stated = [str(arg.value) for arg in members]
        members.sort(key=lambda arg: str(arg.value))
        values = tuple(arg.args[0] for arg in members)
        return Node("assignments", values, _STATED.join(map(" ".join, (sorted(stated), stated))))
    return Node("list", tuple(members), node.value)


#: Between the names of assignments in alphabetical order, that of the values, and the order they were written in.
_STATED = " | "


def names_of(assignments: Node) -> list[str]:
    """Give the names of assignments in alphabetical order."""
    return str(assignments.value).partition(_STATED)[0].split()


def as_stated(assignments: Node) -> tuple[Node, ...]:
    """Give the values of assignments in the order in which they were written."""
    stated = str(assignments.value).partition(_STATED)[2].split()
    order = names_of(assignments)
    if len(set(stated)) != len(order):
        return assignments.args
    return tuple(assignments.args[order.index(name)] for name in stated)


def aligned(left: Node, right: Node) -> tuple[Node, Node]:
    """Bring two trees to one form where they are ``m=6, n=8``, ``(m,n)=(6,8)`` or ``(n,m)=(8,6)``."""
    left, right = settle(left), settle(right)
    ops = {left.op, right.op}
    if "assignments" in ops or (ops == {"named"} and left.value != right.value):
        return _assigned(left), _assigned(right)
    return left, right


def _assigned(node: Node) -> Node:
    """Read ``(m,n)=(6,8)`` as assignments; anything else stays what it is."""
    names = str(node.value).strip("()").split(",")
    if node.op != "named" or len(names) < 2 or node.args[0].op != "tuple":
        return node
    values = node.args[0].args
    if len(values) != len(names) or len(set(names)) != len(names):
        return node
    order = sorted(range(len(names)), key=names.__getitem__)
    return Node("assignments", tuple(values[i] for i in order), " ".join(names[i] for i in order))


def _between(one: Node, two: Node) -> Node | None:
    """Give what two half-lines have in common: ``x > 2 and x < 5``; ``None`` for other intervals."""
    for low, high in ((one, two), (two, one)):
        if _endless(low.args[1]) and high.args[0].op == "neg" and _endless(high.args[0].args[0]):
            return Node(
                "tuple", (low.args[0], high.args[1]), f"{low.value}"[0] + f"{high.value}"[1]
            )
    return None


def _endless(node: Node) -> bool:
    return node.op == "const" and node.value == "infinity"


def _is_interval(node: Node) -> bool:
    return node.op == "tuple" and len(node.args) == 2


def _settle_relation(node: Node) -> Node:
    signs = str(node.value).split()
    if "~" in signs:
        return _approximation(node, signs)
    if all(sign == "=" for sign in signs):
        return _chain(node)
    if signs == ["!="] and node.args[0].op == "var" and not variables(node.args[1]):
        return _all_but(node.args[0], node.args[1])
    return _interval(node, signs) or _distance(node, signs) or node


def _distance(node: Node, signs: list[str]) -> Node | None:
    """Read ``|x| < 2`` as one interval and ``|x| > 2`` as two."""
    sides = list(node.args)
    if len(sides) == 3:
        return _ring(sides, signs)
    if len(sides) == 2 and sides[1].value == "abs":
        sides, signs = sides[::-1], [_FLIP[sign] for sign in signs]
    if (
        len(sides) != 2
        or sides[0].value != "abs"
        or sides[0].args[0].op != "var"
        or variables(sides[1])
    ):
        return None
    variable, bound = sides[0].args[0], sides[1]
    below = Node("neg", (bound,))
    left, right = ("[", "]") if signs[0].endswith("=") else ("(", ")")
    if signs[0][0] == "<":
        found = Node("tuple", (below, bound), left + right)
    else:
        infinity = Node("const", (), "infinity")
        low = Node("tuple", (Node("neg", (infinity,)), below), "(" + right)
        found = Node("union", (low, Node("tuple", (bound, infinity), left + ")")))
    return Node("named", (found, variable), str(variable.value))


def _ring(sides: list[Node], signs: list[str]) -> Node | None:
    """Read ``1 < |x| < 2`` over the reals as two intervals, where both ends are numbers above zero."""
    if signs[0][0] == ">":
        sides, signs = sides[::-1], [_FLIP[sign] for sign in signs[::-1]]
    low, middle, high = sides
    if {sign[0] for sign in signs} != {"<"} or middle.value != "abs" or middle.args[0].op != "var":
        return None
    if variables(low) or variables(high) or not _is_positive(low):
        return None
    left, right = ("(" if signs[0] == "<" else "["), (")" if signs[1] == "<" else "]")
    mirrored = {"(": ")", "[": "]", ")": "(", "]": "["}
    below = Node(
        "tuple", (Node("neg", (high,)), Node("neg", (low,))), mirrored[right] + mirrored[left]
    )
    variable = middle.args[0]
    pieces = Node("union", (below, Node("tuple", (low, high), left + right)))
    return Node("named", (pieces, variable), str(variable.value))


def _is_positive(node: Node) -> bool:
    value = normal(node).constant
    return value is not None and value > 0


def _all_but(variable: Node, value: Node) -> Node:
    """Read ``x != 2`` as two open intervals."""
    infinity = Node("const", (), "infinity")
    below = Node("tuple", (Node("neg", (infinity,)), value), "()")
    return Node(
        "named",
        (Node("union", (below, Node("tuple", (value, infinity), "()"))), variable),
        str(variable.value),
    )


def _approximation(node: Node, signs: list[str]) -> Node:
    """Read chains that end in an approximation: the exact side counts, if the rest is its rounding."""
    place = signs.index("~")
    exact, rounded = node.args[place], node.args[-1]
    if place != len(signs) - 1 or exact.op == "var":
        return Node("hedge", (rounded,))
    units = {arg.unit for arg in (exact, rounded) if arg.op == "unit"}
    bare, shown = (arg.args[0] if arg.op == "unit" else arg for arg in (exact, rounded))
    try:
        value = normal(shown).constant
    except Unreadable:
        value = None
    if value is None or len(units) > 1 or not _rounds_to(bare, shown):
        return Node("hedge", (rounded,))
    if place == 0:
        return Node("unit", (bare,), unit=units.pop()) if units else exact
    return settle(Node("relation", node.args[:-1], " ".join(signs[:-1])))


def _rounds_to(exact: Node, rounded: Node) -> bool:
    value = normal(rounded).constant
    if value is None or variables(exact) or exact.op in ("list", "set", "tuple", "text", "unit"):
        return False
    places = value.denominator
    step = 1
    while step % places and step < 10**40:
        step *= 10
    low, high = number(value - _half(step)), number(value + _half(step))
    low_box, box, high_box = (intervals.Evaluator(200, {}).box(each) for each in (low, exact, high))
    return intervals.between(low_box, box, high_box)


def _half(step: int) -> Fraction:
    return Fraction(1, 2 * step)


def _chain(node: Node) -> Node:
    """Read ``A = pi r^2 = 25 pi``: the last side, where all closed sides agree."""
    closed = [arg for arg in node.args if not variables(arg)]
    if len(closed) == len(node.args) or (len(node.args) > 2 and len(closed) > 1):
        for arg in closed[:-1]:
            if not compare_values(arg, closed[-1]).equal:
                return Node("text", (), "a false equation")
    if len(node.args) == 2 and closed != list(node.args):
        return node
    sides = list(node.args)
    first, last = sides[0], sides[-1]
    return Node("named", (last, first), str(first.value)) if first.op == "var" else last


def _interval(node: Node, signs: list[str]) -> Node | None:
    """Read an inequality with the variable alone in the middle or on one side as an interval."""
    if {sign[0] for sign in signs} not in ({"<"}, {">"}) or len(node.args) > 3:
        return None
    sides = list(node.args)
    if signs[0][0] == ">":
        sides, signs = sides[::-1], [_FLIP[sign] for sign in signs[::-1]]
    infinity = Node("const", (), "infinity")
    if len(sides) == 2:
        if sides[0].op == "var":
            sides, signs = [Node("neg", (infinity,)), *sides], ["<", *signs]
        elif sides[1].op == "var":
            sides, signs = [*sides, infinity], [*signs, "<"]
        else:
            return None
    low, middle, high = sides
    if middle.op != "var" or middle.value in variables(low) | variables(high):
        return None
    brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    return Node("named", (Node("tuple", (low, high), brackets), middle), str(middle.value))


def ends(node: Node) -> str:
    """Give the brackets of an interval."""
    return str(node.value)


def pieces(node: Node) -> tuple[Node, ...]:
    """Give the members of a union, nested ones too."""
    if node.op in ("union", "set", "list"):
        return tuple(piece for arg in node.args for piece in pieces(settle(arg)))
    if node.op == "named":
        return pieces(node.args[0])
    return (node,)


def _difference(node: Node) -> Node | None:
    """Give left minus right of an equation."""
    if node.op == "named" and len(node.args) == 2:
        return Node("add", (node.args[1], Node("neg", (node.args[0],))))
    if node.op == "relation" and len(node.args) == 2:
        return Node("add", (node.args[0], Node("neg", (node.args[1],))))
    return None


def proportional(gold: Node, answer: Node) -> Judgement | None:
    """Compare two equations up to a rational factor; ``None`` when they are none or are not proportional."""
    one, two = _difference(gold), _difference(answer)
    if one is None or two is None:
        return None
    try:
        left, right = normal(one), normal(two)
    except Unreadable:
        return None
    if not left.over or not right.over:
        return None
    return Judgement(True, "algebra") if ratio(left, right) is not None else None


def compare(gold: Node, answer: Node) -> Judgement | None:
    """Compare two relations, at least one of which is no interval and no name."""
    gold, answer = _half_line(gold), _half_line(answer)
    signs = [str(node.value) if node.op == "relation" else "=" for node in (gold, answer)]
    if signs[0] == signs[1] == "=":
        return proportional(gold, answer)
    if gold.op != answer.op:
        return None
    if " " in signs[0] or " " in signs[1]:
        return _chains(gold, answer)
    one, two = _difference(gold), _difference(answer)
    if one is None or two is None:
        return None
    factor = ratio(normal(one), normal(two))
    if factor is None:
        return None
    wanted = signs[1] if factor > 0 else _FLIP[signs[1]]
    return Judgement(True, "algebra") if signs[0] == wanted else None


def _half_line(node: Node) -> Node:
    """Give the inequality back that was read as an interval with one infinite end."""
    if node.op != "named" or len(node.args) != 2 or not _is_interval(node.args[0]):
        return node
    interval = node.args[0]
    low, high = interval.args
    brackets = str(interval.value)
    if high.op == "const" and high.value == "infinity":
        return Node("relation", (node.args[1], low), ">=" if brackets[0] == "[" else ">")
    if low.op == "neg" and low.args[0].value == "infinity":
        return Node("relation", (node.args[1], high), "<=" if brackets[1] == "]" else "<")
    return node


def _chains(gold: Node, answer: Node) -> Judgement | None:
    """Compare chains of inequalities side by side, both read upwards."""
    sides, signs = [], []
    for node in (gold, answer):
        args, marks = list(node.args), str(node.value).split()
        if marks[0][0] == ">":
            args, marks = args[::-1], [_FLIP[mark] for mark in marks[::-1]]
        sides.append(args)
        signs.append(marks)
    if signs[0] != signs[1]:
        return None
    found = [compare_values(one, two) for one, two in zip(*sides, strict=True)]
    return next((each for each in found if not each.equal), Judgement(True, "structure"))
