"""Drawing and verifying completions for the stages ``sample`` and ``evaluate``; what was drawn survives a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from longstep.artifacts import AppendLog, sha256_json
from longstep.config import Field, Strict, TypeAdapter
from longstep.generate import (
    Endpoint,
    FakeGenerator,
    Generator,
    Prompt,
    ReferenceGenerator,
    Sampling,
    worked,
)
from longstep.generate.base import canonical
from longstep.progress import Progress
from longstep.stages.base import Context
from longstep.types import Completion, Problem
from longstep.verify import judge

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ByModel(Strict):
    """A local model samples; ``thinking: false`` asks its template for an empty think block."""

    kind: Literal["model"] = "model"
    model: str
    thinking: bool = True


class ByReference(Strict):
    """The problems' own worked solutions; with a model's tokenizer their ids too, without one text alone."""

    kind: Literal["reference"] = "reference"
    model: str | None = None


class ByEndpoint(Endpoint):
    """An OpenAI-compatible server samples (vLLM, SGLang, a hosted R1); its rows carry text, not ids."""

    kind: Literal["endpoint"] = "endpoint"


AnySampler = Annotated[ByModel | ByReference | ByEndpoint, Field(discriminator="kind")]


def open_sampler(
    by: ByModel | ByReference | ByEndpoint, problems: Sequence[Problem], context: Context
) -> tuple[Generator, list[Prompt]]:
    """Build the generator and the prompts it continues."""
    if isinstance(by, ByEndpoint):
        from longstep.generate.endpoint import EndpointGenerator

        return EndpointGenerator(by), [Prompt(p.id, text=p.prompt) for p in problems]
    if by.model is None:
        generator = FakeGenerator({problem.id: [worked(problem)] for problem in problems})
        return generator, [Prompt(p.id, text=p.prompt) for p in problems]
    from longstep.models.chat import encode_text
    from longstep.models.load import load_model, load_tokenizer

    folder = context.model(by.model)
    tokenizer = load_tokenizer(folder)
    if isinstance(by, ByReference):
        by_id = {problem.id: problem for problem in problems}
        stop = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        generator = ReferenceGenerator(by_id, lambda text: encode_text(tokenizer, text), stop)
        return generator, prompts_for(tokenizer, problems)
    return engine(load_model(folder), tokenizer), prompts_for(tokenizer, problems, by.thinking)


def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Generator:
    """The in-process engine over a loaded model."""
    from longstep.generate.engine import TransformersEngine
    from longstep.models.load import stop_ids

    return TransformersEngine(model, tokenizer, stop_ids(model, tokenizer))


def prompts_for(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], thinking: bool = True
) -> list[Prompt]:
    """Render problems once, the forced prefix noted."""
    from longstep.models.chat import render_prompt

    prompts: list[Prompt] = []
    for problem in problems:
        rendered = render_prompt(tokenizer, problem.prompt, thinking)
        prompts.append(Prompt(problem.id, rendered.ids, rendered.prefix, problem.prompt))
    return prompts


def draw(
    generator: Generator,
    prompts: Sequence[Prompt],
    problems: Sequence[Problem],
    sampling: Sampling,
    log: Path,
    progress: Progress,
) -> list[Completion]:
    """Draw and verify every completion, in canonical order; finished chunks are read back from ``log``."""
    by_id = {problem.id: problem for problem in problems}
    plan = sha256_json(
        [
            sampling.model_dump(mode="json"),
            [[p.problem_id, p.prompt_ids] for p in canonical(prompts)],
        ]
    )
    finished = _finished(log, plan)
    record = AppendLog(log)
    drawn: list[Completion] = []
    for index, chunk in enumerate(_chunks(prompts, sampling)):
        rows = finished.get(index)
        if rows is None:
            rows = [verified(by_id[c.problem_id], c) for c in generator.generate(chunk, sampling)]
            record.append({"plan": plan, "chunk": index, "rows": [asdict(row) for row in rows]})
            progress.advance(len(rows))
        else:
            progress.start_at(progress.done + len(rows))
        drawn.extend(rows)
    record.close()
    progress.finish()
    return drawn


def verified(problem: Problem, completion: Completion) -> Completion:
    """The completion with its verdict."""
    return replace(completion, verdict=judge(problem, completion.text, completion.finish_reason))


def _chunks(prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Prompt]]:
    size = max(1, sampling.batch_size // sampling.samples)
    ordered = canonical(prompts)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _finished(log: Path, plan: str) -> dict[int, list[Completion]]:
    """Chunks an interrupted attempt finished under the same plan."""
    if not log.is_file():
        return {}
    adapter = TypeAdapter(list[Completion])
    found: dict[int, list[Completion]] = {}
    for line in log.read_bytes().split(b"\n")[:-1]:
        record = json.loads(line)
        if record["plan"] == plan:
            found[record["chunk"]] = adapter.validate_python(record["rows"])
    return found
