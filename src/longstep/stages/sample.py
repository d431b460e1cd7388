"""Stage ``sample``: draw completions, verify each, rate difficulty, keep what is asked for.

One stage serves the rater (pass rates), the teacher (verified traces) and the model's own attempts (for pairs).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, Literal

from longstep.artifacts import read_rows, write_json, write_rows
from longstep.config import Field, UserError
from longstep.curate import pass_rates, with_pass_rates
from longstep.generate import Sampling
from longstep.stages.base import PARTIAL, Artifact, Context, Stage, Where
from longstep.stages.sampling import AnySampler, ByEndpoint, draw, open_sampler
from longstep.types import Completion, Problem


class Sample(Stage):
    """Completions to problems.

    Attributes:
        by: who samples: a model, the worked solutions, or an endpoint.
        data: problems.
        where: which of them.
        sampling: temperature, tokens and samples per problem.
        rate: write each problem's share of verified-correct samples onto it (the rater of Light-R1).
        keep: which completions are kept as rows; the others are only counted.
        per_problem: keep at most this many completions of a problem, picked at random (Light-R1 keeps one).
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["sample"] = "sample"
    by: AnySampler
    data: str
    where: Where = Where()
    sampling: Sampling = Sampling()
    rate: bool = False
    keep: Literal["all", "correct"] = "all"
    per_problem: int | None = Field(None, ge=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The problems and, unless an endpoint samples, the model."""
        yield self.data, "rows"
        if not isinstance(self.by, ByEndpoint) and self.by.model is not None:
            yield self.by.model, "model"

    def check(self) -> Iterator[str]:
        """A seed of its own, which would have no effect."""
        if self.sampling.seed:
            yield "sampling.seed: has no effect: every stage derives its own from the recipe's seed"

    def run(self, context: Context) -> None:
        """Draw, verify, rate, keep."""
        problems = chosen_problems(context, self.data, self.where)
        generator, prompts = open_sampler(self.by, problems, context)
        sampling = self.sampling.model_copy(update={"seed": context.seed})
        total = len(problems) * sampling.samples
        progress = context.progress(context.name, total, "completion")
        drawn = draw(
            generator,
            prompts,
            problems,
            sampling,
            context.folder / PARTIAL / "completions.jsonl",
            progress,
        )
        context.cost.tokens_generated += sum(len(row.token_ids) for row in drawn)
        if self.rate:
            problems = with_pass_rates(problems, pass_rates(drawn))
        kept = self._kept(drawn, context.seed)
        if not kept:
            counts = Counter(row.verdict.status for row in drawn if row.verdict)
            raise UserError(
                f"{context.name}: no completion was kept (keep: {self.keep}); verdicts: {dict(counts)}"
            )
        out = context.fresh_out()
        write_rows(out / "problems.jsonl", problems)
        write_rows(out / "completions.jsonl", kept)
        write_json(out / "counts.json", _counts(drawn, kept, generator.describe()))

    def _kept(self, drawn: Sequence[Completion], seed: int) -> list[Completion]:
        wanted = [
            c for c in drawn if self.keep == "all" or (c.verdict and c.verdict.status == "correct")
        ]
        if self.per_problem is None:
            return wanted
        groups: dict[str, list[Completion]] = {}
        for row in wanted:
            groups.setdefault(row.problem_id, []).append(row)
        kept: list[Completion] = []
        for problem_id, group in groups.items():
            number = min(self.per_problem, len(group))
            picked = random.Random(f"{seed}:{problem_id}").sample(group, number)
            kept.extend(sorted(picked, key=lambda row: row.sample_index))
        return kept


def _counts(
    drawn: Sequence[Completion], kept: Sequence[Completion], engine: object
) -> dict[str, object]:
    verdicts = Counter(row.verdict.status for row in drawn if row.verdict)
    return {
        "drawn": len(drawn),
        "kept": len(kept),
        "verdicts": dict(sorted(verdicts.items())),
        "engine": engine,
    }


def chosen_problems(
    context: Context, data: str, where: Where, usable: Collection[str] | None = None
) -> list[Problem]:
    """Problems of an artifact inside ``where``; only those with a ``usable`` id, when given.

    Raises:
        UserError: none is left, with the count before the selection.
    """
    everything = list(read_rows(context.rows(data, "problems.jsonl"), Problem))
    if usable is not None:
        everything = [problem for problem in everything if problem.id in usable]
    chosen = [p for p in everything if where.keeps(p.pass_rate, p.difficulty)]
    if not chosen:
        rated = sum(p.pass_rate is not None for p in everything)
        raise UserError(
            f"{context.name}: where {where.model_dump(exclude_defaults=True)} leaves 0 of {len(everything)} problems "
            f"of {data} ({rated} have a pass rate); widen it or rate the problems first"
        )
    if where.count is not None and where.count < len(chosen):
        drawn = random.Random(f"{context.seed}:where").sample(range(len(chosen)), where.count)
        return [chosen[index] for index in sorted(drawn)]
    return chosen
