"""The normal form of a tree: each operation over the forms of its arguments. Above ``algebra`` and ``functions``."""

from __future__ import annotations

from fractions import Fraction

from longstep.verify.ladder import functions
from longstep.verify.ladder.algebra import Work, atom, rational
from longstep.verify.ladder.node import Node, Unreadable
from longstep.verify.ladder.poly import Form


def normal(node: Node) -> Form:
    """Give the normal form, computed once per node.

    Raises:
        TooLarge: beyond the bounds.
        Unreadable: structure inside of an expression, a division by zero.
    """
    form = node.form  # read once: another thread may forget it meanwhile
    if form is None:
        work = Work()
        form = _visit(node, work)
        form.complete = work.complete
        node.form = form
    return form


def forget(node: Node) -> None:
    """Drop the normal forms in a tree: kept trees would hold them, and the next comparison would cost less."""
    node.form = None
    for arg in node.args:
        forget(arg)


def _visit(node: Node, work: Work) -> Form:
    """Give the form of a node from the forms of its arguments."""
    work.spend(1)
    match node.op:
        case "num":
            assert isinstance(node.value, Fraction)
            return rational(node.value)
        case "var":
            return atom(str(node.value))
        case "const":
            return functions.constant(str(node.value), work)
        case "neg":
            inner = _visit(node.args[0], work)
            return Form({key: -value for key, value in inner.over.items()}, inner.under)
        case "add":
            out = _visit(node.args[0], work)
            for each in node.args[1:]:
                out = work.add(out, _visit(each, work))
            return out
        case "mul":
            out = _visit(node.args[0], work)
            for each in node.args[1:]:
                out = work.multiply(out, _visit(each, work))
            return out
        case "div":
            return work.divide(_visit(node.args[0], work), _visit(node.args[1], work))
        case "pow":
            return functions.raised(_visit(node.args[0], work), _visit(node.args[1], work), work)
        case "unit":
            return functions.sized(_visit(node.args[0], work), node.unit, work)
        case "call":
            return functions.call(str(node.value), [_visit(arg, work) for arg in node.args], work)
    raise Unreadable(f"a {node.op} inside of an expression")
