"""Runs beside each other: read from their folders, aggregated where they differ in nothing but the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.evaluate import Protocol
from longstep.evaluate.seeds import (
    aligned,
    crossed_interval,
    difference_sentence,
    problem_values,
    slices,
)
from longstep.evaluate.statistics import MIN_PROBLEMS
from longstep.evaluate.store import read_protocol
from longstep.report.collect import began
from longstep.report.compare import ModelLine, RunComparison, ScoreColumn, Side
from longstep.report.read import Reader, mapping, number, sequence, words
from longstep.report.scores import Scores, WithInterval, column_name, read_scores

#: Settings that no stage reads, or that tell runs apart by name.
_ASIDE = ("seed", "plan", "launch", "name")
_MOST_SETTINGS = 60
_LONGEST = 80


@dataclass
class _Run:
    """One run folder, as far as a comparison needs it."""

    folder: Path
    label: str
    facts: Mapping[str, Any]
    notes: list[str]
    evaluated: dict[str, Scores]
    _values: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)

    def out(self, stage: str) -> Path:
        return self.folder / stage / "out"

    def protocol(self, stage: str) -> Protocol:
        return read_protocol(self.out(stage))

    def values(self, stage: str, model: str, benchmark: str) -> dict[str, float]:
        """Mean correctness by problem, read once."""
        key = stage, model, benchmark
        if key not in self._values:
            self._values[key] = problem_values(
                self.out(stage), self.protocol(stage), model, benchmark
            )
        return self._values[key]

    def has(self, stage: str, model: str, column: tuple[str, str]) -> bool:
        return stage in self.evaluated and (model, column) in self.evaluated[stage].cells


def compare(folders: Sequence[Path], labels: Sequence[str] = ()) -> RunComparison:
    """Put runs beside each other.

    Args:
        folders: of the runs.
        labels: what each is called; its folder's name where none is given.

    Raises:
        UserError: a folder holds no run.
    """
    runs = [
        _read(folder, label)
        for folder, label in zip(folders, labels or _labels(folders), strict=True)
    ]
    settings = [_leaves(_settings(run)) for run in runs]
    differs = tuple(_differing(settings))
    seeds = (
        len(runs) > 1 and not differs and len({run.facts.get("seed") for run in runs}) == len(runs)
    )
    return RunComparison(
        sides=tuple(map(_side, runs)),
        seeds=seeds,
        differs=differs[:_MOST_SETTINGS],
        columns=tuple(_columns(runs, seeds)),
        notes=tuple(note for run in runs for note in run.notes),
    )


def seed_folders(folder: Path) -> list[Path]:
    """The runs of ``run --seeds`` below a folder, in the order of the seeds."""
    found = [path.parent for path in folder.glob("seed-*/run.json")]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _read(folder: Path, label: str) -> _Run:
    reader = Reader(folder)
    facts = reader.object(folder / "run.json")
    if not facts:
        raise UserError(f"{folder}: no run.json, so this is not a run folder; expected runs/<name>")
    evaluated: dict[str, Scores] = {}
    for stage in filter(lambda name: isinstance(name, str), sequence(facts.get("stages"))):
        results = reader.object(folder / stage / "out" / "results.json")
        if "models" in results:
            evaluated[stage] = read_scores(stage, results)
    return _Run(folder, label, facts, reader.notes, evaluated)


def _labels(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, with their parents' where two are called alike."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    return [f"{folder.resolve().parent.name}/{folder.resolve().name}" for folder in folders]


def _side(run: _Run) -> Side:
    reader, stages = Reader(run.folder), sequence(run.facts.get("stages"))
    manifests = [reader.object(run.folder / str(stage) / "manifest.json") for stage in stages]
    costs = [mapping(manifest.get("cost")) for manifest in manifests if manifest]

    def total(key: str) -> float:
        return sum(number(cost.get(key)) or 0.0 for cost in costs)

    whole = len(costs) == len(stages)
    return Side(
        label=run.label,
        name=words(run.facts.get("name")),
        seed=words(run.facts.get("seed")),
        state="finished" if whole else f"{len(costs)} of {len(stages)} stages",
        when=began(reader),
        seconds=total("seconds"),
        trained=total("tokens_trained"),
        drawn=total("tokens_generated"),
    )


# -- settings -------------------------------------------------------------------------------------


def _settings(run: _Run) -> dict[str, Any]:
    recipe = mapping(run.facts.get("recipe"))
    return {key: value for key, value in recipe.items() if key not in _ASIDE}


def _leaves(value: object, prefix: str = "") -> dict[str, str]:
    """``dotted.path -> text`` of everything in nested mappings; lists are whole."""
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: words(value)}


def _differing(settings: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for path in dict.fromkeys(path for each in settings for path in each):
        values = tuple(each.get(path, "") for each in settings)
        if len(set(values)) > 1:
            yield words(path), tuple(map(_short, values))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


# -- scores ---------------------------------------------------------------------------------------


def _columns(runs: Sequence[_Run], seeds: bool) -> Iterator[ScoreColumn]:
    stages = list(dict.fromkeys(stage for run in runs for stage in run.evaluated))
    for stage in stages:
        given = [run.evaluated[stage] for run in runs if stage in run.evaluated]
        for column in dict.fromkeys(column for scores in given for column in scores.columns):
            made = _Compared(runs, stage, column)
            title = f"{stage}: {column_name(column)}" if len(stages) > 1 else column_name(column)
            yield made.column(title, seeds)


@dataclass(frozen=True)
class _Compared:
    """One slice of one benchmark in all runs."""

    runs: Sequence[_Run]
    stage: str
    at: tuple[str, str]

    def column(self, title: str, seeds: bool) -> ScoreColumn:
        cells = [
            scores.cells[model, self.at]
            for run in self.runs
            if (scores := run.evaluated.get(self.stage))
            for model in scores.models
            if (model, self.at) in scores.cells
        ]
        counts = sorted({cell.problems for cell in cells})
        samples = sorted({cell.samples for cell in cells})
        return ScoreColumn(
            title=title,
            metric=f"avg@{'-'.join(map(str, dict.fromkeys((samples[0], samples[-1]))))}",
            problems=f"n={'-'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}",
            lines=tuple(
                ModelLine(model, self._mean(model) if seeds else None, self._each(model))
                for model in self.models
            ),
            sentences=tuple(self._between_models() if seeds else self._between_runs()),
        )

    @property
    def models(self) -> list[str]:
        """As the first run orders them, then what the others add."""
        named = (
            run.evaluated[self.stage].models for run in self.runs if self.stage in run.evaluated
        )
        return list(dict.fromkeys(model for models in named for model in models))

    def _each(self, model: str) -> tuple[WithInterval | None, ...]:
        cells = (
            run.evaluated[self.stage].cells[model, self.at]
            if run.has(self.stage, model, self.at)
            else None
            for run in self.runs
        )
        return tuple(cell.avg if cell else None for cell in cells)

    @cached_property
    def ids(self) -> set[str]:
        """Of the problems of the slice, as the first run that asked them stores them."""
        run = next(run for run in self.runs if self.stage in run.evaluated)
        benchmark, name = self.at
        return slices(run.out(self.stage), run.protocol(self.stage), benchmark)[name]

    def _values(self, runs: Sequence[_Run], *models: str) -> list[Any]:
        """``values_SP`` of each model over the problems of the slice that all these runs share; nothing of too few."""
        if not runs or not all(run.has(self.stage, m, self.at) for run in runs for m in models):
            return []
        tables = [[run.values(self.stage, m, self.at[0]) for run in runs] for m in models]
        ids = self.ids.intersection(*(values for table in tables for values in table))
        return [aligned(table, ids) for table in tables] if len(ids) >= MIN_PROBLEMS else []

    def _mean(self, model: str) -> WithInterval | None:
        runs = [run for run in self.runs if run.has(self.stage, model, self.at)]
        found = self._values(runs, model)
        if not found:
            return None
        low, high = crossed_interval(found[0])
        return WithInterval(float(found[0].mean()), low, high)

    def _between_models(self) -> Iterator[str]:
        """Each model with the one before it, and the last with the first, over the seeds that have both."""
        models = self.models
        pairs = [*pairwise(models), *([(models[0], models[-1])] if len(models) > 2 else [])]
        for a, b in pairs:
            both = [
                run for run in self.runs if all(run.has(self.stage, m, self.at) for m in (a, b))
            ]
            if found := self._values(both, a, b):
                yield difference_sentence((a, b), found[1] - found[0])

    def _between_runs(self) -> Iterator[str]:
        """Each run with the first, model by model, on the problems that both were asked."""
        first = self.runs[0]
        for other in self.runs[1:]:
            for model in self.models:
                for values_SP in self._values([first, other], model):
                    names = f"{first.label} {model}", f"{other.label} {model}"
                    yield difference_sentence(names, values_SP[1:] - values_SP[:1])
