"""Stored traces after an edit, as an engine: what a trace is worth is told by training on one that was spoilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from longstep.artifacts import RowFile
from longstep.config import UserError
from longstep.context import Artifact
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.curate.edits import AnyEdit, Edit
from longstep.draw.editable import EditableTraces
from longstep.draw.engines import Desk, Engine, Opened
from longstep.draw.prompts import by_name
from longstep.foresight import REMEDIES, Ahead
from longstep.generate import Batch, Batched, Row, Sampling
from longstep.types import ABSENT, Completion, Verdict

COMPLETIONS = "completions.jsonl"


class EditedGenerator(Batched):
    """Gives a problem's traces, each after the edit, as text alone.

    Where fewer can be edited than are asked for, the rest say so by a verdict of ``timeout``, as of stored ones.
    """

    def __init__(
        self, traces: EditableTraces, edit: Edit, numbers: Mapping[str, Sequence[int]]
    ) -> None:
        """Take the traces, and which of them answer each problem."""
        self._traces, self._edit, self._numbers = traces, edit, numbers

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Read the rows again, and edit them."""
        return [self._completion(row, sampling.seed) for row in batch.rows]

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "edited"}

    def _completion(self, row: Row, seed: int) -> Completion:
        name, sample = row.prompt.problem_id, row.sample_index
        numbers = self._numbers.get(name, ())
        if sample < len(numbers):
            edited = self._traces.edited(numbers[sample], self._edit, seed)
            assert edited is not None
            return Completion(name, sample, (), (), edited.text, "stop")
        said = Verdict("timeout", None, f"only {len(numbers)} traces can be edited", ABSENT)
        return Completion(name, sample, (), (), "", "stop", verdict=said)


class ByEdited(Engine):
    """Traces that an artifact holds, changed by one rule each: the controls of what a trace teaches.

    The answer behind the thought becomes a box and nothing else. Traces that did not end are left out.

    Attributes:
        data: the stage that holds the completions, with verdicts.
        edit: what is done to each.
    """

    once: ClassVar[bool] = True
    kind: Literal["edited"] = "edited"
    data: str
    edit: AnyEdit

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The rows."""
        yield self.data, "rows"

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """Rows without completions, or without verdicts."""
        yield from ahead.files("by.data", self.data, COMPLETIONS)
        if "verdict" in ahead.rows(self.data).lacks:
            yield f"by.data: the completions of {self.data} were never verified; {REMEDIES['verdict']}"

    def open(self, desk: Desk) -> Opened:
        """Find what can be edited.

        Raises:
            UserError: nothing can.
        """
        path = desk.artifact(self.data)
        rows = RowFile(path if path.is_file() else path / COMPLETIONS, Completion)
        traces = EditableTraces(rows, {problem.id: problem for problem in desk.problems})
        numbers: dict[str, list[int]] = {}
        for number, at in enumerate(traces.placed):
            # Whether a trace can be edited depends on no seed.
            if traces.edited(number, self.edit, 0) is not None:
                numbers.setdefault(at.problem_id, []).append(number)
        if desk.problems and not numbers:
            raise UserError(
                f"{desk.name}: by.edit: {self.edit.kind} can be done to none of the {len(traces.placed)} traces of "
                f"{self.data} that end and answer the {len(desk.problems)} problems asked; take other traces"
            )
        return Opened(EditedGenerator(traces, self.edit, numbers), by_name)

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Nothing: they are read."""
        return Spent()
