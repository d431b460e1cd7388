"""Rows of a CSV or TSV file with a header, as the JSON lines they would be."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.formats.lines import (
    LINE_LIMIT,
    READ_ERRORS,
    START,
    Line,
    Position,
    dump,
    go_to,
    open_bytes,
    unreadable,
)

_DELIMITERS = ",\t;"
#: CSV has no types: cells of these columns are read as numbers where they are, and as null where they are empty.
NUMBERS = frozenset({"difficulty", "pass_rate"})


def read_csv(
    path: Path, start: Position = START, *, limit: int = LINE_LIMIT, encoding: str = "utf-8"
) -> Iterator[Line]:
    """Give the rows of a table as lines; cells are text and may hold line ends. The first row names the columns.

    A row is numbered by the line of the file it ends in. Which of comma, tab and semicolon separates is told from the
    first row. Sets the standard library's limit of a cell, which is one for the whole process, to ``limit``.

    Raises:
        UserError: the file cannot be read, its header is empty or names a column twice, or a quote is never closed.
    """
    csv.field_size_limit(limit)
    header, delimiter, first = _header(path, limit, encoding)
    with open_bytes(path, encoding) as file:
        cells = _Cells(file, path, limit, first if start == START else start)
        before = cells.after
        try:
            go_to(file, before.offset, path)
            for row in cells.rows(delimiter):
                if row:
                    data, fault = _as_json(header, row)
                    yield Line(cells.after.lines, before.offset, data, cells.after, True, fault)
                before = cells.after
        except csv.Error as error:
            raise UserError(
                f"{path}:{before.lines + 1}: cannot be read as CSV from here on ({error}); is a quote not closed?"
            ) from None
        except READ_ERRORS as error:
            raise unreadable(path, cells.after.lines, error) from None


def _header(path: Path, limit: int, encoding: str) -> tuple[list[str], str, Position]:
    """The names of the columns, what separates them, and where the rows begin."""
    with open_bytes(path, encoding) as file:
        try:
            cells = _Cells(file, path, limit, Position(0, go_to(file, 0, path)))
            first = file.peek(1 << 16).split(b"\n")[0].decode(errors="replace")
            delimiter = max(_DELIMITERS, key=first.count)
            header = next(cells.rows(delimiter), [])
        except csv.Error as error:
            raise UserError(f"{path}:1: the first row cannot be read as CSV ({error})") from None
        except READ_ERRORS as error:
            raise unreadable(path, 0, error) from None
    twice = [name for name, count in Counter(header).items() if count > 1]
    if not any(header) or twice:
        what = f"column {twice[0]!r} twice" if twice else "no names"
        raise UserError(f"{path}:1: the first row must name the columns; it has {what}")
    return header, delimiter, cells.after


class _Cells:
    """Feeds lines to the standard library's parser and counts what it took, so that a position is known."""

    def __init__(
        self, file: io.BufferedReader[Any], path: Path, limit: int, start: Position
    ) -> None:
        self._file, self._path, self._limit = file, path, limit
        self.after = start

    def rows(self, delimiter: str) -> Iterator[list[str]]:
        """Parse from where the file is."""
        return csv.reader(self._lines(), delimiter=delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while data := self._file.readline(self._limit):
            number, offset = self.after
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{self._path}:{number + 1}: is not UTF-8: byte 0x{data[error.start]:02x} at byte "
                    f"{offset + error.start} of the file; give its encoding"
                ) from None
            self.after = Position(number + 1, offset + len(data))
            yield text


def _as_json(header: list[str], row: list[str]) -> tuple[bytes, str]:
    if len(row) != len(header):
        return dump(row)[:-1], f"has {len(row)} cells, the first row has {len(header)}"
    cells: dict[str, Any] = dict(zip(header, row, strict=True))
    for name in NUMBERS & cells.keys():
        cells[name] = _number(cells[name])
    return dump(cells)[:-1], "holds a NUL byte" if any("\0" in cell for cell in row) else ""


def _number(cell: str) -> float | str | None:
    try:
        return float(cell) if cell.strip() else None
    except ValueError:
        return cell  # the layout's schema says what is wrong with it
