"""Problems from a file of the user's own: JSON lines, a JSON array, CSV or Parquet, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from longstep.formats.faults import RowError
from longstep.formats.files import read_file
from longstep.formats.lines import parse
from longstep.formats.parquet import column_names, is_parquet
from longstep.problems.columns import Table
from longstep.types import Problem


class JsonlFile(Table):
    """One row per problem, in the file's order; duplicates are left for curation to judge.

    Attributes:
        path: the file; ``.jsonl``, ``.csv`` or ``.parquet``, also ``.gz`` and ``.zst``.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: Path

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems of the file, read row by row; ``seed`` has nothing to decide.

        Raises:
            UserError: the file, line and column that cannot be used.
        """
        # A Parquet row leaves its nulls out; the file's schema says which columns there are.
        nulls = dict.fromkeys(column_names(self.path)) if is_parquet(self.path) else {}
        label = self.label or self.path.name.split(".")[0]
        for line in islice(read_file(self.path), self.limit):
            try:
                row = parse(line)
            except RowError as error:
                raise error.at(self.path, line.number) from None
            yield self.problem(nulls | row, label, f"{self.path}:{line.number}")
