"""Stage ``scale``: inference-time strategies on one model, their trees stored, picks and curves made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, UserError
from longstep.context import PARTIAL, Artifact, Context, Where, chosen_problems
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import UNKNOWN_QUESTIONS, Flow, share
from longstep.costs.shapes import shape_of
from longstep.draw.engines import Gift, Opened, desk_of
from longstep.draw.samplers import AnyEngine
from longstep.evaluate import Benchmark, benchmark_faults, refuse_unreadable, resolve, unloadable
from longstep.evaluate.score import no_file_names
from longstep.foresight import Ahead, Foreseen
from longstep.generate import Prompt, Sampling
from longstep.generate.base import canonical
from longstep.report.blocks import Block
from longstep.scaling import AnyStrategy
from longstep.scaling.account import bill
from longstep.scaling.axes import Prices, Work
from longstep.scaling.drive import Grower
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.average import AnyAnswer
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.oracle import OraclePick
from longstep.scaling.raters import open_raters
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.base import ScoringDesk
from longstep.scaling.shown import blocks_of
from longstep.scaling.store import Scaled, begin, finish, nodes_path
from longstep.scaling.unfit import unfit_model, unfit_picks, unfit_prompts, unfit_sampling
from longstep.stages.base import Stage, local_data
from longstep.types import Problem, Segment

ENGINE = "engine.json"


class Scale(Stage):
    """Accuracy against tokens of inference-time strategies, each grown once and picked from without a model.

    Attributes:
        by: who draws; it must be able to continue a text of its own.
        data: problems; or a benchmark, one of the two.
        where: which problems of ``data``.
        benchmark: a name from the benchmark list, or a whole one; its problems are taken, not how it samples.
        strategies: by the names of the report; each is compared with the first.
        picks: which answer of a problem is given.
        sampling: temperature, longest answer, and the most pieces drawn together.
        prices: of a token, for the axes dollars and seconds.
        resamples: of the bootstrap.
    """

    produces: ClassVar[Artifact] = "report"
    elsewhere: ClassVar[Mapping[str, str]] = {
        "model": "by",
        "engine": "by",
        "n": "strategies.NAME.n",
        "samples": "strategies.NAME.n",
        "benchmarks": "benchmark",
        "max_tokens": "sampling.max_tokens",
        "temperature": "sampling.temperature",
    }
    kind: Literal["scale"] = "scale"
    by: AnyEngine
    data: str | None = None
    where: Where = Where()
    benchmark: str | Benchmark | None = None
    strategies: dict[str, AnyStrategy] = Field(min_length=1)
    picks: tuple[AnyPick, ...] = Field(
        default=(AnyAnswer(), MajorityVote(), OraclePick()), min_length=1
    )
    sampling: Sampling = Sampling()
    prices: Prices = Prices()
    resamples: int = Field(default=10_000, ge=100)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """What the engine reads, and the problems."""
        yield from self.by.references()
        yield from dict.fromkeys(pair for scorer in self._scorers() for pair in scorer.references())
        if self.data is not None:
            yield self.data, "rows"
        if self.benchmark is not None and not any(benchmark_faults(self.benchmark, "")):
            yield from local_data(resolve(self.benchmark).source)

    def check(self) -> Iterator[str]:
        """No problems or twice some, names that cannot be told apart, an engine that cannot do it."""
        if (self.data is None) == (self.benchmark is None):
            yield "data: expected either data or benchmark, for the problems come from one place"
        if self.benchmark is not None:
            yield from benchmark_faults(self.benchmark, "benchmark")
            if self.where != Where():
                yield "where: has no effect on a benchmark"
        yield from (f"strategies: {said}" for said in no_file_names(self.strategies))
        yield from self.by.complaints(self._needs())
        strategies = self.strategies
        yield from (f"picks: {said}" for said in unfit_picks(self.picks, [*strategies.values()]))
        for name, strategy in strategies.items():
            for said in unfit_sampling(strategy, self.sampling):
                yield f"strategies.{name}: {said}"
        for key in ("seed", "samples", "logprobs"):
            if key in self.sampling.model_fields_set:
                yield f"sampling.{key}: has no effect: strategies and scorers decide it, the recipe has the seed"

    def absent(self) -> Iterator[str]:
        """A benchmark that can be had neither here nor from the hub."""
        if self.benchmark is not None:
            yield from unloadable(self.benchmark, "benchmark")

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Trees of this model's answers."""
        model = self.by.drawer()
        return Foreseen(drawer=None if model is None else ahead.known(model))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """No problems to ask, or an engine that cannot ask them."""
        if self.data is not None:
            yield from ahead.files("data", self.data, "problems.jsonl")
            yield from ahead.fields(self, self.data)
            yield from ahead.where(self.where, self.data)
        yield from self.by.misfits(ahead, self.sampling.max_tokens)
        for scorer in self._scorers():
            yield from scorer.misfits(ahead, self.by.drawer())

    def _needs(self) -> set[Gift]:
        given = {gift for scorer in self._scorers() for gift in scorer.gifts()}
        ranked = any(strategy.distribution for strategy in self.strategies.values())
        return {"ids", "continues", *given, *["distribution"] * ranked}  # pyright: ignore

    def _scorers(self) -> list[AnyScorer]:
        users = (*self.strategies.values(), *self.picks)
        return [scorer for user in users for scorer in user.scorers()]

    def _logprobs(self) -> bool:
        return any(scorer.logprobs for scorer in self._scorers())

    def run(self, context: Context) -> None:
        """Grow every strategy's trees, store them, pick and count."""
        problems = {problem.id: problem for problem in self._problems(context)}
        out = context.fresh_out()
        with closing(self.by.open(desk_of(context, list(problems.values())))) as opened:
            desk = ScoringDesk(
                context.name, opened.generator, opened.model, problems, context.artifact
            )
            raters = open_raters((*self.strategies.values(),), self.picks, desk)
            prompts = canonical(opened.prompts(list(problems.values())))
            self.refuse_unfit(opened, prompts)
            asked = [(problems[prompt.problem_id], prompt) for prompt in prompts]
            growers = {
                name: replace(self._grower(opened, strategy, context.seed), raters=raters)
                for name, strategy in self.strategies.items()
            }
            begin(out, [problem for problem, _ in asked], prompts)
            for name, grower in growers.items():
                rows = self._grown(context, grower, asked, name)
                write_rows(nodes_path(out, name), rows)
            write_json(out / ENGINE, opened.generator.describe())
        reading = {scorer.name: scorer for scorer in self._scorers() if scorer.name in raters}
        found = finish(
            out,
            Scaled(
                strategies=tuple(self.strategies.items()),
                picks=tuple((pick.name, pick) for pick in self.picks),
                seed=context.seed % 2**31,
                resamples=self.resamples,
                files={},
                readers={name: rater.doubt for name, rater in raters.items()},
                scorers=tuple(reading.values()),
                prices=self.prices,
                work=self._work(opened),
            ),
        )
        for said in found["remarks"]:
            context.warn("remark", said)

    def _work(self, opened: Opened) -> Work | None:
        """What a token takes of the model that draws, where it draws in this process and its shape can be read."""
        if opened.model is None:
            return None
        try:
            return Work.of(shape_of(str(opened.model))[0])
        except UserError:
            return None

    def _problems(self, context: Context) -> list[Problem]:
        if self.data is not None:
            chosen = chosen_problems(context, self.data, self.where)
            ids = Counter(problem.id for problem in chosen)
            for problem_id, count in ids.most_common(1):
                if count > 1:
                    raise UserError(
                        f"{self.data}: {count} problems have the id {problem_id!r}, and trees are named by ids; leave "
                        "all but one out, as a stage of kind curate does"
                    )
            refuse_unreadable(self.data, chosen)
            return chosen
        assert self.benchmark is not None
        return resolve(self.benchmark).load()

    def refuse_unfit(self, opened: Opened, prompts: Sequence[Prompt] = ()) -> None:
        """Refuse a model, or prompts, with which a strategy cannot do what it is for.

        Raises:
            UserError: there is one.
        """
        most = self.sampling.max_tokens
        for name, strategy in self.strategies.items():
            said = (*unfit_model(strategy, most, opened.encode), *unfit_prompts(strategy, prompts))
            for each in said:
                raise UserError(f"strategies.{name}: {each}")
        room = None if opened.context is None else opened.context - most
        for prompt in prompts:
            if room is not None and len(prompt.prompt_ids) > room:
                raise UserError(
                    f"sampling.max_tokens: the prompt of problem {prompt.problem_id!r} has {len(prompt.prompt_ids)} "
                    f"tokens, and a context of {opened.context} leaves {room} beside an answer of {most}; lower it, or "
                    "leave the problem out"
                )

    def _grower(self, opened: Opened, strategy: AnyStrategy, seed: int) -> Grower:
        changes = {"seed": seed, "logprobs": self._logprobs()}
        how = self.sampling.model_copy(update=changes)
        return Grower(
            opened.generator,
            opened.encode,
            how,
            strategy,
            decode=opened.decode,
            turn=opened.turn,
        )

    def _grown(
        self,
        context: Context,
        grower: Grower,
        asked: Sequence[tuple[Problem, Prompt]],
        name: str,
    ) -> Iterator[Segment]:
        """Segments problem by problem; each is counted as it passes."""
        shown = context.progress(f"{context.name}/{name}", len(asked), "problem")
        forest = grower.forest(asked, context.folder / PARTIAL / f"{name}.jsonl")
        for (_, prompt), tree in zip(asked, forest, strict=True):
            drawn = sum(len(each.token_ids) for each in tree if each.origin == "model")
            context.cost.tokens_generated += drawn
            read = bill(tree, len(prompt.prompt_ids), grower.raters).scored_again
            context.cost.tokens_scored += int(read)
            yield from tree
            shown.advance()
        shown.finish()

    def estimate(self, given: Estimator) -> Estimate:
        """Every strategy at its largest, on all problems; nothing is handed on."""
        longest = self.sampling.max_tokens
        mean, questions = given.mean(longest), self._questions(given)
        planned = given.planned()
        for name, strategy in self.strategies.items():
            drawn = questions * strategy.answers(mean)
            if (least := questions * strategy.fewest(mean)) < drawn:
                given.remark(
                    f"{given.name}: {name} stops early and draws {least * mean:,.0f} to {drawn * mean:,.0f} tokens; "
                    "the most is counted"
                )
            slots = self.sampling.batch_size
            work = Decoding(drawn, given.plan.prompt_tokens, mean, longest, slots)
            part = self.by.spends(work, given)
            planned = replace(
                planned,
                parameters=part.parameters,
                rows=planned.rows + drawn,
                tokens_generated=planned.tokens_generated + part.tokens,
                memory=max(planned.memory or 0.0, part.memory or 0.0),
                hours=(planned.hours or 0.0) + part.hours,
                dollars=planned.dollars + part.dollars,
            )
        worst = questions * sum(each.worst(longest) for each in self.strategies.values())
        given.remark(
            f"{given.name}: a search is counted as if its steps were of one length and drawn together without a pause; "
            f"with every answer as long as sampling.max_tokens all strategies draw {worst:,.0f} tokens at worst"
        )
        if readers := sorted({scorer.name for scorer in self._scorers() if scorer.reads}):
            given.remark(f"{given.name}: what scorers read is not counted ({', '.join(readers)})")
        return Estimate(Flow(), planned)

    def _questions(self, given: Estimator) -> float:
        if self.data is not None:
            flow = given.input(self.data)
            return flow.problems * share(self.where, flow)
        assert self.benchmark is not None
        member = resolve(self.benchmark)
        return given.counted(member.rows(given.sizes), member.called, UNKNOWN_QUESTIONS)

    def blocks(self, out: Path) -> Iterator[Block]:
        """Accuracy against tokens, the front in words, what was paid."""
        yield from blocks_of(out)
