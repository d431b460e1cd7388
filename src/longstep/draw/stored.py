"""Stored completions as an engine: what others drew is judged, rated and selected like what is drawn here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from longstep.artifacts import RowFile
from longstep.config import UserError
from longstep.context import Artifact
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.draw.engines import Desk, Engine, Opened
from longstep.draw.prompts import by_name
from longstep.foresight import Ahead
from longstep.generate import Batch, Batched, Row, Sampling
from longstep.types import ABSENT, Completion, Verdict

COMPLETIONS = "completions.jsonl"


class StoredGenerator(Batched):
    """Gives a problem's stored completions in their order, and judges none of them.

    Where fewer are stored than are asked for, the rest say so by a verdict of ``timeout``: they are left out of every
    rate, and counted. Held are the places of the rows, not their texts.
    """

    def __init__(self, rows: RowFile[Completion], places: Mapping[str, Sequence[int]]) -> None:
        """Take the file and where each problem's rows begin in it."""
        self._rows, self._places = rows, places

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Read the rows again."""
        return [self._completion(row) for row in batch.rows]

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "stored"}

    def _completion(self, row: Row) -> Completion:
        name, number = row.prompt.problem_id, row.sample_index
        places = self._places.get(name, ())
        if number >= len(places):
            said = Verdict("timeout", None, f"only {len(places)} completions are stored", ABSENT)
            return Completion(name, number, (), (), "", "stop", verdict=said)
        return replace(self._rows.at(places[number]), sample_index=number, verdict=None)


class ByStored(Engine):
    """Completions that an artifact holds already, such as published traces: nothing is drawn, all are judged anew.

    Attributes:
        data: the stage that holds the completions.
    """

    once: ClassVar[bool] = True
    kind: Literal["stored"] = "stored"
    data: str

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The rows."""
        yield self.data, "rows"

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """Rows without completions."""
        yield from ahead.files("by.data", self.data, COMPLETIONS)

    def open(self, desk: Desk) -> Opened:
        """Find each problem's rows.

        Raises:
            UserError: none of them answers a problem that is asked.
        """
        path = desk.artifact(self.data)
        rows = RowFile(path if path.is_file() else path / COMPLETIONS, Completion)
        asked = {problem.id for problem in desk.problems}
        places: dict[str, list[int]] = {}
        for place, row in rows:
            if row.problem_id in asked:
                places.setdefault(row.problem_id, []).append(place)
        if asked and not places:
            raise UserError(
                f"{desk.name}: by.data: the completions of {self.data} answer none of the {len(asked)} problems asked; "
                "take the problems beside them"
            )
        return Opened(StoredGenerator(rows, places), by_name)

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Nothing: they are read."""
        return Spent()
