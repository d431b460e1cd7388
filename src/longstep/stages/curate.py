"""Stage ``curate``: sources in, clean problems out, and a funnel that says what was dropped where and why."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, UserError
from longstep.curate import AnyFilter, Decontaminate, Funnel, drop_duplicates
from longstep.evaluate import Benchmark, resolve
from longstep.problems import AnySource
from longstep.stages.base import Artifact, Context, Stage, local_data
from longstep.types import Problem
from longstep.verify import canonical, judge_gold

#: What changes how LaTeX looks and not what it says.
_SPELLING = re.compile(r"\\(?:left|right|text|mathrm|[,!; ])|[\s{}$]")


class Curate(Stage):
    """Problems from sources.

    Attributes:
        sources: where problems come from, in order; the order decides which of two duplicates stays.
        filters: applied one after the other.
        decontaminate: benchmarks whose questions must not be trained on: names, or whole benchmarks.
        contamination: how long a shared run of words counts.
        instruction: added to every prompt in the end, as benchmarks add theirs; nothing is compared with it.
        spoil_keys: share of problems that get another problem's answer, to see what a method makes of wrong keys; the
            right ones are kept in ``spoiled.jsonl``.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["curate"] = "curate"
    sources: tuple[AnySource, ...] = Field(min_length=1)
    filters: tuple[AnyFilter, ...] = ()
    decontaminate: tuple[str | Benchmark, ...] = ()
    contamination: Decontaminate = Decontaminate()
    instruction: str = ""
    spoil_keys: float = Field(default=0.0, ge=0, lt=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Files and folders among the sources are inputs: their content enters the fingerprint."""
        for source in self.sources:
            yield from local_data(source.model_dump(mode="json"))
        for member in self.decontaminate:
            yield from local_data(resolve(member).source)

    def run(self, context: Context) -> None:
        """Collect, filter, drop duplicates and contaminated problems."""
        funnel = Funnel()
        collected = [
            p for n, source in enumerate(self.sources) for p in source.load(context.seed + n)
        ]
        problems = funnel.record("collect", collected, [])
        for config in self.filters:
            problems = funnel.apply(config.kind, config.build(judge_gold), problems)
        problems = funnel.record("duplicates", *drop_duplicates(problems, answer_key))
        if self.decontaminate:
            questions = [p for member in self.decontaminate for p in resolve(member).questions()]
            problems = funnel.apply("decontaminate", self.contamination.build(questions), problems)
        out = context.fresh_out()
        write_json(out / "funnel.json", funnel.rows())
        write_rows(out / "dropped.jsonl", funnel.dropped_rows())
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


def answer_key(answer: str) -> str | None:
    """Answers with one key are one answer: exact values where there are any, else the LaTeX without its spelling."""
    value = canonical(answer)
    return value if value is not None else _SPELLING.sub("", answer.replace("dfrac", "frac"))


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
