"""Countdown: any expression that uses each given number exactly once and reaches the target."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from longstep.types import Problem, Verdict
from longstep.verify.extract import extract

#: Longest expression that is judged; the parser's work is bounded by it.
LONGEST = 200


def countdown(problem: Problem, text: str) -> Verdict:
    """Judge an expression; an optional ``=target`` at its end is allowed."""
    found = re.fullmatch(r"([\d ]+)->(\d+)\?", problem.prompt.strip())
    if found is None:
        return Verdict("bad_gold", None, f"not a countdown prompt: {problem.prompt[:40]!r}")
    given, target = sorted(int(each) for each in found[1].split()), int(found[2])
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no answer after a finished thought")
    try:
        value, used = evaluate(answer.removesuffix(f"={target}"))
    except (ValueError, SyntaxError, ZeroDivisionError) as error:
        return Verdict("incorrect", answer, f"not an expression over whole numbers: {error}")
    if sorted(used) != given:
        return Verdict("incorrect", answer, f"uses {sorted(used)}, given are {given}")
    if value != target:
        return Verdict("incorrect", answer, f"has the value {value}, wanted is {target}")
    return Verdict("correct", answer)


_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> tuple[Fraction, list[int]]:
    """Exact value of an expression of whole numbers, ``+ - * /`` and parentheses, and the numbers it uses.

    Raises:
        ValueError: anything else in it, or longer than ``LONGEST``.
        SyntaxError: not an expression.
        ZeroDivisionError: divides by zero.
    """
    if len(expression) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    used: list[int] = []

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(number)) if not isinstance(number, bool):
                used.append(number)
                return Fraction(number)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](value(left), value(right))
        raise ValueError("only whole numbers, + - * / and parentheses")

    return value(ast.parse(expression.strip(), mode="eval").body), used
