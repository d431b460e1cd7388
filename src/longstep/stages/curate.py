"""Stage ``curate``: sources in, clean problems out, and a funnel that says what was dropped where and why."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, UserError
from longstep.context import LEDGER, Artifact, Context
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow
from longstep.curate import (
    AnyFilter,
    Decontaminate,
    Duplicates,
    Funnel,
    drop_duplicates,
    queue_of,
)
from longstep.curate.queue import FILE as QUEUE
from longstep.evaluate import Benchmark, resolve
from longstep.formats.quarantine import quarantined_bad
from longstep.jobs.contamination import by_fingerprint, decontaminated
from longstep.problems import AnySource
from longstep.problems.columns import Table
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage, local_data
from longstep.types import Problem
from longstep.verify import judge_gold
from longstep.verify.keys import answer_key

#: Rows of files and hub datasets that could not be read, with place, reason and the row as it was.
QUARANTINE = "quarantine.jsonl"


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
        spoil_keys: share of problems that get another problem's answer, to see what a method makes of wrong keys; the
            right ones are kept in ``spoiled.jsonl``.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["curate"] = "curate"
    sources: tuple[AnySource, ...] = Field(min_length=1)
    filters: tuple[AnyFilter, ...] = ()
    duplicates: Duplicates = Duplicates()
    decontaminate: tuple[str | Benchmark, ...] = ()
    contamination: Decontaminate = Decontaminate()
    instruction: str = ""
    spoil_keys: float = Field(default=0.0, ge=0, lt=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Files and folders among the sources are inputs: their content enters the fingerprint."""
        for source in self.sources:
            yield from local_data(source.model_dump(mode="json"))
        for member in self.decontaminate:
            if not by_fingerprint(member, self.contamination.rule):
                yield from local_data(resolve(member).source)

    def run(self, context: Context) -> None:
        """Collect, filter, drop duplicates and contaminated problems."""
        funnel = Funnel()
        problems, unread = self._collect(funnel, context.seed)
        for config in self.filters:
            problems = funnel.apply(config.kind, config.build(judge_gold), problems)
        found = drop_duplicates(problems, answer_key, self.duplicates)
        problems = funnel.record("duplicates", *found)
        out = context.fresh_out()
        (out / QUARANTINE).write_bytes(b"".join(unread))
        if self.decontaminate:
            problems, ledger, hits = decontaminated(
                funnel, problems, self.decontaminate, self.contamination
            )
            write_json(out / LEDGER, ledger)
            write_rows(out / "hits.jsonl", hits)
        write_json(out / "funnel.json", funnel.rows())
        write_rows(out / "dropped.jsonl", funnel.dropped_rows())
        write_rows(out / QUEUE, queue_of(funnel.dropped))
        if not problems:
            steps = "; ".join(
                f"{row['step']} kept {row['kept']}, dropped {row['dropped']}"
                for row in funnel.rows()
            )
            raise UserError(
                f"{context.name}: no problem is left after curation: {steps}; see {out / 'dropped.jsonl'}"
            )
        problems = [replace(p, prompt=p.prompt + self.instruction) for p in problems]
        if self.spoil_keys:
            problems, spoiled = spoil(problems, self.spoil_keys, context.seed)
            write_rows(out / "spoiled.jsonl", spoiled)
        write_rows(out / "problems.jsonl", problems)

    def _collect(self, funnel: Funnel, seed: int) -> tuple[list[Problem], list[bytes]]:
        """Problems of all sources, and rows of tables that are none, as lines for the quarantine."""
        problems: list[Problem] = []
        unread: list[bytes] = []
        reasons: Counter[str] = Counter()
        for number, source in enumerate(self.sources):
            if not isinstance(source, Table):
                problems += source.load(seed + number)
                continue
            for row in source.read():
                if isinstance(row, Problem):
                    problems.append(row)
                else:
                    reasons[f"bad row ({row.error.field})" if row.error.field else "bad row"] += 1
                    unread.append(quarantined_bad(source.place, row))
        step = {"step": "collect", "kept": len(problems), "dropped": len(unread)}
        funnel.steps.append({**step, "reasons": dict(sorted(reasons.items()))})
        return problems, unread

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


def spoil(
    problems: Sequence[Problem], share: float, seed: int
) -> tuple[list[Problem], list[dict[str, str]]]:
    """Give a share of the problems the answer of another one that differs."""
    generator = random.Random(f"{seed}:spoil")
    chosen = set(generator.sample(range(len(problems)), round(share * len(problems))))
    answers = sorted({problem.answer for problem in problems})
    if len(answers) < 2:
        raise UserError("spoil_keys: all problems have the same answer, so none can be wrong")
    made: list[Problem] = []
    spoiled: list[dict[str, str]] = []
    for index, problem in enumerate(problems):
        if index in chosen:
            wrong = next(a for a in generator.sample(answers, len(answers)) if a != problem.answer)
            spoiled.append({"id": problem.id, "right": problem.answer, "wrong": wrong})
            problem = replace(problem, answer=wrong)
        made.append(problem)
    return made, spoiled
