"""Stage ``sample``: draw completions, verify each, rate difficulty, audit keys, keep what is asked for.

One stage serves the rater (pass rates), the teacher (verified traces) and the model's own attempts (for pairs).

Samples are drawn in rounds. A fixed number is one round; ``adaptive`` draws a round at a time for the problems that are
still open; ``audit.extra`` draws one more for those that nobody solved. Each round has its own seed and its own log in
``partial/``, so a killed stage continues where it was and ends with the same rows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, UserError, nearest
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow, inside, share
from longstep.curate import pass_rates, with_pass_rates
from longstep.curate.adaptive import Adaptive
from longstep.curate.audit import (
    KeyAudit,
    audit_keys,
    conflict_suspects,
    conflicting_golds,
    majorities,
    twins_of,
    votes_of,
)
from longstep.curate.difficulty import rated
from longstep.curate.duplicates import duplicate_key
from longstep.curate.queue import FILE, Doubt, queue
from longstep.draw.rounds import Rounds, draw_adaptively
from longstep.draw.samplers import AnySampler, ByModel, ByReference, open_sampler
from longstep.generate import Sampling
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage
from longstep.types import Completion, Problem, Verdict
from longstep.verify import VERIFIERS, judge
from longstep.verify.keys import same_answer


class Sample(Stage):
    """Completions to problems.

    Attributes:
        by: who samples: a model, the worked solutions, an endpoint, or a server started for the stage.
        data: problems.
        where: which of them.
        sampling: temperature, tokens and samples per problem.
        adaptive: draw in rounds until a band of pass rates is decided for each problem, instead of a fixed number;
            needs ``rate``.
        rate: write each problem's share of verified-correct samples onto it (the rater of Light-R1), and the counts
            and intervals into ``rates.jsonl``.
        audit: when the key of a never-solved problem is suspect. Suspects, and rows with one question and conflicting
            golds, are named in ``queue.jsonl``; all stay, for ``select`` to set aside.
        second: another verifier that judges every completion too; where it differs, the problem joins ``queue.jsonl``.
        keep: which completions are kept as rows; the others are only counted.
        per_problem: keep at most this many completions of a problem, picked at random (Light-R1 keeps one).
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["sample"] = "sample"
    by: AnySampler
    data: str
    where: Where = Where()
    sampling: Sampling = Sampling()
    adaptive: Adaptive | None = None
    rate: bool = False
    audit: KeyAudit = KeyAudit()
    second: str = ""
    keep: Literal["all", "correct"] = "all"
    per_problem: int | None = Field(default=None, ge=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The problems and, unless a server samples, the model."""
        yield self.data, "rows"
        if isinstance(self.by, ByModel | ByReference) and self.by.model is not None:
            yield self.by.model, "model"

    def check(self) -> Iterator[str]:
        """Settings that would have no effect."""
        if self.sampling.seed:
            yield "sampling.seed: has no effect: every stage derives its own from the recipe's seed"
        if self.adaptive is not None and self.sampling.samples != 1:
            yield "sampling.samples: has no effect with adaptive; set adaptive.max"
        if self.adaptive is not None and not self.rate:
            yield "adaptive: has no effect without rate: true"
        if self.audit.extra and not self.rate:
            yield "audit.extra: has no effect without rate: true"
        if self.second and ":" not in self.second and self.second not in VERIFIERS:
            close = nearest(self.second, VERIFIERS)
            hint = f"did you mean {close!r}? " if close else ""
            yield f"second: unknown verifier {self.second!r}; {hint}(choices: {', '.join(VERIFIERS)})"

    def run(self, context: Context) -> None:
        """Draw, verify, rate, audit, keep."""
        problems = chosen_problems(context, self.data, self.where)
        with closing(open_sampler(self.by, problems, context)) as opened:
            rounds = Rounds(opened.generator, opened.prompts, problems, self.sampling, context)
            facts = self._draw(rounds)
        drawn = rounds.completions()
        said = opened.generator.describe()
        counted = sum(len(row.token_ids) for row in drawn)
        context.cost.tokens_generated += counted or int(said.get("completion_tokens", 0))
        rates = pass_rates(drawn)
        if self.rate:
            problems = with_pass_rates(problems, rates)
        kept = self._kept(drawn, context.seed)
        if not kept:
            counts = Counter(row.verdict.status for row in drawn if row.verdict)
            raise UserError(
                f"{context.name}: no completion was kept (keep: {self.keep}); verdicts: {dict(counts)}"
            )
        doubts, facts["audit"] = self._doubts(problems, drawn)
        out = context.fresh_out()
        context.hand_on_ledger(self.data)
        write_rows(out / "problems.jsonl", problems)
        write_rows(out / "completions.jsonl", kept)
        write_rows(out / FILE, doubts)
        if self.rate:
            write_rows(out / "rates.jsonl", (rated(p.id, rates[p.id]) for p in problems))
        facts |= {"engine": said, "queued": len(doubts)}
        write_json(out / "counts.json", {**_counts(drawn, kept), **facts})

    def _draw(self, rounds: Rounds) -> dict[str, Any]:
        """Draw what is asked for; returns what is to be said about it."""
        facts: dict[str, Any] = {}
        if self.adaptive is None:
            rounds.draw(rounds.ids, self.sampling.samples)
        else:
            facts["adaptive"] = draw_adaptively(rounds, self.adaptive)
        if self.rate and self.audit.extra:
            rates = pass_rates(rounds.completions())
            unsolved = [
                each for each in rounds.ids if rates[each].scored and not rates[each].correct
            ]
            rounds.draw(unsolved, self.audit.extra)
            rates = pass_rates(rounds.completions())
            facts["rechecked"] = {
                "problems": len(unsolved),
                "solved": sum(rates[each].correct > 0 for each in unsolved),
            }
        return facts

    def _doubts(
        self, problems: Sequence[Problem], drawn: Sequence[Completion]
    ) -> tuple[list[Doubt], dict[str, Any]]:
        """What a person should look at, and how far the rater's suspicion can be believed."""
        groups = list(conflicting_golds(problems, duplicate_key, same_answer))
        votes = votes_of(drawn, same_answer)
        suspects = audit_keys(problems, votes, self.audit, same_answer, twins_of(groups))
        facts = {"suspects": len(suspects), "majorities": majorities(votes.values(), self.audit)}
        suspects += conflict_suspects(groups)
        second: dict[tuple[str, int], Verdict] = {}
        if self.second:
            by_id = {p.id: replace(p, verifier=self.second) for p in problems}
            for row in drawn:
                verdict = judge(by_id[row.problem_id], row.text, row.finish_reason)
                second[row.problem_id, row.sample_index] = verdict
        return queue(problems, suspects, drawn, second), facts

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

    def estimate(self, given: Estimator) -> Estimate:
        """What is drawn, at the price of whoever draws, and the share of it that is kept."""
        data = given.input(self.data)
        problems = given.rows(data.problems * share(self.where, data))
        each = self.adaptive.expected_samples() if self.adaptive else self.sampling.samples
        mean = given.mean(self.sampling.max_tokens)
        kept = drawn = problems * each
        if self.keep == "correct":
            kept *= given.plan.correct
        if self.per_problem is not None:
            kept = min(kept, problems * self.per_problem)
        rates = (0.0, 1.0) if self.rate else inside(self.where, data.rates)
        longest, slots = self.sampling.max_tokens, self.sampling.batch_size
        work = Decoding(drawn, given.plan.prompt_tokens, mean, longest, slots)
        planned = given.planned(self.by.spends(work, given), rows=kept)
        return Estimate(Flow(problems, rates, kept, mean), planned)

    def blocks(self, out: Path) -> Iterator[Block]:
        """Pass rates, unless they are only handed on; verdicts, and what a person should look at."""
        if self.rate:
            yield from shown.pass_rates(out)
        yield from shown.verdicts(out)
        yield from shown.queue(out)


def _counts(drawn: Sequence[Completion], kept: Sequence[Completion]) -> dict[str, Any]:
    verdicts = Counter(row.verdict.status for row in drawn if row.verdict)
    return {
        "drawn": len(drawn),
        "kept": len(kept),
        "verdicts": dict(sorted(verdicts.items())),
    }
