"""Stage ``select``: pick the problems to train on by rules, and say of every other one why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from longstep.artifacts import read_json, read_rows, write_json, write_rows
from longstep.config import Field, UserError
from longstep.context import Artifact, Context, carry_along
from longstep.costs.estimate import Estimate, Estimator
from longstep.curate import Dropped, Funnel
from longstep.curate.audit import conflict_suspects, conflicting_golds
from longstep.curate.difficulty import Rated, Ratings, rated
from longstep.curate.domains import domain_of
from longstep.curate.duplicates import duplicate_key
from longstep.curate.queue import FILE, Doubt, merged, queue, suspected
from longstep.curate.selection import AnySelection, Candidate, narrow
from longstep.foresight import REMEDIES, Ahead, Foreseen
from longstep.report import shown
from longstep.report.blocks import Block
from longstep.stages.base import Stage
from longstep.types import Completion, Problem
from longstep.verify.keys import same_answer

R = TypeVar("R")
COMPLETIONS, RATES = "completions.jsonl", "rates.jsonl"


class Select(Stage):
    """A selection of problems, with their completions when there are any.

    Attributes:
        data: problems, rated by a ``sample`` stage or not; completions beside them are carried along, and the first
            verified-correct one of a problem (else its first) is its chain and gives its length.
        raters: pass rates of other stages by the name that rules call them.
        ratings: read a pass rate out of each problem's own ``difficulty``, where it has one.
        domain: what rules take for a problem's subject: its source, or a guess by the words in it.
        suspects: what to do with problems that the data's ``queue.jsonl`` doubts the key of, or that contradict
            another row with the same question.
        rules: applied one after the other; none sets suspects aside and nothing else.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["select"] = "select"
    data: str
    raters: dict[str, str] = Field(default_factory=dict)
    ratings: Ratings | None = None
    domain: Literal["source", "words"] = "source"
    suspects: Literal["drop", "keep"] = "drop"
    rules: tuple[AnySelection, ...] = ()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The problems and the other raters."""
        yield self.data, "rows"
        for reference in self.raters.values():
            yield reference, "rows"

    def check(self) -> Iterator[str]:
        """Rules that ask a rater nobody named."""
        for number, rule in enumerate(self.rules):
            for rater in rule.asked():
                if rater not in self.raters:
                    known = ", ".join(sorted(self.raters)) or "none is named"
                    yield f"rules.{number}: no rater is called {rater!r} (raters: {known})"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Some of its data."""
        data = ahead.rows(self.data)
        provided = {"pass_rate"} if self.ratings is not None else set[str]()
        return replace(data, lacks=data.lacks - provided, problems=None)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Ratings or chains that rules ask for and nobody has."""
        yield from ahead.files("data", self.data, "problems.jsonl")
        provided = frozenset({"pass_rate"} if self.ratings is not None else set[str]())
        yield from ahead.fields(self, self.data, provided)
        for name, reference in self.raters.items():
            yield from ahead.files(f"raters.{name}", reference, "problems.jsonl")
            if "pass_rate" in ahead.rows(reference).lacks:
                yield (
                    f"raters.{name}: the problems of {reference} have no pass rate; {REMEDIES['pass_rate']}"
                )
        for place, rule in enumerate(self.rules):
            if rule.reads() & {"chain", "length"}:
                yield from ahead.files(f"rules.{place}", self.data, COMPLETIONS)

    def run(self, context: Context) -> None:
        """Read ratings, set suspects aside, apply the rules."""
        problems = list(read_rows(context.rows(self.data, "problems.jsonl"), Problem))
        imported: list[Rated] = []
        if self.ratings is not None:
            problems, imported = import_ratings(problems, self.ratings, self.data)
        funnel = Funnel()
        funnel.record("read", problems, [])
        found = conflict_suspects(conflicting_golds(problems, duplicate_key, same_answer))
        doubts = merged(problems, _beside(context, self.data, FILE, Doubt), queue(problems, found))
        if self.suspects == "drop":
            why = suspected(doubts)
            gone = [(p, why[p.id]) for p in problems if p.id in why]
            trusted = [p for p in problems if p.id not in why]
            problems = funnel.record("suspects", trusted, gone)
        chains = self._chains(context)
        candidates = self._candidates(context, problems, chains)
        dropped = narrow(funnel, self.rules, candidates, context.seed)
        for rule, row in zip(self.rules, funnel.rows()[-len(self.rules) :], strict=False):
            if not row["dropped"]:
                said = (
                    f"the rule {rule.kind} leaves nothing out: it takes all {row['kept']} there are"
                )
                context.warn("remark", said)
        funnel.dropped += [Dropped(*why, problems[place]) for place, why in dropped.items()]
        kept = [problem for place, problem in enumerate(problems) if place not in dropped]
        ids = {problem.id for problem in kept}
        out = context.fresh_out()
        context.hand_on_ledger(self.data)
        write_json(out / "funnel.json", funnel.rows())
        write_rows(out / "dropped.jsonl", funnel.dropped_rows())
        write_rows(out / FILE, doubts)
        if audit := _audit(context, self.data):
            write_json(out / shown.COUNTS, {"audit": audit})
        if not kept:
            raise UserError(
                f"{context.name}: no problem is left: {funnel.told()}; see {out / 'dropped.jsonl'}"
            )
        carry_along(context.artifact(self.data), out, ids)
        rates = imported
        if self.ratings is None:
            rates = list(_beside(context, self.data, RATES, Rated))
        if rates:
            write_rows(out / RATES, (row for row in rates if row.problem_id in ids))
        write_rows(out / "problems.jsonl", kept)

    def _chains(self, context: Context) -> dict[str, FirstChain]:
        # A text is held only where a rule reads it: one for each problem of a large pool is gigabytes.
        texts = any("chain" in rule.reads() for rule in self.rules)
        return first_chains(_beside(context, self.data, COMPLETIONS, Completion), texts)

    def _candidates(
        self, context: Context, problems: Sequence[Problem], chains: Mapping[str, FirstChain]
    ) -> list[Candidate]:
        rates = {name: _rates(context, reference) for name, reference in self.raters.items()}
        candidates: list[Candidate] = []
        for problem in problems:
            chain = chains.get(problem.id)
            candidates.append(
                Candidate(
                    problem,
                    {n: table[problem.id] for n, table in rates.items() if problem.id in table},
                    problem.source if self.domain == "source" else domain_of(problem.prompt),
                    None if chain is None else chain.text,
                    None if chain is None else chain.length,
                )
            )
        return candidates

    def estimate(self, given: Estimator) -> Estimate:
        """All of its data: what rules leave depends on the data."""
        data = given.input(self.data)
        kept = given.rows(data.problems)
        if self.rules and given.name not in given.plan.rows:
            given.remark(f"{given.name}: rules are not estimated; set plan.rows.{given.name}")
        beside = data.completions * (kept / data.problems if data.problems else 1.0)
        return Estimate(replace(data, problems=kept, completions=beside), given.planned(rows=kept))

    def blocks(self, out: Path) -> Iterator[Block]:
        """What was dropped where and why, and what a person should look at."""
        yield from shown.funnel(out)
        yield from shown.queue(out)


def import_ratings(
    problems: Iterable[Problem], ratings: Ratings, place: str
) -> tuple[list[Problem], list[Rated]]:
    """Problems with the pass rate that their ``difficulty`` states, and the counts; those without one keep none.

    Raises:
        UserError: a difficulty that the ratings cannot mean.
    """
    made: list[Problem] = []
    rates: list[Rated] = []
    for problem in problems:
        if problem.difficulty is None:
            made.append(replace(problem, pass_rate=None))
            continue
        try:
            rate = ratings.read(problem.difficulty)
        except ValueError as error:
            raise UserError(f"{place}: problem {problem.id}: difficulty: {error}") from None
        made.append(replace(problem, pass_rate=rate.value))
        rates.append(rated(problem.id, rate))
    return made, rates


@dataclass(frozen=True, slots=True)
class FirstChain:
    """What rules may ask about one completion.

    Attributes:
        right: whether it was verified correct.
        length: tokens, or characters where an endpoint gave no ids; all of one artifact come from one sampler.
        text: as it was drawn, or ``None`` where no rule reads it.
    """

    right: bool
    length: int
    text: str | None


def first_chains(completions: Iterable[Completion], texts: bool) -> dict[str, FirstChain]:
    """One completion per problem: the first verified-correct one, else the first."""
    chains: dict[str, FirstChain] = {}
    for row in completions:
        known, right = chains.get(row.problem_id), _right(row)
        if known is None or (right and not known.right):
            length = len(row.token_ids) or len(row.text)
            chains[row.problem_id] = FirstChain(right, length, row.text if texts else None)
    return chains


def _right(row: Completion) -> bool:
    return row.verdict is not None and row.verdict.status == "correct"


def _beside(context: Context, reference: str, file: str, cls: type[R]) -> Iterator[R]:
    """Rows of another file of the artifact, if it has one."""
    path = context.artifact(reference) / file
    return read_rows(path, cls) if path.is_file() else iter(())


def _audit(context: Context, reference: str) -> Any:
    """How far the suspicions handed on can be believed, as the stage that sampled counted it."""
    path = context.artifact(reference) / shown.COUNTS
    return read_json(path).get("audit") if path.is_file() else None


def _rates(context: Context, reference: str) -> Mapping[str, float]:
    path = context.rows(reference, "problems.jsonl")
    rated = (problem for problem in read_rows(path, Problem))
    return {problem.id: problem.pass_rate for problem in rated if problem.pass_rate is not None}
