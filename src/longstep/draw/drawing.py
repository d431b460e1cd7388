"""Drawing and verifying completions for the stages ``sample`` and ``evaluate``; what was drawn survives a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from longstep.artifacts import AppendLog, sha256_json
from longstep.config import TypeAdapter
from longstep.generate import (
    EndpointGenerator,
    Generator,
    Prompt,
    Sampling,
    Tally,
)
from longstep.generate.base import canonical
from longstep.progress import Progress
from longstep.types import Completion, Problem, Verdict
from longstep.verify import judge

if TYPE_CHECKING:
    pass


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
