"""Problems of an artifact as a source of their own; stage ``curate`` makes one of its ``data``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from longstep.artifacts import read_rows
from longstep.problems.source import Source
from longstep.types import Problem


class StoredProblems(Source):
    """Rows of a ``problems.jsonl``, whole and in their order; ids, keys and verifiers stay."""

    kind: Literal["stored"] = "stored"
    path: Path

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems; ``seed`` has nothing to decide."""
        return read_rows(self.path, Problem)
