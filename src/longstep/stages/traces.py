"""Stage ``traces``: published reasoning traces as they are, to rows that ``sft`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow
from longstep.foresight import Ahead, Foreseen
from longstep.formats.traces import TrainedTurns
from longstep.jobs.base import How, Task
from longstep.jobs.first_rows import first_fault
from longstep.jobs.merged import COMPLETIONS, PROBLEMS, make_traces, told
from longstep.jobs.published import Published
from longstep.jobs.traces import trace_work
from longstep.progress import to_stderr
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage


class Traces(Published, Stage):
    """Traces that somebody published, in any known layout: messages, ShareGPT, s1K, OpenR1, ...

    Attributes:
        turns: which of the assistant's turns in a conversation are trained on: the last, or all, each as a row with the
            turns before it.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["traces"] = "traces"
    turns: TrainedTurns = "last"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Problems and completions, with verdicts where there are keys."""
        return Foreseen(files=frozenset({PROBLEMS, COMPLETIONS}))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """First rows that cannot be read, or hold nothing to learn from."""
        yield from first_fault(self, lambda job: trace_work(self, job, self.turns))

    def run(self, context: Context) -> None:
        """Read, judge, merge."""
        files = self.files(context.folder / PARTIAL)
        task = Task(context.folder, files, self.encoding, How(progress=context.progress))
        counts = make_traces(self, self.turns, task, context.fresh_out())
        to_stderr(f"{context.name}: {told(counts)}\n")

    def estimate(self, given: Estimator) -> Estimate:
        """A completion a row."""
        count = given.rows(given.counted(self.rows(given.sizes), self.data))
        flow = Flow(count, (0.0, 1.0), count, given.plan.trace_tokens)
        return Estimate(flow, given.planned(rows=count))

    def blocks(self, out: Path) -> Iterator[Block]:
        """What was dropped and why, and the verdicts."""
        yield from shown.funnel(out)
        yield from shown.verdicts(out)
