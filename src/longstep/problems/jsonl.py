"""Problems from a JSONL file of the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from longstep.config import UserError
from longstep.problems.columns import Table
from longstep.types import Problem


class JsonlFile(Table):
    """One JSON object per line, in the file's order; duplicates are left for curation to judge.

    Attributes:
        path: the file.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: Path

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems of the file, read line by line; ``seed`` has nothing to decide.

        Raises:
            UserError: the file, line and column that cannot be used.
        """
        label = self.label or self.path.stem
        for number, line in islice(self._lines(), self.limit):
            place = f"{self.path}:{number}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UserError(f"{place}: not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise UserError(f'{place}: expected a JSON object such as {{"prompt": ...}}')
            yield self.problem(row, label, place)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield number, line
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
