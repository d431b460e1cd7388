"""``longstep data show``: rows of any file for a reader, and what is in each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstep.config import Field, Strict, UserError, model_validator
from longstep.formats.faults import RowError, describe
from longstep.formats.files import layout_of, read_file
from longstep.formats.layout import Layout
from longstep.formats.layouts import named
from longstep.formats.lines import parse
from longstep.formats.record import Record

_END_OF_THOUGHT = "</think>"
#: Names of fields in the table; rows with more than this have names that are data.
_MOST_FIELDS = 1000
_INDENT = " " * 14


class Show(Strict):
    """Which rows to show, and how much of them.

    Attributes:
        path: the file.
        rows: how many.
        row: begin at this line (row of a table, item of an array), as error messages count them.
        layout: ``auto`` looks at the first rows; a file of no layout is shown field by field.
        columns: field of a record -> column, for tables of no known layout.
        encoding: of the text.
        characters: longest text shown in full; of longer ones the beginning and the end.
    """

    path: Path
    rows: int = Field(default=3, ge=1)
    row: int = Field(default=1, ge=1)
    layout: str = "auto"
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "utf-8"
    characters: int = Field(default=600, ge=20)

    @model_validator(mode="after")
    def _consistent(self) -> Show:
        if self.columns and self.layout != "auto":
            raise ValueError("give either layout or columns: with columns the layout has no effect")
        return self


def shown(config: Show) -> Iterator[str]:
    """Give the rows as lines of text, without control characters that a terminal would obey.

    Raises:
        UserError: the file cannot be read, or ends before the row.
    """
    known = _layout(config)
    left = config.rows
    for line in read_file(config.path, encoding=config.encoding):
        if line.number < config.row:
            continue
        if not left:
            return
        left -= 1
        yield f"{config.path}:{line.number}" + (f"  ({known.name})" if known else "")
        try:
            row = parse(line)
            fields = _completion(row) or (_record(known.read(row)) if known else row)
        except RowError as error:
            fields = {"not a row": str(error), "raw": line.data.decode(errors="backslashreplace")}
        for name, value in fields.items():
            if value not in (None, "", (), {}):
                yield f"  {name:<11} {_short(value, config.characters)}"
        yield ""
    if left == config.rows:
        raise UserError(f"{config.path}: holds no row {config.row}; it ends before")


def _layout(config: Show) -> Layout | None:
    known = named(config.layout, config.columns)
    if known is not None:
        return known
    try:
        return layout_of(config.path, config.encoding)
    except UserError:
        return None  # shown field by field


def _record(record: Record) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": record.id}
    if record.messages:
        shown |= {f"{n} {m['role']}": _said(m) for n, m in enumerate(record.messages)}
    else:
        shown |= {"question": record.prompt, **_answered(record.completion)}
    shown |= {"solution": record.solution, "answer": record.answer}
    shown |= {"chosen": record.chosen, "rejected": record.rejected}
    shown |= {
        "difficulty": record.difficulty,
        "pass rate": record.pass_rate,
        "source": record.source,
    }
    return {**shown, **{f"+ {name}": value for name, value in record.extra.items()}}


def _said(message: Mapping[str, Any]) -> str:
    """What a message says; one without a text says what it is there for."""
    content = message.get("content")
    if content not in (None, ""):
        return str(content)
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    return f"(no text) {rest}" if rest else "(no text)"


def _completion(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of longstep's completions."""
    text, finish = row.get("text"), row.get("finish_reason")
    if not isinstance(text, str) or not isinstance(finish, str):
        return None
    verdict = row.get("verdict")
    said = verdict if isinstance(verdict, dict) else {}
    return {
        "id": f"{row.get('problem_id')}, sample {row.get('sample_index')}",
        **_answered(text),
        "answer": said.get("answer"),
        "finish": f"{finish} after {len(row.get('token_ids') or ())} tokens",
        "verdict": " ".join(str(said[key]) for key in ("status", "reason") if said.get(key)),
    }


def _answered(completion: str | None) -> dict[str, Any]:
    """A completion's thought and reply; a thought that does not end is all there is."""
    if completion is None:
        return {}
    thought, end, reply = completion.partition(_END_OF_THOUGHT)
    if not end and not completion.lstrip().startswith("<think>"):
        return {"reply": completion}
    thought = thought.lstrip().removeprefix("<think>").strip()
    return {"thought": thought, "reply": reply.strip() if end else "(the thought does not end)"}


def _short(value: Any, characters: int) -> str:
    text = value if isinstance(value, str) else describe(value) if _is_long(value) else str(value)
    if len(text) > characters:
        half = characters // 2
        text = f"{text[:half]} [... {len(text) - 2 * half:,} more characters ...] {text[-half:]}"
    return _harmless(text).replace("\n", "\n" + _INDENT)


def _is_long(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) and len(str(value)) > 200


def _harmless(text: str) -> str:
    """Escape what a terminal would obey and what turns the direction of writing."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text
    )


@dataclass
class _Column:
    rows: int = 0
    empty: int = 0
    kinds: set[str] = field(default_factory=set)
    longest: int = 0
    characters: int = 0


def field_table(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    """Count what is in each field over the whole file; a table of texts, its header first.

    Raises:
        UserError: the file cannot be read, or its rows have more than 1,000 field names.
    """
    columns: dict[str, _Column] = {}
    rows = bad = 0
    for line in read_file(path, encoding=encoding):
        try:
            row = parse(line)
        except RowError:
            bad += 1
            continue
        rows += 1
        for name, value in row.items():
            _count(columns.setdefault(name, _Column()), value)
        if len(columns) > _MOST_FIELDS:
            raise UserError(
                f"{path}:{line.number}: the rows have more than {_MOST_FIELDS} field names so far; are they data?"
            )
    table = [["field", "rows", "missing", "empty", "kinds", "mean length", "longest"]]
    for name, column in columns.items():
        full = column.rows - column.empty
        mean = f"{column.characters / full:.0f}" if full and column.characters else "-"
        counts = [column.rows, rows - column.rows, column.empty]
        kinds = ", ".join(sorted(column.kinds))
        table.append([_harmless(name), *map(str, counts), kinds, mean, str(column.longest or "-")])
    return [*table, ["(not a row)", str(bad), "", "", "", "", ""]] if bad else table


def _count(column: _Column, value: Any) -> None:
    column.rows += 1
    column.kinds.add(_KINDS.get(type(value), "other"))
    if value is None or value in ("", [], {}):
        column.empty += 1
    elif isinstance(value, str | list):
        column.characters += len(value)
        column.longest = max(column.longest, len(value))


_KINDS: dict[type, str] = {
    str: "text",
    bool: "true/false",
    int: "number",
    float: "number",
    list: "list",
    dict: "mapping",
    type(None): "null",
}
