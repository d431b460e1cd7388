"""Stage ``sample``: draw completions, verify each, rate difficulty, audit keys, keep what is asked for.

One stage serves the rater (pass rates), the teacher (verified traces) and the model's own attempts (for pairs).

Samples are drawn in rounds. A fixed number is one round; ``adaptive`` draws a round at a time for the problems that are
still open; ``audit.extra`` draws one more for those that nobody solved. Each round has its own seed and its own log in
``partial/``, so a killed stage continues where it was and ends with the same rows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, UserError
from longstep.context import PARTIAL, Artifact, Context, Where, chosen_problems
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow, inside, share
from longstep.curate import with_pass_rates
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
from longstep.draw.engines import desk_of
from longstep.draw.rounds import Rounds, draw_adaptively
from longstep.draw.samplers import AnyEngine
from longstep.foresight import Ahead, Foreseen
from longstep.generate import Sampling
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage
from longstep.types import Completion, Problem, Status, Verdict
from longstep.verify import judge, verifier_fault
from longstep.verify.keys import same_answer

#: The verdict on completions that are kept by their verdict.
_STATUS: Mapping[str, Status] = {"correct": "correct", "wrong": "incorrect"}


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
        second: another verifier, such as ``math(extract=qwen-math)``, that judges every completion too; where it
            differs, the problem joins ``queue.jsonl``.
        keep: which completions are kept as rows; the others are only counted. ``wrong`` ones are finished answers that
            are not the key, for controls.
        per_problem: keep at most this many completions of a problem, picked at random (Light-R1 keeps one).
    """

    produces: ClassVar[Artifact] = "rows"
    elsewhere: ClassVar[Mapping[str, str]] = {"n": "sampling.samples", "engine": "by"}
    kind: Literal["sample"] = "sample"
    by: AnyEngine
    data: str
    where: Where = Where()
    sampling: Sampling = Sampling()
    adaptive: Adaptive | None = None
    rate: bool = False
    audit: KeyAudit = KeyAudit()
    second: str = ""
    keep: Literal["all", "correct", "wrong"] = "all"
    per_problem: int | None = Field(default=None, ge=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The problems, and what the engine reads."""
        yield self.data, "rows"
        yield from self.by.references()

    def check(self) -> Iterator[str]:
        """Settings that would have no effect, and an engine that cannot do what is asked."""
        if self.sampling.logprobs:
            yield from self.by.complaints({"logprobs"})
        if self.sampling.seed:
            yield "sampling.seed: has no effect: every stage derives its own from the recipe's seed"
        if self.adaptive is not None and self.sampling.samples != 1:
            yield "sampling.samples: has no effect with adaptive; set adaptive.max"
        if self.adaptive is not None and not self.rate:
            yield "adaptive: has no effect without rate: true"
        if self.audit.extra and not self.rate:
            yield "audit.extra: has no effect without rate: true"
        if self.by.once and (self.adaptive is not None or self.audit.extra):
            key = "audit.extra" if self.adaptive is None else "adaptive"
            yield f"{key}: asks in rounds, and this engine would give the same completions again; set sampling.samples"
        if self.second and (fault := verifier_fault(self.second)):
            yield f"second: {fault}"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Problems with verified completions and, when it rates, with pass rates."""
        files = {"problems.jsonl", "completions.jsonl", FILE, *(["rates.jsonl"] * self.rate)}
        lacks = ahead.rows(self.data).lacks - {"verdict", *(["pass_rate"] * self.rate)}
        model = self.by.drawer()
        drawer = None if model is None else ahead.known(model)
        return Foreseen(files=frozenset(files), lacks=lacks, drawer=drawer)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """No problems to ask, or an engine that cannot ask them."""
        yield from ahead.files("data", self.data, "problems.jsonl")
        yield from ahead.fields(self, self.data)
        yield from ahead.where(self.where, self.data)
        yield from self.by.misfits(ahead, self.sampling.max_tokens)

    def run(self, context: Context) -> None:
        """Draw, verify, rate, audit, keep."""
        problems = chosen_problems(context, self.data, self.where)
        with closing(self.by.open(desk_of(context, problems))) as opened:
            prompts = opened.prompts(problems)
            rounds = Rounds(opened.generator, prompts, problems, self.sampling, context)
            facts = self._draw(rounds)
        said = opened.generator.describe()
        generated = rounds.tokens or int(said.get("completion_tokens", 0))
        context.cost.tokens_generated += generated
        rates = rounds.rates()
        if self.rate:
            problems = with_pass_rates(problems, rates)
        choice = self._choice(rounds.verdicts(), context.seed)
        if not choice.kept:
            raise UserError(
                f"{context.name}: no completion was kept (keep: {self.keep}): {_judged(choice.verdicts)}; look at some "
                f"of them in {context.folder / PARTIAL}, draw more samples or longer ones, or set keep: all"
            )
        doubts, facts["audit"] = self._doubts(problems, rounds)
        out = context.fresh_out()
        context.hand_on_ledger(self.data)
        write_rows(out / "problems.jsonl", problems)
        write_rows(out / "completions.jsonl", filter(choice.keeps, rounds.completions()))
        write_rows(out / FILE, doubts)
        if self.rate:
            write_rows(out / "rates.jsonl", (rated(p.id, rates[p.id]) for p in problems))
        facts |= {"engine": said, "queued": len(doubts)}
        counts = {"drawn": rounds.drawn, "kept": choice.kept, "verdicts": choice.verdicts}
        write_json(out / shown.COUNTS, {**counts, **facts})

    def _draw(self, rounds: Rounds) -> dict[str, Any]:
        """Draw what is asked for; returns what is to be said about it."""
        facts: dict[str, Any] = {}
        if self.adaptive is None:
            rounds.draw(rounds.ids, self.sampling.samples)
        else:
            facts["adaptive"] = draw_adaptively(rounds, self.adaptive)
        if self.rate and self.audit.extra:
            rates = rounds.rates()
            unsolved = [
                each for each in rounds.ids if rates[each].scored and not rates[each].correct
            ]
            rounds.draw(unsolved, self.audit.extra)
            rates = rounds.rates()
            facts["rechecked"] = {
                "problems": len(unsolved),
                "solved": sum(rates[each].correct > 0 for each in unsolved),
            }
        return facts

    def _doubts(
        self, problems: Sequence[Problem], rounds: Rounds
    ) -> tuple[list[Doubt], dict[str, Any]]:
        """What a person should look at, and how far the rater's suspicion can be believed."""
        groups = list(conflicting_golds(problems, duplicate_key, same_answer))
        votes = votes_of(rounds.verdicts(), same_answer)
        suspects = audit_keys(problems, votes, self.audit, same_answer, twins_of(groups))
        facts = {"suspects": len(suspects), "majorities": majorities(votes.values(), self.audit)}
        suspects += conflict_suspects(groups)
        if not self.second:
            return queue(problems, suspects, rounds.verdicts()), facts
        by_id = {p.id: replace(p, verifier=self.second) for p in problems}

        def second(row: Completion) -> Verdict:
            return judge(by_id[row.problem_id], row.text, row.finish_reason)

        return queue(problems, suspects, rounds.completions(), second), facts

    def _choice(self, drawn: Iterable[Completion], seed: int) -> _Choice:
        """What is kept, decided before any text is read."""
        choice = _Choice(self.keep, Counter())
        wanted: dict[str, list[int]] = {}
        for row in drawn:
            if row.verdict is not None:
                choice.verdicts[row.verdict.status] += 1
            if not choice.wants(row):
                continue
            choice.kept += 1
            if self.per_problem is not None:
                wanted.setdefault(row.problem_id, []).append(row.sample_index)
        if self.per_problem is not None:
            choice.picks = {
                problem_id: frozenset(
                    random.Random(f"{seed}:{problem_id}").sample(
                        indices, min(self.per_problem, len(indices))
                    )
                )
                for problem_id, indices in wanted.items()
            }
            choice.kept = sum(map(len, choice.picks.values()))
        return choice

    def estimate(self, given: Estimator) -> Estimate:
        """What is drawn, at the price of whoever draws, and the share of it that is kept."""
        data = given.input(self.data)
        problems = given.rows(data.problems * share(self.where, data))
        each = self.adaptive.expected_samples() if self.adaptive else self.sampling.samples
        mean = given.mean(self.sampling.max_tokens)
        kept = drawn = problems * each
        if self.keep != "all":
            right = given.plan.correct
            kept *= right if self.keep == "correct" else 1 - right
        if self.per_problem is not None:
            kept = min(kept, problems * self.per_problem)
        rates = (0.0, 1.0) if self.rate else inside(self.where, data.rates)
        longest, slots = self.sampling.max_tokens, self.sampling.batch_size
        work = Decoding(drawn, given.plan.prompt_tokens, mean, longest, slots)
        spent = self.by.spends(work, given)
        flow, room = Flow(problems, rates, kept, mean), spent.room("sampling.batch_size")
        return Estimate(flow, given.planned(spent, rows=kept), room)

    def blocks(self, out: Path) -> Iterator[Block]:
        """Pass rates, unless they are only handed on; verdicts, and what a person should look at."""
        if self.rate:
            yield from shown.pass_rates(out)
        yield from shown.verdicts(out)
        yield from shown.queue(out)


def _judged(verdicts: Counter[str]) -> str:
    return ", ".join(f"{n} {status}" for status, n in sorted(verdicts.items())) or "none was judged"


@dataclass
class _Choice:
    """Which completions are kept.

    Attributes:
        keep: as the stage says.
        verdicts: how many of all were judged how.
        kept: how many are kept.
        picks: sample indices of each problem, when not all that ``keep`` names are kept.
    """

    keep: Literal["all", "correct", "wrong"]
    verdicts: Counter[str]
    kept: int = 0
    picks: dict[str, frozenset[int]] | None = None

    def wants(self, row: Completion) -> bool:
        """Whether ``keep`` names it."""
        status = None if row.verdict is None else row.verdict.status
        return self.keep == "all" or status == _STATUS[self.keep]

    def keeps(self, row: Completion) -> bool:
        """Whether it becomes a row."""
        if self.picks is None:
            return self.wants(row)
        return row.sample_index in self.picks.get(row.problem_id, ())
