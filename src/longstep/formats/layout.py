"""What a layout of a row is: how it is recognised, read into a record and rendered back.

A row is rendered flat; when reading it back would not give the same record (an extra field has the name of a column),
the extra fields go into one column ``extra``. So nothing is lost, whatever the fields are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from longstep.formats.faults import RowError, describe, suggest
from longstep.formats.record import EXTRA, NAMES, Record, Row, Taker, as_text

_KINDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: as_text(value) is not None,
    "a list": lambda value: isinstance(value, list),
    "a mapping": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True, slots=True)
class PublishedAnswer:
    """One answer to the question of a row, as its publisher wrote it.

    Attributes:
        text: with the publisher's marks of a thought.
        right: what the publisher's own verifier said of it, where it says so.
        fault: why it is no whole answer, where the publisher says so.
    """

    text: str
    right: bool | None = None
    fault: str = ""


def the_completion(record: Record) -> list[PublishedAnswer]:
    """The one answer that most layouts have."""
    return [] if record.completion is None else [PublishedAnswer(record.completion)]


def the_answer(record: Record) -> str | None:
    """The key, where the layout has a column for it."""
    return record.answer


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lay out a row.

    Attributes:
        name: what users call it.
        needs: columns that a row must have, with their kinds; a layout is recognised by them.
        note: who uses it.
        take: the record's fields from a row, everything unknown excluded.
        columns: the row of a record, its extra fields excluded.
        answers: every answer to the record's question that a model can learn from.
        key: the record's gold answer, wherever it stands.
    """

    name: str
    needs: Mapping[str, str]
    note: str
    take: Callable[[Taker], dict[str, Any]]
    columns: Callable[[Record], Row]
    answers: Callable[[Record], list[PublishedAnswer]] = the_completion
    key: Callable[[Record], str | None] = the_answer

    def read(self, row: Mapping[str, Any]) -> Record:
        """The record of a row.

        Raises:
            RowError: a field is missing or has another type than declared.
        """
        taker = Taker(row)
        fields = self.take(taker)
        for name in NAMES:
            fields[name] = fields.get(name) or None
        extra = {**fields.pop("extra", {}), **taker.rest()}
        return Record(**fields, extra=extra)

    def render(self, record: Record) -> Row:
        """The row of a record; reading it gives an equal record.

        Raises:
            RowError: the layout cannot hold it.
        """
        columns = self.columns(record)
        missing = [name for name in self.needs if columns.get(name) is None]
        if missing:
            raise RowError(
                f"the record has none, and a row of layout {self.name} needs it", missing[0]
            )
        extra = record.extra
        for row in ({**extra, **columns}, {**columns, EXTRA: extra}):
            if self._gives(row, record):
                return {**columns, **{key: row[key] for key in row if key not in columns}}
        raise RowError(f"a row of layout {self.name} cannot hold this record without loss")

    def _gives(self, row: Row, record: Record) -> bool:
        try:
            return self.read(row) == record
        except RowError:
            return False

    def misses(self, row: Mapping[str, Any]) -> list[str]:
        """What keeps a row from this layout: names of columns, with kinds where these are wrong."""
        found: list[str] = []
        for name, kind in self.needs.items():
            if row.get(name) is None:
                found.append(f"{name!r}{suggest(name, row.keys() - self.needs.keys())}")
            elif not _KINDS[kind](row[name]):
                found.append(f"{name!r} as {kind} (it is {describe(row[name])})")
        return found
