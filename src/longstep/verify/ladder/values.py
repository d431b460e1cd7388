r"""Compare two expressions: exact algebra, then enclosures, then a separation bound; never a rounding.

1. Equal normal forms are equal; different ones are different where the atoms are independent.
2. Disjoint enclosures, of the values or at one sample point of the variables, prove a difference.
3. Enclosures that overlap below the separation bound of algebraic numbers prove equality.
4. What is left are transcendental identities (``\sin 2x``, ``\arctan``): agreement in ``DIGITS_BITS``
   binary digits, or in ``POINT_BITS`` at ``POINTS`` sample points, counts as equality. That is no proof, and the rung
   is named ``digits`` so that it can be counted.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from longstep.verify.ladder import intervals
from longstep.verify.ladder.algebra import equal
from longstep.verify.ladder.allowance import charge
from longstep.verify.ladder.forms import normal
from longstep.verify.ladder.node import Node, TooLarge, Unreadable
from longstep.verify.ladder.poly import Form
from longstep.verify.ladder.separation import separation_bits
from longstep.verify.ladder.tolerance import declared

DIGITS_BITS = 4_000
MAX_CALLS = 60
POINT_BITS = 600
POINTS = 5
_TRIES = 60
_MAX_BITS = 24_000


class Judgement(NamedTuple):
    """Whether two things are equal, the rung that says so, and why."""

    equal: bool
    rung: str
    reason: str = ""


def compare(left: Node, right: Node) -> Judgement:
    """Decide whether two expressions are equal, or nearly so where a tolerance is declared.

    Raises:
        Unreadable: one of them is no expression, or has no value.
        TooLarge: it takes more work than is allowed.
    """
    limits = declared()
    if limits is not None and (key := _approximate(left)) is not None:
        value = _approximate(right)
        if value is not None and limits.tolerance.admits(key, value, limits.written):
            return Judgement(True, "tolerance")
    return _exactly(left, right)


def _approximate(node: Node) -> Fraction | None:
    """Give the value of a closed real expression to 200 bits; ``None`` for anything else."""
    if variables(node):
        return None
    try:
        (low, high), imaginary = intervals.Evaluator(200, {}).box(node)
    except (Unreadable, TooLarge):
        return None
    return None if intervals.has_size(imaginary) else intervals.middle(low, high)


def _exactly(left: Node, right: Node) -> Judgement:
    charge(3)
    if _alike(left, right):
        return Judgement(True, "number" if left.op == "num" else "algebra")
    one, two = _normal(left), _normal(right)
    if one is not None and two is not None:
        rational = one.constant is not None and two.constant is not None
        rung = "number" if rational else "algebra"
        if equal(one, two):
            return Judgement(True, rung)
        if one.complete and two.complete and not _pi_and_e(one, two):
            return Judgement(False, rung, "another number" if rational else "another value")
    names = sorted(variables(left) | variables(right))
    return _at_points(left, right, names) if names else _closed(left, right)


def variables(node: Node) -> frozenset[str]:
    """Give the names of the variables in an expression."""
    if node.op == "var":
        return frozenset({str(node.value)})
    return frozenset[str]().union(*(variables(arg) for arg in node.args))


def _alike(left: Node, right: Node) -> bool:
    """Tell whether two trees are the same, node by node."""
    return (
        left.op == right.op
        and left.value == right.value
        and left.unit == right.unit
        and len(left.args) == len(right.args)
        and all(map(_alike, left.args, right.args))
    )


def _normal(node: Node) -> Form | None:
    try:
        return normal(node)
    except (Unreadable, TooLarge):  # enclosures have bounds of their own
        return None


def _pi_and_e(*forms: Form) -> bool:
    """Tell whether pi and e both occur; nobody has proved that they are independent."""
    atoms = {
        atom
        for form in forms
        for poly in (form.over, form.under)
        for key in poly
        for atom, _ in key
    }
    return "pi" in atoms and "e" in atoms


def _closed(left: Node, right: Node) -> Judgement:
    """Compare two values at rising precision."""
    needed = separation_bits(left, right)
    enough = DIGITS_BITS if needed is None else needed
    if needed is None and _calls(left) + _calls(right) > MAX_CALLS:
        raise TooLarge("too many functions to compare digits")
    bits = 96
    while bits <= (_MAX_BITS if enough < _MAX_BITS else 1_600):
        here = intervals.Evaluator(bits, {})
        try:
            a, b = here.box(left), here.box(right)
        except intervals.Undefined as error:
            if bits >= 1_000:
                raise Unreadable(f"it has no value: {error}") from None
            bits *= 4
            continue
        if intervals.apart(a, b):
            return Judgement(False, "intervals", "another value")
        if needed is None and 2 * here.scale > enough:
            break
        if intervals.overlap_bits(a, b) >= enough:
            if needed is None:
                return Judgement(True, "digits", f"equal in {DIGITS_BITS} binary digits")
            return Judgement(True, "separation")
        bits = max(2 * bits, min(enough + 200, 8 * bits))
    raise TooLarge("the values are too close to tell apart")


def _at_points(left: Node, right: Node, names: list[str]) -> Judgement:
    r"""Compare two functions at sample points where both are defined.

    Points where one side is not defined are skipped, so that a side may be defined on more points than the
    other: ``\ln|x| + C`` counts as ``\ln x + C``, and ``(x^2-1)/(x-1)`` as ``x + 1``, as textbooks have it.
    """
    agreed = 0
    for attempt in range(_TRIES):
        point = {name: _coordinate(attempt, place) for place, name in enumerate(names)}
        near, far = intervals.Evaluator(96, point), intervals.Evaluator(POINT_BITS + 200, point)
        try:
            if intervals.apart(near.box(left), near.box(right)):
                return Judgement(False, "intervals", "another value at a sample point")
            a, b = far.box(left), far.box(right)
        except intervals.Undefined:
            continue
        except TooLarge:  # an exponential far out; the points near zero decide
            if attempt % 5 < 2:
                continue
            raise
        if intervals.apart(a, b):
            return Judgement(False, "intervals", "another value at a sample point")
        agreed += intervals.overlap_bits(a, b) >= POINT_BITS and 2 * far.scale < POINT_BITS
        if agreed == POINTS:
            return Judgement(True, "digits", f"equal at {POINTS} sample points")
    raise TooLarge("an identity this ladder cannot decide")


def _calls(node: Node) -> int:
    return (node.op == "call") + sum(map(_calls, node.args))


def _coordinate(attempt: int, place: int) -> Fraction:
    """Give the value of a variable: large ones of both signs, fractions up to five, natural numbers up to ten.

    Two of five points lie between 100 and 14,400 on either side, where ``|x-20|`` and ``20-x`` part.
    """
    mixed = attempt * 7_919 + place * 5_147 + attempt * place * 613
    if attempt % 5 < 2:
        far = Fraction(700 + (mixed + 1) * 37 % 100_003, 7)
        return -far if (attempt + place) % 2 else far
    if attempt % 4 == 3:
        return Fraction(2 + mixed % 9)
    value = Fraction(1 + mixed % 20_011, 4_099)
    return -value if (attempt >> (place % 3)) % 3 == 2 else value
