"""The run report: one self-contained HTML page, the same bytes for the same run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.artifacts import write_bytes
from longstep.report.blocks import Block, Cell, Meter, Table, Text, Tree
from longstep.report.collect import Run, Stage, collect
from longstep.report.compare import RunComparison
from longstep.report.completions import OUTCOMES, Trace
from longstep.report.console import not_evaluated, one_draw, plain_number, to_come
from longstep.report.figures import (
    Figure,
    Showing,
    block_figure,
    curve_figures,
    kl_figure,
    length_groups,
    model_rank,
)
from longstep.report.scores import (
    TRUNCATION_WARNING,
    Score,
    Scores,
    column_name,
    headline,
    key_comparisons,
    narrowed,
    problems_text,
    samples_text,
)
from longstep.report.shown import LOOK
from longstep.report.steering import Steering

if TYPE_CHECKING:
    from jinja2 import Environment

_UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Badge:
    """One warning at the top of the page; its level is ``warn`` or ``bad``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class TraceGroup:
    """Sample answers of one model in one stage."""

    title: str
    traces: tuple[Trace, ...]


@dataclass(slots=True)
class Shown:
    """Blocks of all stages under one title."""

    title: str
    about: list[str] = field(default_factory=list)
    texts: list[tuple[Showing, str]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[Showing, Table]] = field(default_factory=list)
    trees: list[tuple[Showing, Tree]] = field(default_factory=list)

    @property
    def one_row_each(self) -> bool:
        """Whether its tables are short enough to be one, with a row for each stage."""
        headers = {block.header for _, block in self.tables}
        return len(headers) == 1 and all(len(block.rows) == 1 for _, block in self.tables)


def build_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder, atomically, whatever state the run is in.

    Raises:
        UserError: the folder holds no run.
    """
    path = run / "report.html"
    write_bytes(path, render(collect(run)).encode())
    return path


def render(run: Run) -> str:
    """The page as text."""
    return _environment().get_template("page.html.j2").render(_context(run))


def pair_page(
    path: Path, expert: str, amateur: str, sentences: Sequence[str], steering: Steering
) -> None:
    """Write the page of ``pair``, atomically."""
    page = _environment().get_template("pair.html.j2")
    found = [_steered("rollouts of the expert", steering)]
    given = {"title": f"{expert} and {amateur}", "sentences": sentences, "steering": found}
    write_bytes(path, page.render(given).encode())


@dataclass(frozen=True, slots=True)
class Shower:
    """Blocks that belong to no run."""

    name: str
    blocks: tuple[Block, ...]


def blocks_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write a page of blocks alone, atomically."""
    page = _environment().get_template("blocks.html.j2")
    given = {"title": title, "shown": _shown([Shower(title, tuple(blocks))])}
    write_bytes(path, page.render(given).encode())


def comparison_page(path: Path, found: RunComparison) -> None:
    """Write the page of several runs, atomically."""
    page = _environment().get_template("compare.html.j2")
    write_bytes(path, page.render({"found": found}).encode())


def _steered(name: str, steering: Steering) -> tuple[str, Steering, Figure | None]:
    return name, steering, kl_figure(name, steering) if steering.counts else None


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("longstep.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["thousands"] = thousands
    environment.filters["duration"] = duration
    environment.filters["column_name"] = column_name
    environment.filters["cell_kind"] = cell_kind
    environment.filters["plain_number"] = plain_number
    return environment


def _context(run: Run) -> dict[str, Any]:
    main, shown = run.scores[-1] if run.scores else None, _shown(run.stages)
    return {
        "run": run,
        "headline": headline(main) if main else _without_scores(run),
        "badges": tuple(_badges(run)),
        "to_come": to_come(run),
        "not_evaluated": not_evaluated(run) if run.scores else [],
        "one_draw": one_draw(run),
        "tables": [_score_table(scores) for scores in run.scores],
        "curves": [(stage, list(curve_figures(stage))) for stage in run.stages if stage.curves],
        "lengths": list(length_groups(run)),
        "shown": [group for group in shown if group.title != LOOK],
        "look": [group for group in shown if group.title == LOOK],
        "steering": [
            _steered(stage.name, stage.steering) for stage in run.stages if stage.steering
        ],
        "traces": list(_trace_groups(run)),
        "outcomes": OUTCOMES,
        "totals": _totals(run.stages),
    }


def _without_scores(run: Run) -> tuple[str, ...]:
    if any(stage.kind == "evaluate" for stage in run.stages):
        return ("Nothing is evaluated yet.",)
    how = "longstep eval run NAME=RUN/STAGE/out --benchmark FILE --out FOLDER scores a model."
    return "No stage of this run evaluates.", how


def _shown(stages: Sequence[Showing]) -> list[Shown]:
    """What the stages show of themselves, by title, so that one thing of several stages stands together."""
    found: dict[str, Shown] = {}
    for stage in stages:
        for place, block in enumerate(stage.blocks):
            group = found.setdefault(block.title, Shown(block.title))
            figure = block_figure(stage, place)
            match block:
                case Text():
                    group.texts.append((stage, block.text))
                    continue
                case Table():
                    group.tables.append((stage, block))
                case Tree():
                    group.trees.append((stage, block))
                case _ if figure is not None:
                    group.figures.append(figure)
            if block.about and block.about not in group.about:
                group.about.append(block.about)
    return list(found.values())


def _score_table(scores: Scores) -> dict[str, Any]:
    benchmarks: dict[str, int] = {}
    for benchmark, _ in scores.columns:
        benchmarks[benchmark] = benchmarks.get(benchmark, 0) + 1
    key = key_comparisons(scores)
    return {
        "scores": scores,
        "benchmarks": benchmarks,
        "metric": samples_text(scores.cells.values()),
        "counts": {column: problems_text(_column(scores, column)) for column in scores.columns},
        "narrowed": narrowed(scores),
        "often_cut": any(cell.often_cut for cell in scores.cells.values()),
        "key": key,
        "more": [entry for entry in scores.comparisons if entry not in key],
    }


def _column(scores: Scores, column: tuple[str, str]) -> list[Score]:
    """The cells of one column, where measured."""
    return [cell for (_, place), cell in scores.cells.items() if place == column]


def _badges(run: Run) -> Iterator[Badge]:
    for scores in run.scores:
        cut = [
            (cell.truncated or 0.0, *key) for key, cell in scores.cells.items() if cell.often_cut
        ]
        if cut:
            share, model, column = max(cut)
            limit = (
                f"more than {percent(TRUNCATION_WARNING, 0)} % of answers cut at the length limit"
            )
            worst = f"worst: {model} on {column_name(column)}, {percent(share)} %"
            yield Badge("warn", f"{len(cut)} of {len(scores.cells)} scores have {limit} ({worst})")
    levels = [note.level for note in run.health]
    for level in sorted(set(levels) - {"note"}):
        count = levels.count(level)
        kind = "bad" if level == "stop" else "warn"
        yield Badge(kind, f"{count} health rule{'' if count == 1 else 's'} at level {level}")
    for state in ("unfinished", "not run"):
        names = [stage.name for stage in run.stages if stage.state == state]
        if names:
            yield Badge("warn", f"{state}: {', '.join(names)}")
    bad = sum(stage.not_finite for stage in run.stages)
    if bad:
        yield Badge("bad", f"{bad} recorded metric value{'' if bad == 1 else 's'} not finite")


def _trace_groups(run: Run) -> Iterator[TraceGroup]:
    for stage in run.stages:
        for model in sorted({trace.model for trace in stage.traces}, key=model_rank(run, stage)):
            title = model if model == stage.name else f"{stage.name}: {model}"
            yield TraceGroup(title, tuple(t for t in stage.traces if t.model == model))


def _totals(stages: Sequence[Stage]) -> Mapping[str, float]:
    return {
        "seconds": sum(stage.cost.seconds or 0.0 for stage in stages),
        "tokens_trained": sum(stage.cost.tokens_trained or 0.0 for stage in stages),
        "tokens_generated": sum(stage.cost.tokens_generated or 0.0 for stage in stages),
        "peak_memory_mb": max((stage.cost.peak_memory_mb or 0.0 for stage in stages), default=0.0),
        "peak_accelerator_mb": max(
            (stage.cost.peak_accelerator_mb or 0.0 for stage in stages), default=0.0
        ),
    }


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent, a dash when unknown."""
    return _UNKNOWN if value is None else f"{100 * value:.{digits}f}"


def thousands(value: float | None) -> str:
    """A whole number with separators, a dash when unknown."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def cell_kind(value: Cell) -> str:
    """What the template makes of a table's cell: ``meter``, ``several``, ``number`` or ``text``."""
    match value:
        case Meter():
            return "meter"
        case tuple():
            return "several"
        case str():
            return "text"
        case _:
            return "number"


def duration(seconds: float | None) -> str:
    """``12.3 s``, ``4 min 05 s`` or ``3 h 20 min``, a dash when unknown."""
    if seconds is None:
        return _UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
