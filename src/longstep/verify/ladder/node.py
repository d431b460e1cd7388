"""The tree of an answer, and why reading one can fail."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longstep.verify.ladder.poly import Form
    from longstep.verify.ladder.units import Unit


class Unreadable(Exception):
    """The text is no mathematics that this ladder reads."""


class Foreign(Unreadable):
    """A function that only the last rung knows."""


class TooLarge(Exception):
    """Reading or deciding it would take more work than the bounds allow; no rung may try."""


@dataclass(eq=False, slots=True)
class Node:
    """One operation over its arguments; compared by meaning (``compare.same``), never by ``==``.

    Attributes:
        op: ``num``, ``var``, ``const``, ``add``, ``mul``, ``div``, ``pow``, ``call``, ... for expressions;
            ``list``, ``set``, ``tuple``, ``interval``, ``union``, ``matrix``, ``relation``, ... for structure.
        args: the arguments, in order.
        value: what the operation needs besides: a number, a name, the brackets, the number of columns.
        unit: for ``unit`` the unit of its one argument.
        form: cache of the normal form (``forms.normal``).
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction | str = ""
    unit: Unit | None = None
    form: Form | None = None


def number(value: Fraction | int) -> Node:
    """Make a number."""
    return Node("num", (), Fraction(value))
