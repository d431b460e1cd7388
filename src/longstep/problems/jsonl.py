"""Problems from a file of the user's own: JSON lines, a JSON array, CSV or Parquet, compressed or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal

from longstep.formats.files import read_file
from longstep.formats.lines import Line
from longstep.formats.parquet import column_names, is_parquet
from longstep.problems.columns import Table
from longstep.wording import did_you_mean, nearest


class JsonlFile(Table):
    """One row per problem, in the file's order.

    Attributes:
        path: the file; ``.jsonl``, ``.csv`` or ``.parquet``, also ``.gz`` and ``.zst``.
        encoding: of a text file that is not UTF-8.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: Path
    encoding: str = "utf-8"

    def check(self) -> Iterator[str]:
        """A misspelt file; rows that cannot be read so.

        A plan may be made before the data is fetched, so that a file which is merely not here is ``absent``.
        """
        if self.path.is_file():
            yield from super().check()
        elif self.path.is_dir():
            yield f"path: {self.path} is a folder; name a file in it"
        elif close := self._close():
            yield f"path: no file {str(self.path)!r}{did_you_mean(close)}"

    def absent(self) -> Iterator[str]:
        """The file."""
        if not self.path.exists():
            yield f"path: no file {str(self.path)!r}; fetch it, or give the path of another"

    def _close(self) -> str | None:
        """A file that is here and called much like it."""
        folder = self.path.parent
        near = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        close = nearest(self.path.name, near, 0.8)
        return None if close is None else str(folder / close)

    def local(self) -> bool:
        """Never elsewhere."""
        return True

    @property
    def where_from(self) -> str:
        """Its path."""
        return "path"

    def libraries(self) -> frozenset[str]:
        """Parquet has a library of its own."""
        return frozenset(["pyarrow"] * (".parquet" in self.path.suffixes))

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
