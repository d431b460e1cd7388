"""Several runs beside each other, as data: a column for each, and one number where only their seeds differ."""

from __future__ import annotations

from dataclasses import dataclass

from longstep.report.scores import WithInterval


@dataclass(frozen=True, slots=True)
class Side:
    """One run of a comparison.

    Attributes:
        label: what its column is called.
        name: of the recipe.
        seed: of the recipe.
        state: ``finished``, or how many stages are.
        when: it was begun, in UTC.
        seconds: of all finished stages.
        trained: tokens.
        drawn: tokens.
    """

    label: str
    name: str
    seed: str
    state: str
    when: str
    seconds: float
    trained: float
    drawn: float


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model: its mean over all runs where there is one, and its score in each run that has it."""

    model: str
    mean: WithInterval | None
    each: tuple[WithInterval | None, ...]


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """One slice of one benchmark.

    Attributes:
        title: of the benchmark and the slice.
        metric: ``avg@16``.
        problems: ``n=300``.
        lines: one for each model.
        sentences: what differs, and how sure that is.
    """

    title: str
    metric: str
    problems: str
    lines: tuple[ModelLine, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Several runs.

    Attributes:
        sides: the runs.
        seeds: they differ in their seed and in nothing else.
        differs: settings that are not the same everywhere, with the value in each run.
        columns: scores.
        notes: what could not be read.
    """

    sides: tuple[Side, ...]
    seeds: bool
    differs: tuple[tuple[str, tuple[str, ...]], ...]
    columns: tuple[ScoreColumn, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Names, and how many runs."""
        names = list(dict.fromkeys(side.name for side in self.sides))
        what = "seeds" if self.seeds else "runs"
        return f"{', '.join(names)}: {len(self.sides)} {what}"


def comparison_rows(found: RunComparison) -> list[list[str]]:
    """Rows of text, a header row first: models by slices over seeds, or slices and models by runs."""
    return _by_slice(found) if found.seeds else _by_run(found)


def _by_slice(found: RunComparison) -> list[list[str]]:
    """The mean over seeds on each slice, and each seed on the first."""
    models = list(dict.fromkeys(line.model for column in found.columns for line in column.lines))
    header, rows = ["model"], [[model] for model in models]
    for column in found.columns:
        header.append(f"{column.title} {column.metric}, {column.problems}")
        means = {line.model: line.mean for line in column.lines}
        for row in rows:
            row.append(_text(means.get(row[0])))
    for column in found.columns[:1]:
        header.append(f"per seed ({column.title})")
        each = {line.model: line.each for line in column.lines}
        for row in rows:
            row.append(
                " ".join(
                    f"{100 * cell.value:.1f}" if cell else "-" for cell in each.get(row[0], ())
                )
            )
    return [header, *rows]


def _by_run(found: RunComparison) -> list[list[str]]:
    """Each run's own score, a row for each slice and model."""
    rows = [["benchmark", "model", *(side.label for side in found.sides)]]
    for column in found.columns:
        for place, line in enumerate(column.lines):
            title = "" if place else f"{column.title} {column.metric}, {column.problems}"
            rows.append([title, line.model, *map(_text, line.each)])
    return rows


def _text(value: WithInterval | None) -> str:
    if value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{100 * value.value:.1f}"
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"
