"""Rung 4: structure. Lists without order, tuples with, interval ends, units, relations; values at the leaves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from longstep.verify.ladder import relations
from longstep.verify.ladder.allowance import charge
from longstep.verify.ladder.forms import normal
from longstep.verify.ladder.node import Node, TooLarge, Unreadable, number
from longstep.verify.ladder.tolerance import declared
from longstep.verify.ladder.units import DEGREE, PERCENT, scale
from longstep.verify.ladder.values import Judgement
from longstep.verify.ladder.values import compare as compare_values

MAX_PAIRED = 40  # members of a list that are compared pair by pair
Omit = Literal["either", "answer"]
_LISTS = frozenset({"list", "set"})
_YES = Judgement(True, "structure")


def same(gold: Node, answer: Node, omit: Omit = "either") -> Judgement:
    """Decide whether two trees mean the same.

    Args:
        gold: the tree of the gold answer.
        answer: the tree of the other answer.
        omit: which side may leave out a unit, a percent sign or a name such as ``x =``.

    Raises:
        Unreadable: a leaf is no expression that has a value.
        TooLarge: it takes more work than is allowed.
    """
    charge(4)
    gold, answer = relations.settle(gold), relations.settle(answer)
    ops = {gold.op, answer.op}
    if "hedge" in ops:
        return _hedged(gold, answer, omit)
    if "either" in ops:
        return _either(gold, answer, omit)
    if ops & {"named", "relation", "assignments"}:
        return _related(gold, answer, omit)
    if ops & {"text", "empty"}:
        alike = gold.op == answer.op and gold.value == answer.value
        return Judgement(alike, "text", "" if alike else "another text")
    if ops & _LISTS:
        return _listed(gold, answer, omit)
    if ops & {"union"}:
        return _joined(gold, answer, omit)
    if ops & {"tuple", "matrix"}:
        return _ordered(gold, answer, omit)
    if "ratio" in ops:
        return _ratio(gold, answer)
    if "unit" in ops:
        return _measured(gold, answer, omit)
    infinite = _infinite(gold), _infinite(answer)
    if any(infinite):
        return Judgement(infinite[0] == infinite[1], "structure", "infinity on one side")
    found = compare_values(gold, answer)
    bare = without_degrees(gold), without_degrees(answer)
    if not found.equal and (bare[0] is gold) != (bare[1] is answer):
        return compare_values(*bare)
    return found


_GROUPS = _LISTS | {
    "tuple",
    "matrix",
    "union",
    "named",
    "relation",
    "assignments",
    "ratio",
    "either",
    "hedge",
    "unit",
}


def trouble(node: Node) -> str:
    """Say why a tree has no value of its own, or too large a one; empty when it has: 1/0 does not."""
    node = relations.settle(node)  # plus-minus is two values
    if node.op in _GROUPS:
        return next(filter(None, map(trouble, node.args)), "")
    if node.op in ("text", "empty") or _infinite(node):
        return ""
    try:
        compare_values(node, number(0))
    except (TooLarge, Unreadable) as error:
        return str(error)
    return ""


def _infinite(node: Node) -> int:
    """Give 1 or -1 for an infinity, else 0."""
    if node.op == "neg":
        return -_infinite(node.args[0])
    return int(node.op == "const" and node.value == "infinity")


def without_degrees(node: Node) -> Node:
    """Give the tree without degree signs; the same object when it has none.

    Inside of a function they stay: the angle of 30 may be meant in degrees, but sin 30 is the sine of 30 radians.
    """
    if node.op in ("call", "pow"):
        return node
    if node.op == "unit" and node.unit == DEGREE:
        return without_degrees(node.args[0])
    args = tuple(without_degrees(arg) for arg in node.args)
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    return replace(node, args=args, form=None)


def _no(reason: str) -> Judgement:
    return Judgement(False, "structure", reason)


def _hedged(gold: Node, answer: Node, omit: Omit) -> Judgement:
    if gold.op == answer.op:
        return same(gold.args[0], answer.args[0], omit)
    return _no("only one side is an approximation")


def _either(gold: Node, answer: Node, omit: Omit) -> Judgement:
    """Choose between five metres and five times m: metres where the other side has a unit, or none and no variable."""
    flipped = gold.op != "either"
    doubtful, other = (answer, gold) if flipped else (gold, answer)
    product, amount = doubtful.args
    chosen = [product]
    if other.op == "either":
        return _first(same(product, other.args[0], omit), lambda: same(amount, other.args[1], omit))
    if other.op == "unit":
        chosen = [amount]
    elif doubtful.value == "spaced":
        chosen = [product, amount]
    found = _no("another value")
    for node in chosen:
        found = same(other, node, omit) if flipped else same(node, other, omit)
        if found.equal:
            break
    return found


def _first(found: Judgement, otherwise) -> Judgement:
    return found if found.equal else otherwise()


def _related(gold: Node, answer: Node, omit: Omit) -> Judgement:
    """Compare where at least one side is a relation or carries a name."""
    if gold.op == answer.op == "assignments":
        if relations.names_of(gold) != relations.names_of(answer):
            return _no("different names")
        return _pairwise(gold.args, answer.args, omit)
    if gold.op == "assignments":
        return _bare(gold, answer, lambda ours, theirs: same(ours, theirs, omit))
    if answer.op == "assignments":
        return _bare(answer, gold, lambda ours, theirs: same(theirs, ours, omit))
    if gold.op == answer.op == "named":
        if gold.value == answer.value:
            found = same(gold.args[0], answer.args[0], omit)
            if found.equal:
                return found
        found = relations.proportional(gold, answer)
        if found is not None:
            return found
        return _no("different names" if gold.value != answer.value else "another value")
    if "relation" in (gold.op, answer.op):
        return relations.compare(gold, answer) or _no("not the same relation")
    if answer.op == "named" and omit == "answer":
        return _no("a name that the gold answer does not have")
    one = gold.args[0] if gold.op == "named" else gold
    two = answer.args[0] if answer.op == "named" else answer
    return same(one, two, omit)


def _bare(assigned: Node, other: Node, compared: Callable[[Node, Node], Judgement]) -> Judgement:
    """Compare assignments with values without names: a list has the order in which the names were written."""
    numbered = _numbered(assigned)
    if other.op == "named" and other.value == numbered:  # x = 2, 3
        other = other.args[0]
    if other.op == "list" and numbered:
        return compared(Node("list", assigned.args), other)
    values = relations.as_stated(assigned) if other.op == "list" else assigned.args
    if other.op not in ("tuple", "list") or len(values) != len(other.args):
        return _no("not as many values")
    found = (compared(ours, theirs) for ours, theirs in zip(values, other.args, strict=True))
    return next((each for each in found if not each.equal), _YES)


def _numbered(node: Node) -> str:
    """Give the name of the list whose members assignments number: ``x_1 = 2, x_2 = 1``; empty when they do not."""
    stems = {re.sub("_[0-9]+$", "", name) for name in relations.names_of(node)}
    return stems.pop() if len(stems) == 1 else ""


def _pairwise(gold: Sequence[Node], answer: Sequence[Node], omit: Omit) -> Judgement:
    for one, two in zip(gold, answer, strict=True):
        found = same(one, two, omit)
        if not found.equal:
            return found
    return _YES


def _listed(gold: Node, answer: Node, omit: Omit) -> Judgement:
    """Compare without order. A set has no repeats, and one value is no list.

    A bare list that repeats a member as the key, two equal roots for example, asks for the repeat; one that repeats a
    member of a key without repeats says the same thing twice.
    """
    kinds = {gold.op, answer.op}
    if "tuple" in kinds:
        if "set" in kinds:
            return _no("a tuple is not a set")
        if len(gold.args) != len(answer.args):
            return _no("not as many members")
        ordered = gold if gold.op == "tuple" else answer
        if ordered.value in ("[)", "(]"):
            return _no("an interval is no list")
        return _pairwise(gold.args, answer.args, omit)
    if {gold.value, answer.value} == {"and", "or"} and all(
        member.op in ("text", "var") for member in gold.args
    ):
        return _no("and is not or")  # of numbers both list the solutions
    ours = gold.args if gold.op in _LISTS else (gold,)
    theirs = answer.args if answer.op in _LISTS else (answer,)
    found = None if declared() else _counted(ours, theirs, kinds == {"list"})
    if found is not None:
        return found
    if max(len(ours), len(theirs)) > MAX_PAIRED:
        raise TooLarge(f"more than {MAX_PAIRED} members that are no plain numbers")
    if kinds == {"set"} and _depths(ours) != _depths(theirs):
        return _no("sets of sets on one side")
    if kinds != {"list"} or len(_distinct(gold.args, omit)) == len(gold.args):
        ours, theirs = _distinct(ours, omit), _distinct(theirs, omit)
    if len(ours) != len(theirs):
        return _no(f"{len(theirs)} members, the gold answer has {len(ours)}")
    rest = list(theirs)
    for place, one in enumerate(ours):
        order = sorted(range(len(rest)), key=lambda i, place=place: i != 0 and i != place)
        match = next((i for i in order if same(one, rest[i], omit).equal), None)
        if match is None:
            return _no("a member of the gold answer is missing")
        del rest[match]
    return _YES


def _depths(members: Sequence[Node]) -> set[bool]:
    """Tell which kinds of members there are, sets or others: ``{{1}}`` is not ``{1}``."""
    return {member.op in ("set", "empty") for member in members}


def _counted(ours: Sequence[Node], theirs: Sequence[Node], repeats: bool) -> Judgement | None:
    """Compare lists of plain rational numbers, with their repeats or as sets."""
    members = []
    for nodes in (ours, theirs):
        values = Counter(rational(node) for node in nodes)
        if None in values:
            return None
        members.append(values)
    if not repeats or max(members[0].values()) == 1:  # a key without repeats
        members = [set(values) for values in members]
    return _YES if members[0] == members[1] else _no("not the same members")


def rational(node: Node) -> Fraction | None:
    """Give the value of a plain number or of arithmetic over them, ``None`` for anything else."""
    if node.op in ("num", "neg", "div", "add", "mul", "pow", "call"):
        try:
            return normal(node).constant
        except Unreadable:
            return None
    return None


def _distinct(nodes: Sequence[Node], omit: Omit) -> list[Node]:
    kept: list[Node] = []
    for node in nodes:
        if not any(same(node, other, omit).equal for other in kept):
            kept.append(node)
    return kept


def _joined(gold: Node, answer: Node, omit: Omit) -> Judgement:
    ours = relations.pieces(gold)
    theirs = relations.pieces(answer)
    found = _listed(Node("set", ours), Node("set", theirs), omit)
    return found if found.equal else _no("not the same union")


def _ordered(gold: Node, answer: Node, omit: Omit) -> Judgement:
    if gold.op == answer.op == "matrix" and gold.value != answer.value:
        return _no("a matrix of another shape")
    if gold.op != answer.op:
        if {gold.op, answer.op} != {"tuple", "matrix"}:
            return _no("only one side is a group")
        matrix = gold if gold.op == "matrix" else answer
        if matrix.value not in ("1", str(len(matrix.args))):
            return _no("a matrix is not a tuple")
    if len(gold.args) != len(answer.args):
        return _no("not as many members")
    if gold.op == answer.op == "tuple" and len(gold.args) == 2 and gold.value and answer.value:
        ours, theirs = relations.ends(gold), relations.ends(answer)
        if ours != theirs:
            return _no("other brackets")
    return _pairwise(gold.args, answer.args, omit)


def _ratio(gold: Node, answer: Node) -> Judgement:
    parts = []
    for node in (gold, answer):
        if node.op == "ratio":
            parts.append(_unitless(node.args))
        elif node.op == "div":
            parts.append(node.args)
        else:
            parts.append((node, number(1)))
    if len(parts[0]) != len(parts[1]):
        return _no("a ratio of another length")
    if any(rational(part) == 0 for part in (*parts[0], *parts[1])):  # 12:00 is no ratio
        return _pairwise(parts[0], parts[1], "either")
    first_ours, first_theirs = parts[0][0], parts[1][0]
    for one, two in zip(parts[0][1:], parts[1][1:], strict=True):
        found = compare_values(Node("mul", (first_ours, two)), Node("mul", (first_theirs, one)))
        if not found.equal:
            return found
    return _YES


def _unitless(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Take one unit off all parts of a ratio; parts in different units keep their sizes."""
    if any(node.op != "unit" for node in nodes):
        return tuple(nodes)
    units = [node.unit for node in nodes if node.unit is not None]
    if len({unit.dimension for unit in units}) != 1:
        raise Unreadable("a ratio of different units")
    return tuple(
        Node("mul", (number(unit.factor), node.args[0]))
        for unit, node in zip(units, nodes, strict=True)
    )


def _measured(gold: Node, answer: Node, omit: Omit) -> Judgement:
    """Compare values with units; a unit may be missing, a percent or degree sign may also be carried out."""
    if gold.op == answer.op:
        assert gold.unit is not None and answer.unit is not None
        factors = scale(gold.unit, answer.unit)
        if factors is None:
            return _no("another unit")
        if factors[0] == factors[1]:
            return same(gold.args[0], answer.args[0], omit)
        one, two = (
            Node("mul", (number(f), n.args[0]))
            for f, n in zip(factors, (gold, answer), strict=True)
        )
        return compare_values(one, two)
    if answer.op == "unit" and omit == "answer":
        return _no("a unit that the gold answer does not have")
    one = gold.args[0] if gold.op == "unit" else gold
    two = answer.args[0] if answer.op == "unit" else answer
    found = same(one, two, omit)
    unit = gold.unit if gold.op == "unit" else answer.unit
    if not found.equal and unit in (PERCENT, DEGREE):
        found = _first(compare_values(gold, answer), lambda: found)
    return found
