"""Score tables, and what stages show of themselves, as rows of text for the console."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longstep.config import UserError, nearest
from longstep.report.blocks import Bars, Block, Cell, Curves, Meter, Table, Text, Tree
from longstep.report.collect import Run, collect
from longstep.report.scores import (
    Scores,
    cell_text,
    column_name,
    legend,
    narrowed,
    problems_text,
    read_scores,
    samples_text,
)


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


def table_notes(run: Path) -> list[str]:
    """What stands below the table: the legend of its marks, what its averages hide, what its intervals leave out."""
    facts = collect(run)
    hidden = [said for each in facts.scores for said in narrowed(each)]
    return [*filter(None, [legend(facts.scores)]), *hidden, *filter(None, [one_draw(facts)])]


def one_draw(run: Run) -> str:
    """That the scores of one run are one draw; empty where nothing was trained, or nothing is scored."""
    if not (run.scores and any(stage.curves for stage in run.stages)):
        return ""
    seed = next((value for name, value in run.facts if name == "seed"), "")
    return (
        f"One run{f' of seed {seed}' if seed else ''}: the intervals hold its problems and samples. Another seed, and "
        "another kind of processor too, trains another model; longstep run ... --seeds 1-5 says how far they lie apart."
    )


def score_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The model-by-benchmark table of one ``results.json``, a header row first."""
    scores = read_scores("", results)
    header, rows = ["model"], [[name] for name in scores.models]
    _add_columns(header, rows, scores, "")
    return [header, *rows]


def _add_columns(header: list[str], rows: list[list[str]], scores: Scores, prefix: str) -> None:
    for column in scores.columns:
        cells = [scores.cells.get((row[0], column)) for row in rows]
        known = [cell for cell in cells if cell]
        header.append(
            f"{prefix}{column_name(column)} {samples_text(known)}, {problems_text(known)}"
        )
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


def stage_tables(run: Path, stage: str) -> list[tuple[str, list[list[str]]]]:
    """What a stage of a run shows of itself: titles, and tables with a header row first.

    Raises:
        UserError: the folder holds no run, or the run no such stage.
    """
    stages = {each.name: each for each in collect(run).stages}
    if stage not in stages:
        close = nearest(stage, stages)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UserError(
            f"{run}: no stage is called {stage!r}{hint} (there are: {', '.join(stages)})"
        )
    return [(block.title, block_rows(block)) for block in stages[stage].blocks]


def block_rows(block: Block) -> list[list[str]]:
    """A block as rows of text, a header row first."""
    match block:
        case Table():
            return [list(block.header), *[list(map(_cell, row)) for row in block.rows]]
        case Curves():
            ends = [
                [line.name, _cell(line.values[0]), _cell(line.values[-1])] for line in block.lines
            ]
            return [["line", "first", "last"], *ends]
        case Bars():
            labels = dict(block.ticks)
            heights = [[labels.get(i, ""), _cell(count)] for i, count in enumerate(block.counts)]
            return [["from", "count"], *heights]
        case Text():
            return [["text"], [block.text]]
        case Tree():
            pieces = [
                [f"{'' if each.kept else 'x '}{'  ' * each.depth}{each.text}", each.note]
                for each in block.branches
            ]
            return [["piece", "what of it"], *pieces]


def _cell(value: Cell) -> str:
    match value:
        case Meter():
            return " + ".join(f"{share:.0%}" for share in value.shares)
        case tuple():
            return "; ".join(value)
        case str():
            return value
        case _:
            return plain_number(value)


def plain_number(value: float) -> str:
    """A count in full, anything else with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
