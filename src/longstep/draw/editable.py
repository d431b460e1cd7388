"""Finished traces of an artifact, to be edited one at a time; held are places in the file, not texts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from longstep.artifacts import RowFile
from longstep.curate.edits import Edit, Edited, FinishedTrace, thought_of
from longstep.types import Completion, Problem
from longstep.verify.keys import same_answer


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a trace stands, whose it is and what it came to."""

    place: int
    problem_id: str
    sample_index: int
    answer: str


class EditableTraces:
    """Completions that think, end and were judged; each problem's in their order.

    A trace's donor is the next trace in the file, from its end on again at the start, of another problem with another
    answer, so that it depends on nothing drawn.
    """

    def __init__(self, rows: RowFile[Completion], problems: Mapping[str, Problem]) -> None:
        """Read the file once; completions of other problems are left out."""
        self._rows, self._problems = rows, problems
        self.placed: list[Placed] = []
        for place, row in rows:
            answer = None if row.verdict is None else row.verdict.answer
            if row.problem_id not in problems or row.finish_reason != "stop" or answer is None:
                continue
            if thought_of(row.text) is not None:
                self.placed.append(Placed(place, row.problem_id, row.sample_index, answer))
        self._alike = len({at.answer for at in self.placed}) < 2

    def trace(self, number: int) -> FinishedTrace:
        """One of them."""
        at = self.placed[number]
        row, gold = self._rows.at(at.place), self._problems[at.problem_id].answer
        thought = thought_of(row.text)
        assert thought is not None and row.verdict is not None
        # Edits compare texts, so an answer that is right in other words is the key.
        return FinishedTrace(thought, gold if row.verdict.status == "correct" else at.answer, gold)

    def edited(self, number: int, edit: Edit, seed: int) -> Edited | None:
        """One of them after an edit; ``None`` where there is nothing to edit."""
        at = self.placed[number]
        rng = random.Random(f"edit/{seed}/{at.problem_id}/{at.sample_index}")
        donor = self._donor(number) if edit.swaps else None
        return edit.apply(self.trace(number), rng, None if donor is None else self.trace(donor))

    def _donor(self, number: int) -> int | None:
        own = self.placed[number]
        for step in range(1, 1 if self._alike else len(self.placed)):
            other = (number + step) % len(self.placed)
            found = self.placed[other]
            if found.problem_id == own.problem_id or found.answer == own.answer:
                continue
            if not same_answer(found.answer, own.answer):
                return other
        return None
