"""One draw of a stage: completions with their verdicts, streamed; what was drawn survives a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from longstep.draw.verdicts import Verdicts, slim_rows
from longstep.generate import Generator, Headway, Prompt, Sampling, Watch, unwatched
from longstep.progress import Progress
from longstep.types import Completion, Problem
from longstep.verify import judge


@dataclass(frozen=True)
class Drawing:
    """What is asked of whom, and where what came of it is kept.

    Attributes:
        generator: draws.
        prompts: what is asked.
        problems: by id, to verify the completions.
        sampling: how.
        journal: the generator's; the verdicts lie beside it.
    """

    generator: Generator
    prompts: Sequence[Prompt]
    problems: Mapping[str, Problem]
    sampling: Sampling
    journal: Path

    def rows(self, watch: Watch = unwatched) -> Iterator[Completion]:
        """Every completion in canonical order with its verdict: drawn the first time, read back from then on."""
        drawn = self.generator.draw(self.prompts, self.sampling, self.journal, watch)
        with closing(Verdicts(self._verdicts)) as known:
            for row in drawn:
                yield replace(row, verdict=known.of(self.problems[row.problem_id], row))
            known.end()

    def slim(self) -> Iterator[Completion]:
        """As ``rows``, after a whole pass over them, without ids and texts."""
        return slim_rows(self._verdicts)

    @property
    def _verdicts(self) -> Path:
        return self.journal.with_suffix(".verdicts.jsonl")


class ShownProgress:
    """Shows a draw on a progress line."""

    def __init__(self, progress: Progress) -> None:
        """Take the line."""
        self._progress = progress
        self._facts: Mapping[str, float] = {}

    def __call__(self, headway: Headway) -> None:
        """Show how far it is; what was read back does not count for the speed."""
        line = self._progress
        line.unit, line.total, self._facts = headway.unit, headway.total, headway.facts
        if line.done < headway.replayed:
            line.start_at(headway.replayed)
        line.advance(headway.done - line.done, headway.facts)

    def finish(self) -> None:
        """Show the end."""
        self._progress.finish(self._facts)


def verified(problem: Problem, completion: Completion) -> Completion:
    """The completion with its verdict."""
    return replace(completion, verdict=judge(problem, completion.text, completion.finish_reason))
