"""Drawing and verifying completions for the stages ``sample`` and ``evaluate``; what was drawn survives a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from longstep.artifacts import AppendLog, sha256_json, write_rows
from longstep.config import Field, Strict, TypeAdapter
from longstep.generate import (
    Endpoint,
    EndpointGenerator,
    FakeGenerator,
    Generator,
    Managed,
    Prompt,
    ReferenceGenerator,
    Sampling,
    Tally,
    Tell,
    worked,
)
from longstep.generate.base import canonical
from longstep.progress import Progress, to_stderr
from longstep.stages.base import PARTIAL, Context
from longstep.types import Completion, Problem, Verdict
from longstep.verify import judge

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from longstep.generate.engine import TransformersEngine


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
    """OpenAI-compatible servers sample (vLLM, SGLang, a hosted R1); their rows carry text, not ids."""

    kind: Literal["endpoint"] = "endpoint"


class ByServer(Managed):
    """An OpenAI-compatible server that longstep starts for the stage and stops after it."""

    kind: Literal["server"] = "server"


Sampler = ByModel | ByReference | ByEndpoint | ByServer
AnySampler = Annotated[Sampler, Field(discriminator="kind")]


@dataclass(frozen=True)
class Opened:
    """A generator and the prompts it continues; to be closed, for it may hold a server."""

    generator: Generator
    prompts: list[Prompt]

    def close(self) -> None:
        """Stop what was started."""
        if isinstance(self.generator, EndpointGenerator):
            self.generator.close()


def open_sampler(by: Sampler, problems: Sequence[Problem], context: Context) -> Opened:
    """Build the generator and its prompts; a server is started only when it has something to answer."""
    if isinstance(by, ByEndpoint | ByServer):
        remote = EndpointGenerator(by, _teller(context), **_files(by, problems, context))
        return Opened(remote, [Prompt(p.id, text=p.prompt) for p in problems])
    if by.model is None:
        generator = FakeGenerator({problem.id: [worked(problem)] for problem in problems})
        return Opened(generator, [Prompt(p.id, text=p.prompt) for p in problems])
    from longstep.models.chat import encode_text
    from longstep.models.load import load_model, load_tokenizer

    folder = context.model(by.model)
    tokenizer = load_tokenizer(folder)
    if isinstance(by, ByReference):
        by_id = {problem.id: problem for problem in problems}
        stop = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        generator = ReferenceGenerator(by_id, lambda text: encode_text(tokenizer, text), stop)
        return Opened(generator, prompts_for(tokenizer, problems))
    prompts = prompts_for(tokenizer, problems, by.thinking)
    return Opened(engine(load_model(folder), tokenizer), prompts)


def _teller(context: Context) -> Tell:
    """Events go to the run's log; a warning is also said at once."""

    def tell(what: str, facts: Mapping[str, object]) -> None:
        context.event(what, facts)
        if "warning" in facts:
            to_stderr(f"{context.name}: {facts['warning']}\n")

    return tell


def _files(by: Sampler, problems: Sequence[Problem], context: Context) -> dict[str, str]:
    """What a managed server is given: the stage's problems, for one that answers with their solutions."""
    if not isinstance(by, ByServer) or not any("{problems}" in part for part in by.command):
        return {}
    path = context.folder / PARTIAL / "problems.jsonl"
    write_rows(path, problems)
    return {"problems": str(path.resolve())}


def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TransformersEngine:
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
    """Draw and verify every completion, in canonical order; what is finished is read back from ``log``.

    A local engine is logged by chunks. A server is logged by requests, because chunks would each wait for their
    slowest answer.
    """
    by_id = {problem.id: problem for problem in problems}
    if isinstance(generator, EndpointGenerator):
        return _draw_remote(generator, prompts, by_id, sampling, log, progress)
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


def _draw_remote(
    generator: EndpointGenerator,
    prompts: Sequence[Prompt],
    by_id: Mapping[str, Problem],
    sampling: Sampling,
    log: Path,
    progress: Progress,
) -> list[Completion]:
    """Every sample, those without an answer too: they say nothing about the model, and are counted."""
    found = {
        (row.problem_id, row.sample_index): verified(by_id[row.problem_id], row)
        for row in generator.draw(prompts, sampling, log, partial(_show, progress))
    }
    progress.finish({"answers": generator.tally.answered})
    for place, why in generator.tally.refused.items():
        verdict = Verdict("timeout", None, f"no answer: {why}", "endpoint")
        found[place] = Completion(*place, (), (), "", "stop", verdict=verdict)
    places = [(p.problem_id, i) for p in canonical(prompts) for i in range(sampling.samples)]
    return [found[place] for place in places]


def _show(progress: Progress, tally: Tally) -> None:
    """Progress by tokens: how many there will be follows from the mean so far."""
    if not tally.answered:
        progress.advance(0)  # a line that says so is better than none
        return
    progress.unit = "tok (estimated)" if tally.estimated else "tok"
    ended = tally.answered + len(tally.refused)
    progress.total = tally.tokens + round((tally.total - ended) * tally.tokens / tally.answered)
    if progress.done < tally.replayed:
        progress.start_at(tally.replayed)
    progress.advance(tally.tokens - progress.done, {"answers": tally.answered})


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
