"""Stage ``evaluate``: models by benchmarks by k samples, stored once, then scored by reducers without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from longstep.artifacts import write_json, write_rows
from longstep.config import Field
from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import UNKNOWN_QUESTIONS, Flow
from longstep.draw.drawing import draw
from longstep.draw.prompts import engine, prompts_for
from longstep.evaluate import Asked, Benchmark, Protocol, completions_path, resolve, score, store
from longstep.evaluate.store import RESULTS
from longstep.generate import Sampling
from longstep.models.load import load_model, load_tokenizer
from longstep.stages.base import Stage, local_data
from longstep.types import Completion, Problem


class Evaluate(Stage):
    """Scores of models, in the order of the report.

    Attributes:
        models: report name to model.
        benchmarks: names from the benchmark list, or whole benchmarks of your own.
        samples: k of avg@k for every benchmark; ``null`` takes each benchmark's own.
        max_tokens: longest completion for every benchmark; ``null`` takes each benchmark's own.
        temperature: for every benchmark; ``null`` takes each benchmark's own.
        thinking: ``false`` asks every model's template for an empty think block.
        batch_size: completions decoded together.
        resamples: of the bootstrap.
    """

    produces: ClassVar[Artifact] = "report"
    kind: Literal["evaluate"] = "evaluate"
    models: dict[str, str] = Field(min_length=1)
    benchmarks: tuple[str | Benchmark, ...] = Field(min_length=1)
    samples: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    thinking: bool = True
    batch_size: int = Field(default=256, ge=1)
    resamples: int = Field(default=10_000, ge=100)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The models, and benchmark files."""
        for model in self.models.values():
            yield model, "model"
        for member in self.benchmarks:
            yield from local_data(resolve(member).source)

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
        drawn = {model: self._sample(context, model, asked, problems) for model in self.models}
        out = context.fresh_out()
        store(out, protocol, problems)
        for model, by_benchmark in drawn.items():
            for name, rows in by_benchmark.items():
                write_rows(completions_path(out, model, name), rows)
        write_json(out / RESULTS, score(drawn, problems, protocol))

    def _asked(self, own: Asked) -> Asked:
        changes = {
            "samples": self.samples,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        return own.model_copy(
            update={key: value for key, value in changes.items() if value is not None}
        )

    def _sample(
        self,
        context: Context,
        model: str,
        asked: Mapping[str, Asked],
        problems: Mapping[str, list[Problem]],
    ) -> dict[str, list[Completion]]:
        """Sample one model on every benchmark. All models get the same noise, which makes comparisons sharper."""
        folder = context.model(self.models[model])
        tokenizer = load_tokenizer(folder)
        generator = engine(load_model(folder), tokenizer)
        drawn: dict[str, list[Completion]] = {}
        for name, how in asked.items():
            sampling = Sampling(
                temperature=how.temperature,
                top_p=how.top_p,
                max_tokens=how.max_tokens,
                samples=how.samples,
                seed=context.seed,
                batch_size=self.batch_size,
            )
            log = context.folder / PARTIAL / model / f"{name}.jsonl"
            total = len(problems[name]) * how.samples
            progress = context.progress(f"{model}/{name}", total, "completion")
            prompts = prompts_for(tokenizer, problems[name], self.thinking)
            drawn[name] = draw(generator, prompts, problems[name], sampling, log, progress)
            context.cost.tokens_generated += sum(len(row.token_ids) for row in drawn[name])
        return drawn

    def estimate(self, given: Estimator) -> Estimate:
        """Every model on every benchmark; nothing is handed on."""
        planned = given.planned()
        for reference in self.models.values():
            shape = given.model(reference)
            for member in map(resolve, self.benchmarks):
                questions = given.counted(
                    member.rows(given.sizes), member.called, UNKNOWN_QUESTIONS
                )
                drawn = questions * (self.samples or member.samples)
                longest = self.max_tokens or member.max_tokens
                mean = given.mean(longest)
                work = Decoding(drawn, given.plan.prompt_tokens, mean, longest, self.batch_size)
                part = given.decoding(shape, work)
                planned = replace(
                    planned,
                    rows=planned.rows + drawn,
                    tokens_generated=planned.tokens_generated + part.tokens,
                    memory=max(planned.memory or 0.0, part.memory or 0.0),
                    hours=(planned.hours or 0.0) + part.hours,
                    dollars=planned.dollars + part.dollars,
                )
        return Estimate(Flow(), planned)
