"""Stage ``curate``: sources or rows in, clean problems out, and a funnel that says what was dropped where and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import read_rows, write_rows
from longstep.config import UserError, model_validator
from longstep.context import BESIDE, Artifact, Context, carry_along
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
from longstep.problems.stored import StoredProblems
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage, local_data
from longstep.types import Problem


class Curate(Stage):
    """Problems from sources, or those of another stage.

    Attributes:
        data: an artifact whose problems are curated, before those of ``sources`` and like them: the question is judged.
            Completions and pairs beside them are carried along with the problems that stay.
        sources: where problems come from, in order; the order decides which of two duplicates stays. Rows of a file
            or dataset that cannot be read go to ``quarantine.jsonl``.
        filters: applied one after the other.
        duplicates: what counts as one; groups with contradicting answers go whole.
        decontaminate: benchmarks whose questions must not be trained on: names, or whole benchmarks. A name with a
            shipped fingerprint needs no download.
        contamination: how rows and questions are compared, and which classes of matches are removed.
        instruction: added to every prompt in the end, as benchmarks add theirs; nothing is compared with it.
        controls: done to the clean problems on purpose, to see what a method makes of it:
            ``{kind: spoil_keys, share: 0.1}`` gives a share of them another problem's answer, ``{kind: tell_keys}``
            puts each one's answer into its question.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["curate"] = "curate"
    data: str | None = None
    sources: tuple[AnySource, ...] = ()
    filters: tuple[AnyFilter, ...] = ()
    duplicates: Duplicates = Duplicates()
    decontaminate: tuple[str | Benchmark, ...] = ()
    contamination: Decontaminate = Decontaminate()
    instruction: str = ""
    controls: tuple[AnyControl, ...] = ()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Files and folders among the sources are inputs: their content enters the fingerprint."""
        if self.data is not None:
            yield self.data, "rows"
        for source in self.sources:
            yield from local_data(source.model_dump(mode="json"))
        for member in self.decontaminate:
            if not self._hashed(member) and not any(benchmark_faults(member, "")):
                yield from local_data(resolve(member).source)

    @model_validator(mode="after")
    def _some(self) -> Curate:
        if self.data is None and not self.sources:
            raise ValueError("sources: expected at least 1 entry, got 0; or give data")
        return self

    def datasets(self) -> Iterator[str]:
        """Those of the sources; what rows are compared with is none."""
        for source in self.sources:
            if source.called:
                yield Path(source.called).name if Path(source.called).exists() else source.called

    def check(self) -> Iterator[str]:
        """Benchmarks that nobody knows, and keys changed under verdicts."""
        if self.data is not None and any(control.rekeys for control in self.controls):
            yield "controls: change keys that the completions beside data were judged by; curate sources instead"
        for place, member in enumerate(self.decontaminate):
            if not self._hashed(member):
                yield from benchmark_faults(member, f"decontaminate.{place}")

    def absent(self) -> Iterator[str]:
        """Benchmarks whose text cannot be had here."""
        for place, member in enumerate(self.decontaminate):
            if not self._hashed(member):
                yield from unloadable(member, f"decontaminate.{place}")

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Problems, with what any of the sources tells of them, and what is carried along."""
        found = [source.lacks() for source in self.sources]
        carried: frozenset[str] = frozenset()
        if self.data is not None:
            known = ahead.rows(self.data)
            if known.files is None:
                return Foreseen()
            found.append(known.lacks)
            carried = known.files & BESIDE.keys()
        return Foreseen(files=carried | {PROBLEMS}, lacks=frozenset.intersection(*found))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Rows without problems."""
        if self.data is not None:
            yield from ahead.files("data", self.data, PROBLEMS)

    def run(self, context: Context) -> None:
        """Collect, filter, drop duplicates and contaminated problems."""
        against = tuple(known(self._members(), self.contamination.rule))
        rules = Rules(
            self.filters, self.duplicates, against, self.contamination.rule, self.instruction
        )
        task = Task(context.folder, (), "utf-8", How(progress=context.progress))
        curation = Curation(task, rules)
        funnel = curation.run([*self._stored(context), *self.sources], context.seed)
        out = context.fresh_out()
        if self.data is not None:
            context.hand_on_ledger(
                self.data
            )  # that of this stage, if it compares, is written over it
        curation.write(out)
        if not funnel.rows()[-1]["kept"]:
            raise UserError(
                f"{context.name}: no problem is left after curation: {funnel.told()}; see {out / DROPPED}"
            )
        for control in self.controls:
            _control(control, out, context.seed)
        if self.data is not None:
            kept = {problem.id for problem in read_rows(out / PROBLEMS, Problem)}
            carry_along(context.artifact(self.data), out, kept)

    def _stored(self, context: Context) -> list[StoredProblems]:
        """The problems of ``data``."""
        if self.data is None:
            return []
        return [StoredProblems(path=context.rows(self.data, PROBLEMS))]

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
        data = Flow() if self.data is None else given.input(self.data)
        clean = given.plan.clean
        kept = given.rows((collected + data.problems) * clean)
        flow = replace(data, problems=kept, completions=data.completions * clean)
        return Estimate(flow, given.planned(rows=kept))

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
    if notes:
        write_rows(out / control.file, notes)
