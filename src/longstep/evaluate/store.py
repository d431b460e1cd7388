"""The evaluation folder: answers are stored once and scored as often as wanted, without a model.

protocol.json                           what was asked
problems/<benchmark>.jsonl              Problem rows
completions/<model>/<benchmark>.jsonl   Completion rows with their verdicts
results.json                            the scores
engines.json                            who drew, of an evaluate stage
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from longstep.artifacts import read_json, read_rows, write_json, write_rows
from longstep.config import Strict, UserError, ValidationError
from longstep.evaluate.reducers import Samples, collect
from longstep.evaluate.score import Protocol, score_samples
from longstep.types import Completion, Problem, Verdict
from longstep.verify import judge_all

M = TypeVar("M", bound=Strict)

RESULTS = "results.json"
PROTOCOL = "protocol.json"
ENGINES = "engines.json"
_BATCH = 256  # answers in memory at once; one may be 100 kB of text


def problems_path(folder: Path, benchmark: str) -> Path:
    """Where the problems of a benchmark are stored."""
    return folder / "problems" / f"{benchmark}.jsonl"


def completions_path(folder: Path, model: str, benchmark: str) -> Path:
    """Where the answers of a model to a benchmark are stored."""
    return folder / "completions" / model / f"{benchmark}.jsonl"


def store(folder: Path, protocol: Protocol, problems: Mapping[str, Sequence[Problem]]) -> None:
    """Write what was asked; the answers are then streamed to :func:`completions_path`."""
    for benchmark in protocol.benchmarks:
        write_rows(problems_path(folder, benchmark), problems[benchmark])
    write_json(folder / PROTOCOL, protocol.model_dump(mode="json"))


def read_protocol(folder: Path) -> Protocol:
    """The stored protocol of an evaluation folder.

    Raises:
        UserError: the folder holds no evaluation, or its protocol does not fit.
    """
    return stored_as(Protocol, folder, "the output of an evaluate stage")


def stored_as(form: type[M], folder: Path, what: str, file: str = PROTOCOL) -> M:
    """The protocol of a folder that is scored again, or another ``file``; ``what`` says which folder holds one.

    Raises:
        UserError: there is none, or it does not fit.
    """
    path = folder / file
    if not path.is_file():
        raise UserError(f"{folder}: no {file}, so this is not {what}")
    try:
        return form.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path}:{field}: {first['msg']}; restore the file the stage wrote"
        ) from None


def rescore(folder: Path, samples: int | None = None) -> dict[str, Any]:
    """Verify every stored answer again and write ``results.json``; no model is needed.

    The same answers give the same bytes. A file of answers is only rewritten when a verdict
    differs, so a folder in which nothing changed still matches its manifest.

    Args:
        folder: an evaluation folder.
        samples: ask for avg@samples of every benchmark instead of the protocol's k.

    Returns:
        The results that were written.

    Raises:
        UserError: more samples asked than stored, or a stored row is damaged.
    """
    protocol = read_protocol(folder)
    if samples is not None:
        protocol = _asking(protocol, samples)
    problems = {
        name: list(read_rows(problems_path(folder, name), Problem)) for name in protocol.benchmarks
    }
    tables = {
        (model, name): _reverify(completions_path(folder, model, name), problems[name])
        for model in protocol.models
        for name in protocol.benchmarks
    }
    results = score_samples(tables, problems, protocol)
    write_json(folder / RESULTS, results)
    return results


def _asking(protocol: Protocol, samples: int) -> Protocol:
    if samples < 1:
        raise UserError(f"avg@{samples} asked: at least one sample per problem is needed")
    benchmarks = {
        name: asked.model_copy(update={"samples": samples})
        for name, asked in protocol.benchmarks.items()
    }
    return protocol.model_copy(update={"benchmarks": benchmarks})


def _reverify(path: Path, problems: Sequence[Problem]) -> list[Samples]:
    """Samples of one file under today's verifier; new verdicts are written back to it."""
    by_id = {problem.id: problem for problem in problems}
    changed: dict[tuple[str, int], Verdict] = {}

    def rows() -> Iterator[Completion]:
        stored = read_rows(path, Completion)
        while batch := list(islice(stored, _BATCH)):
            for row in batch:
                if row.problem_id not in by_id:
                    raise UserError(f"{path}: no problem {row.problem_id} is stored in problems/")
            items = [(by_id[row.problem_id], row.text, row.finish_reason) for row in batch]
            for row, verdict in zip(batch, judge_all(items), strict=True):
                if verdict != row.verdict:
                    changed[row.problem_id, row.sample_index] = verdict
                yield replace(row, verdict=verdict)

    samples = collect(rows(), list(by_id))
    if changed:
        write_rows(path, (_updated(row, changed) for row in read_rows(path, Completion)))
    return samples


def _updated(row: Completion, verdicts: Mapping[tuple[str, int], Verdict]) -> Completion:
    return replace(row, verdict=verdicts.get((row.problem_id, row.sample_index), row.verdict))


def left_out_notes(folder: Path) -> Iterator[str]:
    """A sentence for each model whose requests lacked what the protocol says, such as its temperature."""
    path = folder / ENGINES
    engines = read_json(path) if path.is_file() else {}
    for model, said in engines.items():
        if missing := said.get("left_out"):
            yield f"{model} was asked without {', '.join(missing)}: the server's own values held"
