"""Stage ``pairs``: published preference pairs as they are, to rows that ``prefer`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow
from longstep.foresight import Ahead, Foreseen
from longstep.jobs.base import How, Task
from longstep.jobs.first_rows import first_fault
from longstep.jobs.merged import PAIRS, PROBLEMS, make_pairs, told
from longstep.jobs.published import Published
from longstep.jobs.traces import pair_work
from longstep.progress import to_stderr
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage


class Pairs(Published, Stage):
    """Preference pairs that somebody published, in any known layout; ``verified`` asks for a right and a wrong side."""

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["pairs"] = "pairs"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Problems and pairs."""
        return Foreseen(files=frozenset({PROBLEMS, PAIRS}))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """First rows that cannot be read, or hold no pair."""
        yield from first_fault(self, lambda job: pair_work(self, job))

    def run(self, context: Context) -> None:
        """Read, judge, merge."""
        files = self.files(context.folder / PARTIAL)
        task = Task(context.folder, files, self.encoding, How(progress=context.progress))
        counts = make_pairs(self, task, context.fresh_out())
        to_stderr(f"{context.name}: {told(counts)}\n")

    def estimate(self, given: Estimator) -> Estimate:
        """A pair a row."""
        count = given.rows(given.counted(self.rows(given.sizes), self.data))
        flow = Flow(count, (0.0, 1.0), count, given.plan.trace_tokens)
        return Estimate(flow, given.planned(rows=count))

    def blocks(self, out: Path) -> Iterator[Block]:
        """What was dropped and why, and the verdicts."""
        yield from shown.funnel(out)
        yield from shown.verdicts(out)
