"""From rows of somebody else's table to problems: by a known layout, or by naming which column means what."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from longstep.config import Field, UserError, field_validator, model_validator
from longstep.formats.faults import RowError, suggest
from longstep.formats.files import layout_of_lines
from longstep.formats.layout import Layout
from longstep.formats.layouts import SAMPLE, named
from longstep.formats.lines import Line, parse
from longstep.formats.quarantine import ENOUGH, Bad, quarantined_bad
from longstep.formats.record import Record, as_text, has, value_of
from longstep.problems.composed import after_context, letter_of, with_choices
from longstep.problems.source import Source, Unread, content_id
from longstep.types import Problem
from longstep.verify import verifier_fault

Column = Literal["prompt", "answer", "solution", "difficulty", "pass_rate", "context", "choices"]
#: Columns that become a part of the question: no layout knows them.
_PIECES = ("context", "choices")


class Table(Source):
    """What a file and a hub dataset have in common: rows are read as ``longstep data`` reads them.

    Attributes:
        layout: how a row is laid out (``longstep data check`` says what it is taken for); ``auto`` tells it from the
            first rows.
        columns: instead of a layout: problem field -> column of the table. A dotted path goes into nested fields and
            lists, such as ``reward_model.ground_truth`` or ``messages.0.content``; what is not named is not read. The
            text in ``context`` goes before the question, the list in ``choices`` behind it; the answer is a letter.
        only: column -> regular expression that the whole value has to match; other rows are no problems of this source.
        cut: regular expression of what is cut out of every answer, such as a unit in brackets.
        verifier: name or ``module:function``, written into every problem.
        label: what the problems call their source; empty takes the file's or dataset's name.
        limit: take this many rows from the start; ``None`` takes all.
        max_bad: most rows that may be unusable, as a share. Stage ``curate`` sets them aside in its
            ``quarantine.jsonl``; a benchmark, which has to be whole, stops at the first.
    """

    layout: str = "auto"
    columns: dict[Column, str] = Field(default_factory=dict)
    only: dict[str, str] = Field(default_factory=dict)
    cut: str = ""
    verifier: str = "math"
    label: str = ""
    limit: int | None = Field(default=None, ge=1)
    max_bad: float = Field(default=0.01, ge=0, le=1)

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[Column, str]) -> dict[Column, str]:
        for needed in ("prompt", "answer") if value else ():
            if needed not in value:
                raise ValueError(f"columns must say which column is the {needed}")
        return value

    @field_validator("only", "cut")
    @classmethod
    def _patterns(cls, value: Any) -> Any:
        for pattern in value.values() if isinstance(value, dict) else (value,):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Table:
        if self.columns and self.layout != "auto":
            raise ValueError("layout and columns both say how a row is laid out; give one of them")
        try:
            self._named_layout()
        except UserError as error:
            raise ValueError(str(error)) from None
        return self

    def check(self) -> Iterator[str]:
        """A verifier that cannot judge, and rows at hand that cannot be read so."""
        if fault := verifier_fault(self.verifier):
            yield f"verifier: {fault}"
        yield from self.tried(self.local())

    def absent(self) -> Iterator[str]:
        """Rows elsewhere that cannot be had, or cannot be read so."""
        if not self.local():
            yield from self.tried(True)

    @property
    def where_from(self) -> str:
        """The key that names its rows."""
        raise NotImplementedError

    def local(self) -> bool:
        """Whether its rows are on this machine."""
        raise NotImplementedError

    def lacks(self) -> frozenset[str]:
        """What no column is named for; a layout may have anything."""
        others = {"solution", "difficulty", "pass_rate"} - set(self.columns)
        return frozenset(others if self.columns else ())

    def tried(self, there: bool) -> Iterator[str]:
        """Complaints about the first rows, if they are there."""
        if not there:
            return
        try:
            self._try_columns()
            deque(islice(self.read(), ENOUGH), maxlen=0)
        except UserError as error:
            yield f"{'columns' if 'no row has the column' in str(error) else self.where_from}: {error}"

    def _try_columns(self) -> None:
        """Look for the named columns, as far as it takes to see each: to the end only where one is in no row."""
        unseen = set(self.columns.values()) - set(self.known_columns())
        first: list[Line] = []
        for line in islice(self.lines(), self.limit) if unseen else ():
            if len(first) < SAMPLE:
                first.append(line)
            with suppress(RowError):  # a bad row is another complaint
                row = parse(line)
                unseen = {column for column in unseen if not has(row, column)}
            if not unseen:
                return
        if unseen and first:
            self._refuse_absent(unseen, first)

    @property
    def place(self) -> Path | str:
        """Where the rows are, for messages."""
        raise NotImplementedError

    @property
    def name_of_rows(self) -> str:
        """What the problems call their source when no label is given."""
        raise NotImplementedError

    def lines(self) -> Iterator[Line]:
        """The rows, each as a line of JSON."""
        raise NotImplementedError

    def known_columns(self) -> Collection[str]:
        """Columns that the table has although no row may say so."""
        return ()

    def rows(self, known: Mapping[str, int]) -> int | None:
        """What is known of the whole table, or ``limit`` when that is less or all that is known."""
        whole = super().rows(known)
        return min((n for n in (whole, self.limit) if n is not None), default=None)

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems; ``seed`` has nothing to decide.

        Raises:
            UserError: the first row that cannot be used, as ``file:line:field: reason``.
        """
        for row in self.read():
            if isinstance(row, Bad):
                raise row.error.at(self.place, row.line.number)
            yield row

    def collect(self, seed: int) -> Iterator[Problem | Unread]:
        """The problems, and the rows that are none; ``seed`` has nothing to decide.

        Raises:
            UserError: as ``read``.
        """
        for row in self.read():
            if isinstance(row, Bad):
                yield Unread(row.error.field, quarantined_bad(self.place, row))
            else:
                yield row

    def read(self) -> Iterator[Problem | Bad]:
        """Problems and rows that are none, in their order; duplicates are left for curation to judge.

        Real data has rows without an answer: they are read with an empty one, for a filter to drop and count.

        Raises:
            UserError: more than ``max_bad`` of the rows are bad, a named column is in none, or no layout fits.
        """
        lines = islice(self.lines(), self.limit)
        first = list(islice(lines, SAMPLE))
        known = self._named_layout() or layout_of_lines(first, self.place)
        label = self.label or self.name_of_rows
        wanted = set(self.columns.values()) or {"answer"}
        unseen = (wanted | set(self.only)) - set(self.known_columns())
        read, bad, first_bad = 0, 0, ""
        for line in chain(first, lines):
            read += 1
            try:
                row = parse(line)
                unseen = {column for column in unseen if not has(row, column)}
                if not self._is_of(row):
                    continue
                problem = self._problem(self._composed(known.read(row), row), label)
                if problem.answer and not self.columns:
                    unseen = set()  # a layout may hold the answer elsewhere
            except RowError as error:
                first_bad = first_bad or str(error.at(self.place, line.number))
                bad += 1
                if read >= ENOUGH:
                    self._refuse(read, bad, first_bad)
                yield Bad(line, error)
            else:
                yield problem
        self._refuse(read, bad, first_bad)
        if read:
            self._refuse_absent(unseen, first)

    def _named_layout(self) -> Layout | None:
        whole = {str(field): name for field, name in self.columns.items() if field not in _PIECES}
        return named(self.layout, whole)

    def _is_of(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is one that ``only`` asks for."""
        return all(
            re.fullmatch(pattern, as_text(value_of(row, column)) or "") is not None
            for column, pattern in self.only.items()
        )

    def _composed(self, record: Record, row: Mapping[str, Any]) -> Record:
        """The record with all pieces of its question."""
        prompt, answer = record.prompt, record.answer
        if self.cut and answer:
            answer = re.sub(self.cut, "", answer).strip()
        if "context" in self.columns:
            prompt = after_context(value_of(row, self.columns["context"]), prompt)
        if "choices" in self.columns:
            choices = value_of(row, self.columns["choices"])
            prompt = with_choices(prompt, choices)
            answer = letter_of(answer or "", choices)
        return replace(record, prompt=prompt, answer=answer)

    def _problem(self, record: Record, label: str) -> Problem:
        """The problem of a record; its id is a hash of ``label`` and the prompt."""
        turns = sum(message.get("role") == "user" for message in record.messages)
        if turns > 1:
            raise RowError(f"asks {turns} questions in turn, expected one", "messages")
        if self.columns:
            others = {"answer", "solution", "difficulty", "pass_rate"} - self.columns.keys()
            record = replace(record, **dict.fromkeys(others))
        return problem_of(record, content_id(label, record.prompt), label, self.verifier)

    def _refuse(self, read: int, bad: int, first: str) -> None:
        """Stop when too many rows are bad, with the first of them."""
        if bad > self.max_bad * read:
            raise UserError(
                f"{first} ({bad} of the first {read} rows cannot be used; mend them, name the layout or the columns, "
                "or allow more with max_bad)"
            )

    def _refuse_absent(self, absent: Collection[str], first: list[Line]) -> None:
        """Stop when a column is in no row: all its values would be missing without a word."""
        names = sorted({str(name) for line in first for name in _names(line)})
        for column in sorted(absent):
            hint = suggest(column, names) if self.columns else "; name yours with columns"
            raise UserError(
                f"{self.place}: no row has the column {column!r}{hint} (present: {', '.join(names)})"
            )


def problem_of(record: Record, name: str, label: str, verifier: str) -> Problem:
    """The problem that a record states; a blank answer is none."""
    return Problem(
        id=name,
        prompt=record.prompt,
        answer=(record.answer or "") if (record.answer or "").strip() else "",
        solution=record.solution if (record.solution or "").strip() else None,
        verifier=verifier,
        source=label,
        difficulty=record.difficulty,
        pass_rate=record.pass_rate,
    )


def _names(line: Line) -> Collection[str]:
    try:
        return parse(line).keys()
    except RowError:
        return ()
