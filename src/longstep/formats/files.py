"""Rows of any file as lines of JSON: JSON lines, one JSON array, CSV, TSV or Parquet, compressed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from longstep.config import UserError
from longstep.formats.arrays import read_array
from longstep.formats.csv import read_csv
from longstep.formats.faults import RowError
from longstep.formats.layout import Layout
from longstep.formats.layouts import SAMPLE, detect
from longstep.formats.lines import (
    LINE_LIMIT,
    READ_ERRORS,
    START,
    Line,
    Position,
    go_to,
    loads,
    open_bytes,
    parse,
    read_lines,
    unreadable,
)
from longstep.formats.parquet import is_parquet, read_parquet

Kind = Literal["lines", "array", "csv", "parquet"]
_COMPRESSED = (".gz", ".zst")


def read_file(
    path: Path, start: Position = START, *, limit: int = LINE_LIMIT, encoding: str = "utf-8"
) -> Iterator[Line]:
    """Give the rows of a file as lines of JSON, from a position on: every kind of file looks the same from here.

    ``Line.number`` counts lines of a text file (of a CSV the line a row ends in) and rows of others, from 1.

    Args:
        path: the file.
        start: ``Line.after`` of an earlier reading.
        limit: bytes of the longest row.
        encoding: of a text file that is not UTF-8; a Parquet file has its own.

    Raises:
        UserError: the file cannot be read.
    """
    kind = kind_of(path, encoding)
    if kind == "parquet":
        return read_parquet(path, start, limit=limit)
    readers: dict[str, Callable[..., Iterator[Line]]] = {
        "lines": read_lines,
        "array": read_array,
        "csv": read_csv,
    }
    return readers[kind](path, start, limit=limit, encoding=encoding)


def kind_of(path: Path, encoding: str = "utf-8") -> Kind:
    """What kind of file it is: Parquet and arrays are told by their first bytes, CSV by its name.

    Raises:
        UserError: the file cannot be read.
    """
    if is_parquet(path):
        return "parquet"
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSED]
    if suffixes and suffixes[-1].lower() in (".csv", ".tsv"):
        return "csv"
    try:
        with open_bytes(path, encoding) as file:
            go_to(file, 0, path)
            if file.peek(1)[:64].lstrip()[:1] != b"[":
                return "lines"
            return "lines" if _is_list_a_line(file) else "array"
    except READ_ERRORS as error:
        raise unreadable(path, 0, error) from None


def _is_list_a_line(file: BinaryIO) -> bool:
    """Whether the first line is a whole list and more follows: then each line is a row that is a list."""
    first = file.readline(LINE_LIMIT)
    try:
        loads(first)
    except RowError:
        return False
    return any(line.strip() for line in iter(lambda: file.readline(LINE_LIMIT), b""))


def layout_of(path: Path, encoding: str = "utf-8") -> Layout:
    """The layout of a file, from its first rows that can be read.

    Raises:
        UserError: it has no such row, or no layout fits.
    """
    return layout_of_lines(islice(read_file(path, encoding=encoding), SAMPLE), path)


def layout_of_lines(lines: Iterable[Line], place: Path | str) -> Layout:
    """The layout of some first rows.

    Args:
        lines: the rows; those that cannot be read say nothing.
        place: where they are from, for messages.

    Raises:
        UserError: none can be read, or no layout fits.
    """
    rows = []
    first = None
    for line in lines:
        try:
            rows.append(parse(line))
        except RowError as error:
            first = first or error.at(place, line.number)
    if not rows and first is not None:
        raise UserError(f"{first} (and none of the first rows can be read)")
    return detect(rows, str(place))
