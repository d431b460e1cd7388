"""What is wrong with one row of somebody's file: a reason and a field; whoever reads the file adds the place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from longstep.config import UserError, nearest


class RowError(Exception):
    """A row that cannot be used, for one reason.

    Attributes:
        reason: one sentence: what was found, what was expected, perhaps what to do.
        field: dotted path of the field, empty for the whole row.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason, field)  # both, so that it can be pickled
        self.reason = reason
        self.field = field

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason

    def at(self, path: Path | str, number: int) -> UserError:
        """The same for a user: ``file:line:field: reason``."""
        return UserError(f"{path}:{number}:{f'{self.field}:' if self.field else ''} {self.reason}")


def describe(value: object) -> str:
    """A value in a few words, for the part after "got": ``text 'abc'``, ``3``, ``a list of 2``."""
    if isinstance(value, str):
        return f"text {value[:30] + ('...' if len(value) > 30 else '')!r}"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return json.dumps(value, default=repr)[:40]


def suggest(name: str, names: Iterable[object]) -> str:
    """``; did you mean 'x'?`` with the name most like ``name``, or nothing."""
    close = nearest(name, (str(each) for each in names))
    return f"; did you mean {close!r}?" if close else ""
