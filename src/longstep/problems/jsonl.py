"""Problems from a file of the user's own: JSON lines, a JSON array, CSV or Parquet, compressed or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal

from longstep.formats.files import read_file
from longstep.formats.lines import Line
from longstep.formats.parquet import column_names, is_parquet
from longstep.problems.columns import Table


class JsonlFile(Table):
    """One row per problem, in the file's order.

    Attributes:
        path: the file; ``.jsonl``, ``.csv`` or ``.parquet``, also ``.gz`` and ``.zst``.
        encoding: of a text file that is not UTF-8.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: Path
    encoding: str = "utf-8"

    @property
    def place(self) -> Path:
        """The file."""
        return self.path

    @property
    def name_of_rows(self) -> str:
        """The file's name without its endings."""
        return self.path.name.split(".")[0]

    def lines(self) -> Iterator[Line]:
        """The rows of the file.

        Raises:
            UserError: it cannot be read.
        """
        return read_file(self.path, encoding=self.encoding)

    @property
    def called(self) -> str:
        """The file's path."""
        return str(self.path)

    def rows(self, known: Mapping[str, int]) -> int | None:
        """As for every table; lines of a file that is there are counted when nothing else is known."""
        if self.called not in known and self.path.is_file():
            with self.path.open("rb") as file:
                known = {self.called: sum(1 for _ in file)}
        return super().rows(known)

    def known_columns(self) -> Collection[str]:
        """Those of a Parquet file's schema: its rows leave nulls out."""
        return column_names(self.path) if is_parquet(self.path) else ()
