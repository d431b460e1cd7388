"""Rows of a chunk as the jobs see them: the record, and the line as it was."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from longstep.config import Field, UserError, model_validator, nearest
from longstep.formats.faults import RowError
from longstep.formats.files import layout_of, read_file
from longstep.formats.layout import Layout
from longstep.formats.layouts import named
from longstep.formats.lines import Line, parse
from longstep.formats.parquet import column_names, is_parquet
from longstep.formats.quarantine import ENOUGH, Bad
from longstep.formats.record import Record, has
from longstep.jobs.base import Counts, Job
from longstep.jobs.inputs import Chunk

CLEAN, QUARANTINE = "out/clean.jsonl", "out/quarantine.jsonl"
#: Table of the counts that says how many rows have a column the user named; it is no result.
COLUMNS = "columns named"


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row: its line number over all inputs, its line, what it says, and the names of its columns."""

    number: int
    line: Line
    record: Record


Read = Callable[[Chunk], tuple[list[Row], list[Bad]]]


class RowJob(Job):
    """Base of the jobs that read rows.

    Attributes:
        layout: name of the files' layout; ``auto`` finds it from each file's first rows.
        columns: field of a record -> column, for a table of no known layout.
        max_bad: most lines that may be no rows, as a share; beyond it the job stops.
    """

    layout: str = "auto"
    columns: dict[str, str] = Field(default_factory=dict)
    max_bad: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _one_way(self) -> RowJob:
        if self.columns and self.layout != "auto":
            raise ValueError("layout and columns both say how a row is laid out; give one of them")
        return self

    def examine(self) -> None:
        """See that each column the user named is in some row; most stand in the first.

        Raises:
            UserError: one is in none.
        """
        absent = {f"--columns {field}": column for field, column in self.columns.items()}
        rows = self._parsed()
        while absent and (row := next(rows, None)) is not None:
            absent = {option: column for option, column in absent.items() if not has(row, column)}
        if absent and _names(self):  # a file without rows is refused for that
            refuse_absent(self, absent, {})

    def _parsed(self) -> Iterator[Mapping[str, Any]]:
        for path in self.inputs:
            for line in read_file(path, encoding=self.encoding):
                with suppress(RowError):
                    yield parse(line)

    def reader(self) -> Read:
        """Give what reads a chunk into rows and bad lines.

        Raises:
            UserError: when it meets a file of no known layout.
        """
        layouts: dict[Path, Layout] = {}

        def read(chunk: Chunk) -> tuple[list[Row], list[Bad]]:
            if chunk.path not in layouts:
                layouts[chunk.path] = self.layout_of(chunk.path)
            take = layouts[chunk.path].read
            rows: list[Row] = []
            bad: list[Bad] = []
            for line in chunk.lines:
                try:
                    rows.append(Row(chunk.start.base + line.number, line, take(parse(line))))
                except RowError as error:
                    bad.append(Bad(line, error))
            return rows, bad

        return read

    def layout_of(self, path: Path) -> Layout:
        """How the rows of a file are read.

        Raises:
            UserError: the layout is unknown, or none fits.
        """
        return named(self.layout, self.columns) or layout_of(path, self.encoding)

    def refuse_bad(self, counts: Counts, enough: int = ENOUGH) -> None:
        """Stop when too many lines are bad.

        Args:
            counts: of a pass so far.
            enough: fewer rows say nothing yet; 1 at the end.

        Raises:
            UserError: with how many of how many, and the first of them.
        """
        rows = counts.get("rows", {"read": 0, "bad": 0})
        if rows["read"] >= enough and rows["bad"] > self.max_bad * rows["read"]:
            raise UserError(
                f"{rows['bad']} of the first {rows['read']} lines cannot be used, the first is {self._first_bad()}; "
                "mend them, name the layout or the columns, or allow more with --max-bad"
            )

    def demand(self, row: Row, path: Path) -> None:
        """See what the job needs of a row besides its layout.

        Raises:
            RowError: the row has it not; it is a bad one.
        """

    def _first_bad(self) -> str:
        """Look for it again: this is the end of the job."""
        for path in self.inputs:
            take = self.layout_of(path).read
            for line in read_file(path, encoding=self.encoding):
                try:
                    self.demand(Row(line.number, line, take(parse(line))), path)
                except RowError as error:
                    return str(error.at(path, line.number))
        return "gone; the inputs have changed"


def refuse_nothing(counts: Counts, quarantine: Path) -> None:
    """Stop when no row is kept.

    Raises:
        UserError: with what became of them.
    """
    rows = counts["rows"]
    if not rows["kept"]:
        fate = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise UserError(f"no row is left ({fate}); see why in {quarantine}")


def having(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> dict[str, int]:
    """How many rows have each column, with a value or null; an entry for the counts of a piece."""
    present: Counter[str] = Counter()
    wanted = set(columns)
    for row in rows:
        present.update(wanted & row.keys())
    return dict(present)


def refuse_absent(job: RowJob, wanted: Mapping[str, str], found: Mapping[str, int]) -> None:
    """Stop when a column that the user named is in no row.

    Args:
        job: whose inputs they are.
        wanted: option -> column.
        found: rows that have it, by column.

    Raises:
        UserError: with the option and the column that comes nearest.
    """
    tables = (path for path in job.inputs if is_parquet(path))
    nulls = {name for path in tables for name in column_names(path)}  # a column may be all null
    for option, column in wanted.items():
        if found.get(column) or column in nulls:
            continue
        names = _names(job)
        close = nearest(column, names)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UserError(
            f"{job.inputs[0]}: {option} {column}: no row has this column{hint} (present: {', '.join(names)})"
        )


def _names(job: RowJob) -> list[str]:
    """The columns of the first rows; a Parquet row has no nulls, so that one row is not enough."""
    names: dict[str, None] = {}
    for line in islice(read_file(job.inputs[0], encoding=job.encoding), ENOUGH):
        try:
            names.update(dict.fromkeys(parse(line)))
        except RowError:
            continue
    return sorted(names)[:100]


def hash64(text: str) -> int:
    """A 64-bit hash of a text, the same in every process; never 0."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
