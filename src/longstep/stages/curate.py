"""Stage ``curate``: sources in, clean problems out, and a funnel that says what was dropped where and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import read_rows, write_rows
from longstep.config import Field, UserError
from longstep.context import Artifact, Context
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow
from longstep.curate import AnyFilter, Decontaminate, Duplicates
from longstep.curate.controls import AnyControl
from longstep.evaluate import Benchmark, benchmark_faults, resolve, unloadable
from longstep.foresight import Ahead, Foreseen
from longstep.jobs.base import How, Task
from longstep.jobs.benchmarks import by_fingerprint, known
from longstep.jobs.curation import DROPPED, PROBLEMS, Curation, Rules
from longstep.problems import AnySource
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage, local_data
from longstep.types import Problem


class Curate(Stage):
    """Problems from sources.

    Attributes:
        sources: where problems come from, in order; the order decides which of two duplicates stays. Rows of a file
            or dataset that cannot be read go to ``quarantine.jsonl``.
        filters: applied one after the other.
        duplicates: what counts as one; groups with contradicting answers go whole.
        decontaminate: benchmarks whose questions must not be trained on: names, or whole benchmarks. A name with a
            shipped fingerprint needs no download.
        contamination: how rows and questions are compared, and which classes of matches are removed.
        instruction: added to every prompt in the end, as benchmarks add theirs; nothing is compared with it.
        controls: done to the clean problems on purpose, to see what a method makes of it:
            ``{kind: spoil_keys, share: 0.1}`` gives a share of them another problem's answer.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["curate"] = "curate"
    sources: tuple[AnySource, ...] = Field(min_length=1)
    filters: tuple[AnyFilter, ...] = ()
    duplicates: Duplicates = Duplicates()
    decontaminate: tuple[str | Benchmark, ...] = ()
    contamination: Decontaminate = Decontaminate()
    instruction: str = ""
    controls: tuple[AnyControl, ...] = ()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Files and folders among the sources are inputs: their content enters the fingerprint."""
        for source in self.sources:
            yield from local_data(source.model_dump(mode="json"))
        for member in self.decontaminate:
            if not self._hashed(member) and not any(benchmark_faults(member, "")):
                yield from local_data(resolve(member).source)

    def datasets(self) -> Iterator[str]:
        """Those of the sources; what rows are compared with is none."""
        for source in self.sources:
            if source.called:
                yield Path(source.called).name if Path(source.called).exists() else source.called

    def check(self) -> Iterator[str]:
        """Benchmarks that nobody knows."""
        for place, member in enumerate(self.decontaminate):
            if not self._hashed(member):
                yield from benchmark_faults(member, f"decontaminate.{place}")

    def absent(self) -> Iterator[str]:
        """Benchmarks whose text cannot be had here."""
        for place, member in enumerate(self.decontaminate):
            if not self._hashed(member):
                yield from unloadable(member, f"decontaminate.{place}")

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Problems, with what any of the sources tells of them."""
        lacks = frozenset.intersection(*(source.lacks() for source in self.sources))
        return Foreseen(files=frozenset({PROBLEMS}), lacks=lacks)

    def run(self, context: Context) -> None:
        """Collect, filter, drop duplicates and contaminated problems."""
        against = tuple(known(self._members(), self.contamination.rule))
        rules = Rules(
            self.filters, self.duplicates, against, self.contamination.rule, self.instruction
        )
        task = Task(context.folder, (), "utf-8", How(progress=context.progress))
        curation = Curation(task, rules)
        funnel = curation.run(self.sources, context.seed)
        out = context.fresh_out()
        curation.write(out)
        if not funnel.rows()[-1]["kept"]:
            raise UserError(
                f"{context.name}: no problem is left after curation: {funnel.told()}; see {out / DROPPED}"
            )
        for control in self.controls:
            _control(control, out, context.seed)

    def _members(self) -> list[str | Benchmark]:
        """The benchmarks: names where the shipped hashes do, whole ones otherwise."""
        return [
            member if self._hashed(member) else resolve(member) for member in self.decontaminate
        ]

    def _hashed(self, member: str | Benchmark) -> bool:
        return by_fingerprint(member, self.contamination.rule)

    def estimate(self, given: Estimator) -> Estimate:
        """What its sources yield, less the share that curation drops."""
        collected = sum(
            given.counted(source.rows(given.sizes), source.called or given.name)
            for source in self.sources
        )
        kept = given.rows(collected * given.plan.clean)
        return Estimate(Flow(problems=kept), given.planned(rows=kept))

    def blocks(self, out: Path) -> Iterator[Block]:
        """What was dropped where and why, and what a person should look at."""
        yield from shown.funnel(out)
        yield from shown.queue(out)


def _control(control: AnyControl, out: Path, seed: int) -> None:
    """Change the clean problems, and write down what was changed."""
    notes: list[dict[str, str]] = []

    def changed() -> Iterator[Problem]:
        for problem, note in control.apply(lambda: read_rows(out / PROBLEMS, Problem), seed):
            if note is not None:
                notes.append(note)
            yield problem

    write_rows(out / PROBLEMS, changed())
    write_rows(out / control.file, notes)
