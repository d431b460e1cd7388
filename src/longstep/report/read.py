"""Tolerant reading of a run folder: what cannot be read becomes a note, never a crash.

A report is wanted most when a run went wrong, so unlike ``artifacts.read_rows`` nothing here raises
for a torn line or a missing file. Text written by a model is untrusted: every string that reaches
the page goes through `visible`, and the template escapes it.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAX_LINE = 64 * 1024 * 1024
_MAX_FILE = 256 * 1024 * 1024
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Reader:
    """Reads JSON below one folder and keeps a note of everything it could not read.

    Attributes:
        root: the run folder; links that lead anywhere are not followed.
        notes: one sentence for each file with unreadable content, in reading order.
    """

    def __init__(self, root: Path) -> None:
        """Read below ``root``."""
        self.root = root
        self.notes: list[str] = []

    def object(self, path: Path) -> dict[str, Any]:
        """The JSON object in a file; empty when the file is missing or damaged (noted)."""
        if not self.exists(path):
            return {}
        if path.stat().st_size > _MAX_FILE:
            return self._damaged(path, f"larger than {_MAX_FILE >> 20} MB")
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            return self._damaged(path, f"not valid JSON, {error}")
        if isinstance(value, dict):
            return value
        return self._damaged(path, f"a JSON object was expected, got {type(value).__name__}")

    def array(self, path: Path) -> list[Any]:
        """The JSON array in a file; empty when the file is missing or damaged (noted)."""
        if not self.exists(path):
            return []
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            return list(self._damaged(path, f"not valid JSON, {error}"))
        if isinstance(value, list):
            return value
        return list(self._damaged(path, f"a JSON list was expected, got {type(value).__name__}"))

    def rows(self, path: Path) -> Iterator[dict[str, Any]]:
        """The JSON objects of a JSONL file, one at a time; one note counts unreadable lines."""
        if not self.exists(path):
            return
        bad = 0
        with path.open("rb") as file:
            while line := file.readline(_MAX_LINE):
                if not line.strip():
                    continue
                row = _parse(line)
                if isinstance(row, dict):
                    yield row
                else:
                    bad += 1
        if bad:
            self.notes.append(
                f"{self._name(path)}: {bad} unreadable line{'s' if bad > 1 else ''} left out"
            )

    def exists(self, path: Path) -> bool:
        """Whether this is a regular file inside the run folder (a link could lead out of it)."""
        return path.is_file() and path.resolve().is_relative_to(self.root.resolve())

    def _damaged(self, path: Path, why: str) -> dict[str, Any]:
        self.notes.append(visible(f"{self._name(path)}: left out ({why})"))
        return {}

    def _name(self, path: Path) -> str:
        return visible(path.relative_to(self.root).as_posix())


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def visible(text: str) -> str:
    r"""Text that hides nothing: control, bidi and lone surrogate characters become ``\uXXXX``.

    A model can emit a right-to-left override that makes a wrong answer look right, or a lone
    surrogate that cannot be encoded at all. Newlines and tabs stay. Joined emoji come apart, a fair
    price in a page about reasoning traces.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(char):04x}"
        if unicodedata.category(char) in _HIDDEN and char not in "\n\t"
        else char
        for char in text
    )


def words(value: object) -> str:
    """A JSON value as visible text; nothing for null."""
    if value is None:
        return ""
    return visible(
        value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    )


def number(value: object) -> float | None:
    """A finite JSON number as float; ``None`` for anything else (booleans, NaN, text)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def mapping(value: object) -> dict[str, Any]:
    """The value when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """The value when it is a JSON list, else an empty one."""
    return value if isinstance(value, list) else []
