"""Score tables as rows of text, for the console."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longstep.report.collect import Run, collect
from longstep.report.scores import Scores, cell_text, column_name, read_scores, samples_text


def table(run: Path) -> list[list[str]]:
    """The stage-by-benchmark table of a run, a header row first; only the header before any score.

    Rows are models in the order of the evaluation, then models still to be made; columns are
    benchmarks and slices. Several evaluation stages stand side by side, each named in its columns.

    Raises:
        UserError: the folder holds no run.
    """
    facts = collect(run)
    if not facts.scores:
        return [["stage"]]
    rows = [[name] for name in evaluated(facts)] + [
        [f"{name} ({state})"] for name, state in to_come(facts)
    ]
    header = ["stage"]
    for scores in facts.scores:
        prefix = f"{scores.stage}: " if len(facts.scores) > 1 else ""
        _add_columns(header, rows, scores, prefix)
    return [header, *rows]


def score_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The model-by-benchmark table of one ``results.json``, a header row first."""
    scores = read_scores("", results)
    header, rows = ["model"], [[name] for name in scores.models]
    _add_columns(header, rows, scores, "")
    return [header, *rows]


def _add_columns(header: list[str], rows: list[list[str]], scores: Scores, prefix: str) -> None:
    for column in scores.columns:
        cells = [scores.cells.get((row[0], column)) for row in rows]
        header.append(f"{prefix}{column_name(column)} {samples_text(filter(None, cells))}")
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell_text(cell))


def evaluated(run: Run) -> list[str]:
    """Models with a score, in the order of the evaluation."""
    return list(dict.fromkeys(name for scores in run.scores for name in scores.models))


def to_come(run: Run) -> list[tuple[str, str]]:
    """Stages that make a model but have not finished, with their state."""
    return [
        (stage.name, stage.state)
        for stage in run.stages
        if stage.makes == "model" and stage.state != "finished"
    ]


def not_evaluated(run: Run) -> list[str]:
    """Finished stages whose model no evaluation asked."""
    asked = {stage for scores in run.scores for stage in scores.origins.values()}
    return [
        stage.name
        for stage in run.stages
        if stage.makes == "model" and stage.state == "finished" and stage.name not in asked
    ]
