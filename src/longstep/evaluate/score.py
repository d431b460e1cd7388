"""Score stored, verified completions: one deterministic table of models x benchmarks x slices.

Nothing here needs a model or a verifier, and nothing depends on the clock or on the order of rows:
the same completions give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from longstep.config import Field, Strict, UserError, field_validator
from longstep.evaluate import statistics
from longstep.evaluate.benchmarks import Asked, Slices, unreadable_keys
from longstep.evaluate.reducers import Sample, Samples, avg_at, collect, maj_at, num_right, pass_at
from longstep.types import Completion, Problem
from longstep.verify.rule import extraction_of, name_of

#: Every problem may declare a tolerance of its own, or have a broken key; so many of them are named beside a score.
_NAMED = 3
#: The slice that holds every problem of a benchmark.
ALL = "all"


class Protocol(Strict):
    """What was asked of the models; stored beside the answers, for no score means much without."""

    models: tuple[str, ...] = Field(min_length=1, description="names in the order of the report")
    benchmarks: dict[str, Asked] = Field(min_length=1)
    seed: int = Field(default=0, description="seed of the bootstrap")
    resamples: int = Field(default=statistics.RESAMPLES, ge=100)

    @field_validator("models", "benchmarks")
    @classmethod
    def _plain_names(cls, names: Any) -> Any:
        for complaint in no_file_names(names):
            raise ValueError(complaint)
        return names


def no_file_names(names: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that no file below the evaluation's folder can have."""
    for name in names:
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            yield f"{name!r} becomes a file name: use letters, digits, dots and dashes"


def score(
    completions: Mapping[str, Mapping[str, Iterable[Completion]]],
    problems: Mapping[str, Sequence[Problem]],
    protocol: Protocol,
) -> dict[str, Any]:
    """Score every model on every benchmark and compare the models by problem.

    Args:
        completions: model -> benchmark -> verified completions; read once, so they may stream.
        problems: benchmark -> its problems.
        protocol: what was asked.

    Returns:
        The content of ``results.json``: numbers rounded to six digits, no times, keys in any order.

    Raises:
        UserError: a model lacks answers to a benchmark, or fewer than k samples.
    """
    tables = {
        (model, benchmark): _collect(completions, model, benchmark, problems[benchmark])
        for model in protocol.models
        for benchmark in protocol.benchmarks
    }
    return score_samples(tables, problems, protocol)


def _collect(
    completions: Mapping[str, Mapping[str, Iterable[Completion]]],
    model: str,
    benchmark: str,
    problems: Sequence[Problem],
) -> list[Samples]:
    if benchmark not in completions.get(model, {}):
        raise UserError(
            f"model {model}: no completions for benchmark {benchmark}; sample them first"
        )
    return collect(completions[model][benchmark], [problem.id for problem in problems])


def score_samples(
    tables: Mapping[tuple[str, str], Sequence[Samples]],
    problems: Mapping[str, Sequence[Problem]],
    protocol: Protocol,
) -> dict[str, Any]:
    """Like :func:`score`, from samples already grouped by ``(model, benchmark)``."""
    models: dict[str, Any] = {model: {} for model in protocol.models}
    comparisons: list[dict[str, Any]] = []
    for benchmark, asked in protocol.benchmarks.items():
        for name, ids in members(benchmark, problems[benchmark], asked.slices).items():
            rows = {m: _slice(tables[m, benchmark], ids) for m in protocol.models}
            for model, row in rows.items():
                entry = _entry(row, f"{model} on {benchmark} {name}", asked.samples, protocol)
                models[model].setdefault(benchmark, {})[name] = entry
            comparisons += [
                {"a": a, "b": b, "benchmark": benchmark, "slice": name}
                | _comparison((a, b), (rows[a], rows[b]), asked.samples, protocol)
                for a, b in combinations(protocol.models, 2)
            ]
    for found in comparisons:
        part = "" if found["slice"] == ALL else f" {found['slice']}"
        found["sentence"] = f"{found['benchmark']}{part}: {found['sentence']}"
    return rounded(
        {
            "protocol": said_protocol(protocol, problems),
            "models": models,
            "comparisons": comparisons,
        }
    )


def said_protocol(protocol: Protocol, problems: Mapping[str, Sequence[Problem]]) -> dict[str, Any]:
    """The protocol, how answers are found and judged, and which keys say nothing.

    A score under a tolerance is not one of exact keys, and one that takes the last number for an answer is higher.
    """
    said = protocol.model_dump(mode="json")
    for benchmark, asked in said["benchmarks"].items():
        verifiers = {problem.verifier for problem in problems[benchmark]}
        asked["extraction"] = extraction(problems[benchmark])
        declared = sorted(each for each in verifiers if name_of(each) != each)
        if declared:
            asked["verifier"] = _some(declared)
        if unreadable := unreadable_keys(problems[benchmark]):
            named = _some([f"{name} ({why})" for name, why in unreadable.items()])
            asked["unreadable keys"] = f"{len(unreadable)} of {len(problems[benchmark])}: {named}"
    return said


def extraction(problems: Iterable[Problem]) -> str:
    """How the answers to these problems are found: the names of the protocols."""
    return " and ".join(sorted({extraction_of(problem.verifier) for problem in problems}))


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED} others"] if len(names) > _NAMED else []
    return " and ".join([*names[:_NAMED], *more])


def _slice(rows: Sequence[Samples], ids: set[str]) -> list[Samples]:
    return [row for row in rows if row.problem_id in ids]


def members(benchmark: str, problems: Sequence[Problem], slices: Slices) -> dict[str, set[str]]:
    """The ids of the problems of each slice, the one of all first.

    Raises:
        UserError: a slice is empty, or called like that of all.
    """
    found = {ALL: {problem.id for problem in problems}}
    for name, (low, high) in slices.items():
        ids = {p.id for p in problems if p.difficulty is not None and low <= p.difficulty <= high}
        where = f"slice {name} of benchmark {benchmark}"
        if name == ALL:
            raise UserError(f"{where}: this name is taken by the slice of every problem; rename it")
        if not ids:
            levels = sorted({p.difficulty for p in problems if p.difficulty is not None})
            seen = f"run from {levels[0]:g} to {levels[-1]:g}" if levels else "are not known"
            raise UserError(
                f"{where}: no problem has a difficulty in [{low:g}, {high:g}], difficulties {seen}"
            )
        found[name] = ids
    return found


def _entry(rows: Sequence[Samples], where: str, k: int, protocol: Protocol) -> dict[str, Any]:
    """One cell of the table: a model on a slice of a benchmark."""
    usable = _usable(rows, where, k)
    correct_P, samples_P = _counts(usable, k)
    errors = statistics.standard_errors(correct_P, samples_P)
    seed, resamples = protocol.seed, protocol.resamples
    return {
        "problems": len(usable),
        "samples": k,
        "avg": {
            "value": avg_at(usable, k).mean(),
            "se_within": errors.within,
            "se_between": errors.between,
            "se_total": errors.total,
            "ci95": statistics.avg_interval(correct_P, samples_P, seed, resamples),
        },
        "pass": {str(j): _value(pass_at(usable, j), protocol) for j in _pass_ks(usable, k)},
        "maj": {str(k): _value(maj_at(usable, k), protocol)},
        "unscorable_problems": len(rows) - len(usable),
        **_shares([sample for row in rows for sample in row.samples]),
    }


def _usable(rows: Sequence[Samples], where: str, k: int) -> list[Samples]:
    """Problems with a scorable sample, after refusing what has too few stored samples."""
    for row in rows:
        row.require(k, "avg")
    usable = [row for row in rows if row.scorable]
    if not usable:
        raise UserError(
            f"{where}: no sample is scorable (verifier timeouts or broken gold answers)"
        )
    return usable


def _counts(rows: Sequence[Samples], k: int) -> tuple[statistics.Counts, statistics.Counts]:
    firsts = [row.first(k, "avg") for row in rows]
    correct_P = np.array([num_right(first) for first in firsts])
    return correct_P, np.array([len(first) for first in firsts])


def _pass_ks(rows: Sequence[Samples], k: int) -> list[int]:
    """1, 2, 4, ... and k itself, as far as every problem has that many scorable samples."""
    most = min(len(row.scorable) for row in rows)
    return [j for j in sorted({2**i for i in range(k.bit_length())} | {k}) if j <= min(k, most)]


def _value(value_P: statistics.Floats, protocol: Protocol) -> dict[str, Any]:
    interval = statistics.value_interval(value_P, protocol.seed, protocol.resamples)
    return {"value": value_P.mean(), "ci95": interval}


def _shares(samples: Sequence[Sample]) -> dict[str, Any]:
    """How the answers ended, over all stored samples, the unscorable ones included."""
    finished = [s for s in samples if s.finish_reason == "stop"]
    scored = [s.correctness for s in finished if s.correctness is not None]
    with_ids = [s.tokens for s in samples if s.tokens]
    return {
        "truncated": 1 - len(finished) / len(samples),
        "stopped": len(finished) / len(samples),
        "no_answer": sum(s.answer is None and s.correctness is not None for s in finished)
        / len(samples),
        "unscorable": sum(s.correctness is None for s in samples),
        "tokens_mean": np.mean(with_ids) if with_ids else None,
        "finished_avg": np.mean(scored) if scored else None,
    }


def _comparison(
    names: tuple[str, str], rows: tuple[list[Samples], list[Samples]], k: int, protocol: Protocol
) -> dict[str, Any]:
    """Two models on one slice, over the problems that are scorable for both."""
    # Both sides follow the list of problems, so they are in the same order.
    both = [(a, b) for a, b in zip(*rows, strict=True) if a.scorable and b.scorable]
    if not both:
        raise UserError(f"{names[0]} and {names[1]}: no problem of a slice is scorable for both")
    a_P, b_P = (_counts(side, k) for side in zip(*both, strict=True))
    found = statistics.compare(a_P, b_P, names, protocol.seed, protocol.resamples)
    return {
        "problems": len(both),
        "delta": found.delta,
        "ci95": found.ci95,
        "distinguishable": found.distinguishable,
        "sentence": found.sentence,
    }


def rounded(value: Any) -> Any:
    """Plain JSON values, floats rounded to six digits so that last bits cannot show."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), 6) + 0.0 if isinstance(value, float | np.floating) else value
