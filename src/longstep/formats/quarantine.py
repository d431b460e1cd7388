"""Rows that are set aside: where each was, why it is here, and the row as it was, byte for byte where it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.formats.faults import RowError
from longstep.formats.lines import Line, dump, parse

#: Fewer rows than this say nothing yet about the share of bad ones.
ENOUGH = 1000


@dataclass(frozen=True, slots=True)
class Bad:
    """One line that is no row of the layout."""

    line: Line
    error: RowError


def as_line(line: Line) -> bytes:
    """The row as a line of its own: byte for byte, unless its JSON goes over several lines (items of an array)."""
    return dump(parse(line)) if b"\n" in line.data else line.data + b"\n"


def quarantined(place: Path | str, line: Line, facts: Mapping[str, Any]) -> bytes:
    """A line for the quarantine: file (or dataset) and line, ``facts`` that say why, and the row or its raw text."""
    head = dump({"file": str(place), "line": line.number, **facts})[:-2]
    try:
        parse(line)
        return head + b',"row":' + as_line(line)[:-1] + b"}\n"
    except RowError:
        raw = dump({"raw": line.data.decode(errors="backslashreplace")})
        return head + b"," + raw[1:]


def quarantined_bad(place: Path | str, bad: Bad) -> bytes:
    """The same for a line that is no row."""
    facts = {"reason": "bad row", "field": bad.error.field, "why": bad.error.reason}
    return quarantined(place, bad.line, facts)
