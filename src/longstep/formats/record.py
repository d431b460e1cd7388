"""The canonical record that every layout is read into, and the strict taking of its fields from a row."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from longstep.formats.faults import RowError, describe, suggest

Row = dict[str, Any]
Message = dict[str, Any]
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Record:
    """What a row of any layout says.

    Attributes:
        prompt: the question as the user would type it; in a conversation the last one.
        id: the source's name of the row.
        answer: the gold answer.
        solution: a worked solution to compare with or to learn from.
        completion: the assistant's turn that answers the prompt, its thought included.
        messages: the whole conversation with ``role`` and ``content``, when it is more than ``prompt`` and
            ``completion`` can say (a system message, several turns, tools); empty otherwise.
        chosen: the preferred assistant's turn of a pair.
        rejected: the other one.
        difficulty: the source's own, any scale.
        pass_rate: share of a rater's answers that were right, in [0, 1].
        source: where the row comes from.
        extra: everything else that the row holds, as it was.
    """

    prompt: str
    id: str | None = None
    answer: str | None = None
    solution: str | None = None
    completion: str | None = None
    messages: tuple[Message, ...] = ()
    chosen: str | None = None
    rejected: str | None = None
    difficulty: float | None = None
    pass_rate: float | None = None
    source: str | None = None
    extra: Row = field(default_factory=dict)


#: Fields of a record that are text, and those that are numbers; a column of their own name holds them by default.
TEXTS = ("id", "answer", "solution", "completion", "chosen", "rejected", "source")
NUMBERS = ("difficulty", "pass_rate")
#: Text fields in which nothing and an empty text are the same.
NAMES = ("id", "source")
#: Column for other fields that a flat row could not hold without mistaking them.
EXTRA = "extra"


class Taker:
    """Takes the columns of a row one by one, checks their types, and knows what is left over.

    A missing column and a null are the same; a number may stand where a text is expected, a truth value may not.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self._left: Row = dict(row)

    def text(self, column: str) -> str:
        """A text that must be there and not be blank."""
        value = self.any_text(column)
        if not value.strip():
            raise RowError("got an empty text, expected some", column)
        return value

    def any_text(self, column: str) -> str:
        """A text that must be there and may be empty."""
        value = self.maybe_text(column)
        return self._missing(column) if value is None else value

    def maybe_text(self, column: str) -> str | None:
        """A text, or a number's digits."""
        return self._taken(column, "text", as_text)

    def maybe_key(self, column: str) -> str | None:
        """An answer: a text, a number, or a list of them, which stays a list in the spelling of JSON."""
        return self._taken(column, "text or a list of texts", as_key)

    def maybe_number(self, column: str) -> float | None:
        """A finite number."""
        return self._taken(column, "a number", as_number)

    def mapping(self, column: str) -> Row:
        """A mapping that must be there."""
        value = self._taken(column, "a mapping", lambda v: v if isinstance(v, dict) else None)
        return self._missing(column) if value is None else dict(value)

    def a_list(self, column: str) -> list[Any]:
        """A list that must be there."""
        value = self.maybe_list(column)
        return self._missing(column) if value is None else value

    def maybe_list(self, column: str) -> list[Any] | None:
        """A list."""
        return self._taken(column, "a list", lambda v: v if isinstance(v, list) else None)

    @property
    def left(self) -> Mapping[str, Any]:
        """What no one has taken so far."""
        return self._left

    def common(self, taken: Container[str], strict: bool = False) -> dict[str, Any]:
        """The record's fields that stand in columns of their own names, without those in ``taken``.

        Not ``strict``: a column that has such a name and another type is left over, as happens in foreign rows.
        """
        found: dict[str, Any] = {}
        for name in [name for name in self._left if name in _COMMON and name not in taken]:
            want, convert = _COMMON[name]
            value = self._left[name]
            if strict or value is None or convert(value) is not None:
                found[name] = self._taken(name, want, convert)
        return found

    def rest(self) -> Row:
        """What no one took: the record's ``extra``."""
        only = self._left.get(EXTRA) if len(self._left) == 1 else None
        return only if isinstance(only, dict) else self._left

    def _missing(self, column: str) -> NoReturn:
        if column in self._row:
            raise RowError("got null, expected a value", column)
        present = ", ".join(map(str, self._row))
        raise RowError(f"is missing{suggest(column, self._row)} (present: {present[:200]})", column)

    def _taken(self, column: str, want: str, convert: Callable[[Any], Any]) -> Any:
        value = self._left.pop(column, None)
        if value is None:
            value = _along(self._row, column)
        if value is None:
            return None
        converted = convert(value)
        if converted is None:
            raise RowError(f"got {describe(value)}, expected {want}", column)
        return converted


def _along(row: Any, path: str) -> Any:
    """What a dotted path leads to, such as ``messages.0.content``: such a value stays in the row's extra fields too."""
    return _led(row, path, None) if "." in path else None


def has(row: Mapping[str, Any], column: str) -> bool:
    """Whether a row has a column, with a value or null; a dotted path leads into mappings and lists."""
    return column in row or _led(row, column, _NOTHING) is not _NOTHING


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or what a dotted path leads to; ``None`` where there is none."""
    return row[column] if column in row else _led(row, column, None)


def _led(value: Any, path: str, absent: Any) -> Any:
    """What a dotted path leads to through mappings and lists, or ``absent``."""
    for name in path.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return absent
    return value


def as_text(value: Any) -> str | None:
    """A text, or the digits of a number; ``None`` for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_key(value: Any) -> str | None:
    """A gold answer as one text: a list of one member is that member, a longer one is JSON of texts.

    What a longer list means, any of them or all of them, the verifier is told (``math(members=any)``).
    """
    if not isinstance(value, list):
        return as_text(value)
    members = [as_text(member) for member in value]
    if not members or any(member is None for member in members):
        return None
    return members[0] if len(members) == 1 else json.dumps(members, ensure_ascii=False)


def as_number(value: Any) -> float | None:
    """A finite number that is no truth value, as a float; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def common_columns(record: Record, but: Container[str] = ()) -> Row:
    """The fields of a record that are there, in columns of their own names, without those in ``but``."""
    values = {name: _FIELDS[name](record) for name in (*TEXTS, *NUMBERS) if name not in but}
    return {name: value for name, value in values.items() if value is not None}


_COMMON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(TEXTS, ("text", as_text)),
    "answer": ("text or a list of texts", as_key),
    **dict.fromkeys(NUMBERS, ("a number", as_number)),
}
_FIELDS: dict[str, Callable[[Record], Any]] = {
    "id": lambda r: r.id,
    "answer": lambda r: r.answer,
    "solution": lambda r: r.solution,
    "completion": lambda r: r.completion,
    "chosen": lambda r: r.chosen,
    "rejected": lambda r: r.rejected,
    "source": lambda r: r.source,
    "difficulty": lambda r: r.difficulty,
    "pass_rate": lambda r: r.pass_rate,
}
