"""Stage ``evaluate``: models by benchmarks by k samples, stored once, then scored by reducers without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field, dump
from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import UNKNOWN_QUESTIONS, Flow
from longstep.draw.drawing import Drawing, ShownProgress
from longstep.draw.engines import Opened, desk_of
from longstep.draw.samplers import AnyEngine, ByModel
from longstep.evaluate import (
    Asked,
    Benchmark,
    Protocol,
    Samples,
    benchmark_faults,
    completions_path,
    resolve,
    score_samples,
    store,
    unloadable,
)
from longstep.evaluate.reducers import Collector
from longstep.evaluate.score import no_file_names
from longstep.evaluate.store import ENGINES, RESULTS
from longstep.foresight import Ahead
from longstep.generate import Sampling
from longstep.stages.base import Stage, local_data
from longstep.types import Completion, Problem


class Evaluate(Stage):
    """Scores of models, in the order of the report.

    Attributes:
        models: report name to model; to who draws, such as ``{kind: endpoint, url: ..., model: ...}``, where it is not
            a model in this process.
        benchmarks: names from the benchmark list, or whole benchmarks of your own.
        samples: k of avg@k for every benchmark; ``null`` takes each benchmark's own.
        max_tokens: longest completion for every benchmark; ``null`` takes each benchmark's own.
        temperature: for every benchmark; ``null`` takes each benchmark's own.
        thinking: ``false`` asks the template of every model that is named alone for an empty think block.
        batch_size: completions decoded together.
        resamples: of the bootstrap.
    """

    produces: ClassVar[Artifact] = "report"
    elsewhere: ClassVar[Mapping[str, str]] = {"n": "samples", "k": "samples", "model": "models"}
    kind: Literal["evaluate"] = "evaluate"
    models: dict[str, str | AnyEngine] = Field(min_length=1)
    benchmarks: tuple[str | Benchmark, ...] = Field(min_length=1)
    samples: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    thinking: bool = True
    batch_size: int = Field(default=256, ge=1)
    resamples: int = Field(default=10_000, ge=100)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """What the engines read, and benchmark files."""
        for engine in self.engines().values():
            yield from engine.references()
        for member in self.benchmarks:
            if not any(benchmark_faults(member, "")):
                yield from local_data(resolve(member).source)

    def check(self) -> Iterator[str]:
        """Names that cannot be told apart or written down, files that are not there; a switch without effect."""
        for place, member in enumerate(self.benchmarks):
            yield from benchmark_faults(member, f"benchmarks.{place}")
            path = None if isinstance(member, str) else dump(member.source).get("path")
            if isinstance(path, str) and not Path(path).exists():
                name = member if isinstance(member, str) else member.name
                yield f"benchmarks: {name} reads {path}, and no such file is here"
        names = Counter(
            member if isinstance(member, str) else member.name for member in self.benchmarks
        )
        for place, given in (("models", self.models), ("benchmarks", names)):
            yield from (f"{place}: {complaint}" for complaint in no_file_names(given))
        for name, times in names.items():
            if times > 1:
                yield f"benchmarks: {name!r} is named {times} times; give each a name of its own"
        if not self.thinking:
            for name, model in self.models.items():
                if not isinstance(model, str):
                    yield f"thinking: has no effect on models.{name}, which is a mapping of its own"

    def absent(self) -> Iterator[str]:
        """Benchmarks that can be had neither here nor from the hub."""
        for place, member in enumerate(self.benchmarks):
            yield from unloadable(member, f"benchmarks.{place}")

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Engines that cannot ask what the benchmarks ask."""
        longest = max(map(self._longest, self.benchmarks))
        for name, by in self.engines().items():
            for said in by.misfits(ahead, longest):
                key, _, sentence = said.partition(": ")
                whole = isinstance(self.models[name], str) or not key.startswith("by")
                yield f"models.{name}{'' if whole else key[2:]}: {sentence}"

    def _longest(self, member: str | Benchmark) -> int:
        return self.max_tokens or resolve(member).max_tokens

    def engines(self) -> dict[str, AnyEngine]:
        """Who draws for each name of the report."""
        return {
            name: ByModel(model=model, thinking=self.thinking) if isinstance(model, str) else model
            for name, model in self.models.items()
        }

    def run(self, context: Context) -> None:
        """Sample every model on every benchmark, store, score."""
        chosen = {b.name: b for b in map(resolve, self.benchmarks)}
        asked = {name: self._asked(member.asked) for name, member in chosen.items()}
        problems = {name: member.load() for name, member in chosen.items()}
        protocol = Protocol(
            models=tuple(self.models),
            benchmarks=asked,
            seed=context.seed % 2**31,
            resamples=self.resamples,
        )
        drawn = context.folder / PARTIAL / "drawn"
        tables: dict[tuple[str, str], list[Samples]] = {}
        said: dict[str, Any] = {}
        for model, by in self.engines().items():
            tasks = [
                _Task(model, name, self._sampling(how, context.seed), problems[name])
                for name, how in asked.items()
            ]
            said[model], found = _drawn(context, by, tasks, drawn)
            tables |= found
            context.cost.tokens_generated += int(said[model].get("completion_tokens", 0))
        out = context.fresh_out()
        store(out, protocol, problems)
        for model, name in tables:
            target = completions_path(out, model, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            completions_path(drawn, model, name).replace(target)
        write_json(out / ENGINES, said)
        write_json(out / RESULTS, score_samples(tables, problems, protocol))

    def _asked(self, own: Asked) -> Asked:
        changes = {
            "samples": self.samples,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        return own.model_copy(
            update={key: value for key, value in changes.items() if value is not None}
        )

    def _sampling(self, how: Asked, seed: int) -> Sampling:
        """All models get the same noise, which makes comparisons sharper."""
        return Sampling(
            temperature=how.temperature,
            top_p=how.top_p,
            max_tokens=how.max_tokens,
            samples=how.samples,
            seed=seed,
            batch_size=self.batch_size,
        )

    def estimate(self, given: Estimator) -> Estimate:
        """Every model on every benchmark; nothing is handed on."""
        planned, tightest = given.planned(), Spent()
        for by in self.engines().values():
            for member in map(resolve, self.benchmarks):
                questions = given.counted(
                    member.rows(given.sizes), member.called, UNKNOWN_QUESTIONS
                )
                drawn = questions * (self.samples or member.samples)
                longest = self.max_tokens or member.max_tokens
                mean = given.mean(longest)
                work = Decoding(drawn, given.plan.prompt_tokens, mean, longest, self.batch_size)
                part = by.spends(work, given)
                tightest = max(tightest, part, key=lambda spent: spent.memory or 0.0)
                planned = replace(
                    planned,
                    rows=planned.rows + drawn,
                    tokens_generated=planned.tokens_generated + part.tokens,
                    memory=tightest.memory,
                    hours=(planned.hours or 0.0) + part.hours,
                    dollars=planned.dollars + part.dollars,
                )
        return Estimate(Flow(), planned, tightest.room("batch_size"))


@dataclass
class _Task:
    """One model on one benchmark."""

    model: str
    benchmark: str
    sampling: Sampling
    problems: list[Problem]

    def draw(self, context: Context, opened: Opened, folder: Path) -> list[Samples]:
        """Draw and write the completions below ``folder``; what the scores need of them is kept as they pass."""
        drawing = Drawing(
            opened.generator,
            opened.prompts(self.problems),
            {problem.id: problem for problem in self.problems},
            self.sampling,
            context.folder / PARTIAL / self.model / "answers" / f"{self.benchmark}.jsonl",
        )
        total = len(self.problems) * self.sampling.samples
        label = f"{self.model}/{self.benchmark}"
        shown = ShownProgress(context.progress(label, total, "completion"))
        found = Collector(problem.id for problem in self.problems)

        def seen() -> Iterator[Completion]:
            for row in drawing.rows(shown):
                found.add(row)
                context.cost.tokens_generated += len(row.token_ids)
                yield row

        write_rows(completions_path(folder, self.model, self.benchmark), seen())
        shown.finish()
        return found.samples()


def _drawn(
    context: Context, by: AnyEngine, tasks: Sequence[_Task], folder: Path
) -> tuple[dict[str, Any], dict[tuple[str, str], list[Samples]]]:
    """One engine at work on all benchmarks; its model is gone before the next one is loaded."""
    desk = desk_of(context, [problem for task in tasks for problem in task.problems])
    desk = replace(desk, folder=desk.folder / tasks[0].model)
    with closing(by.open(desk)) as opened:
        found = {(t.model, t.benchmark): t.draw(context, opened, folder) for t in tasks}
        return opened.generator.describe(), found
