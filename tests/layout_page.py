"""What ``docs/layouts.md`` says: a row and a command for each published layout."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "layouts.md"
_ENTRY = re.compile(r"^### (.+?)\n.*?^```json\n(.*?)^```\n+^```\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Entry:
    """One layout: its name, a row of it, and the words behind ``longstep``."""

    name: str
    row: dict[str, Any]
    words: Sequence[str]

    @property
    def file(self) -> str:
        """The file that the command reads."""
        flag = "--data" if "--data" in self.words else "--benchmark"
        return self.words[self.words.index(flag) + 1]

    def write(self, folder: Path) -> None:
        """Write the file: two rows that differ in their questions."""
        rows = [self.row, json.loads(json.dumps(self.row).replace("2+3?", "3+2?"))]
        if self.file.endswith(".parquet"):
            from pyarrow import Table, parquet

            parquet.write_table(Table.from_pylist(rows), folder / self.file)
        else:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / self.file).write_text(lines, "utf-8")


def entries() -> list[Entry]:
    """All of the page, in its order."""
    found = _ENTRY.findall(PAGE.read_text("utf-8"))
    return [
        Entry(name, json.loads(row), shlex.split(command.split("longstep ", 1)[1]))
        for name, row, command in found
    ]
