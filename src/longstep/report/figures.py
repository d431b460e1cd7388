"""Which plots the page shows, how they are grouped and what is written beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from longstep.report.blocks import Bars, Block, Curves, Table, Text, Tree
from longstep.report.collect import Run, Stage
from longstep.report.completions import Lengths, longest
from longstep.report.curves import PANELS, Curve
from longstep.report.plots import (
    MOST_LINES,
    bar_plot,
    curve_plot,
    interval_plot,
    length_plot,
    running_mean,
)
from longstep.report.steering import Steering

_MAX_FIGURES = 36


@dataclass(frozen=True, slots=True)
class Figure:
    """One small plot: ``svg`` is made by `plots`, the rest is text that the template escapes."""

    title: str
    note: str
    svg: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Plots under one heading, and how many more there would have been."""

    title: str
    figures: tuple[Figure, ...]
    left_out: int


def curve_figures(stage: Stage) -> Iterator[Figure]:
    """One plot for each panel that a stage has data for."""
    for panel in PANELS:
        # two recorded metrics may be names of one line: the first name wins
        found = {
            curve.line: curve for curve in reversed(stage.curves) if curve.panel == panel.title
        }
        named = panel.lines or sorted(found, key=lambda line: -found[line].values[-1])
        curves = [found[line] for line in named if line in found][:MOST_LINES]
        if not curves:
            continue
        note = "" if len(curves) == len(found) else f"the highest {len(curves)} of {len(found)}"
        yield _curve_figure(panel.title, note, _id("curve", stage.name, panel.title), curves)


def _curve_figure(title: str, note: str, name: str, curves: Sequence[Curve]) -> Figure:
    svg = curve_plot(name, curves)
    if len(curves) == 1:
        return Figure(title, note or _ends(curves[0]), svg)
    return Figure(title, note, svg, tuple(f"{curve.line} {_ends(curve)}" for curve in curves))


def _ends(curve: Curve) -> str:
    """First and last value of the smoothed curve."""
    _, smooth = running_mean(curve)
    first, last = f"{smooth[0]:.3g}", f"{smooth[-1]:.3g}"
    return f"{first} → {last}" if len(smooth) > 1 else last


def length_groups(run: Run) -> Iterator[Group]:
    """Answer lengths: the sampling stages together, then each benchmark by itself.

    The plots of a group share their axis, and models stand in the order of the score table. Answers whose tokens nobody
    counted, as published traces and endpoints give them, are not drawn.
    """
    groups: dict[str, list[Lengths]] = {}
    for stage in run.stages:
        for lengths in filter(lambda each: each.total, _in_table_order(run, stage)):
            benchmark = f"{stage.name}: {lengths.benchmark}"
            title = benchmark if lengths.benchmark else "sampled for training"
            groups.setdefault(title, []).append(lengths)
    for title, group in groups.items():
        shown = group[:_MAX_FIGURES]
        end = longest(shown)
        figures = tuple(_length_figure(title, lengths, end) for lengths in shown)
        yield Group(title, figures, len(group) - len(shown))


def _in_table_order(run: Run, stage: Stage) -> list[Lengths]:
    rank = model_rank(run, stage)
    return sorted(stage.lengths, key=lambda lengths: (lengths.benchmark, rank(lengths.model)))


def model_rank(run: Run, stage: Stage) -> Callable[[str], tuple[int, str]]:
    """A sort key that puts the models of a stage in the order of its score table."""
    models = next((scores.models for scores in run.scores if scores.stage == stage.name), ())
    place = {name: index for index, name in enumerate(models)}
    return lambda name: (place.get(name, len(place)), name)


def _length_figure(group: str, lengths: Lengths, end: int) -> Figure:
    note = f"{lengths.total:,} answers"
    if lengths.without_ids:
        note += f", {lengths.without_ids:,} without token ids left out"
    svg = length_plot(_id("length", group, lengths.model), lengths, end)
    return Figure(lengths.model, note, svg)


class Showing(Protocol):
    """What shows blocks: a stage, or a folder by itself."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What it shows."""
        ...


def block_figure(stage: Showing, place: int) -> Figure | None:
    """The plot of a stage's block, called after the stage; ``None`` for one that is text."""
    block, name = stage.blocks[place], _id("block", stage.name, str(place))
    match block:
        case Bars():
            return Figure(stage.name, block.note, bar_plot(name, block.counts, block.ticks))
        case Curves() if block.sure:
            names = tuple(line.name for line in block.lines)
            return Figure(stage.name, block.note, interval_plot(name, block), names)
        case Curves():
            curves = [
                Curve(block.title, line.name, line.steps, line.values, every=1)
                for line in block.lines
            ]
            return _curve_figure(stage.name, block.note, name, curves)
        case Table() | Text() | Tree():
            return None


def kl_figure(name: str, steering: Steering) -> Figure:
    """How far expert and amateur are apart, position by position."""
    note = f"{sum(steering.counts):,} positions"
    ticks = tuple((place, f"{edge:g}") for place, edge in enumerate(steering.edges, start=1))
    return Figure(f"{name}: KL in nats", note, bar_plot(_id("kl", name), steering.counts, ticks))


def _id(*parts: str) -> str:
    """An id for HTML, different for different parts: letters and digits, the rest as numbers."""
    return "-".join("".join(map(_id_char, part)) for part in parts)


def _id_char(char: str) -> str:
    return char if char.isalnum() and char.isascii() else f"_{ord(char):x}_"
