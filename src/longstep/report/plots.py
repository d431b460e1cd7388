"""Small plots as inline SVG: matplotlib's object interface, the same bytes every time.

Colours are CSS variables of the page, so one plot serves light and dark. Colour-blind readers can
tell blue from orange, and lines also differ in dashes. Text in a plot comes from this package only.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from longstep.artifacts import write_bytes
from longstep.report.blocks import Curves
from longstep.report.completions import OUTCOMES, Lengths
from longstep.report.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: matplotlib needs real colours; each of these stands for a CSS variable, put in at the end.
_INK, _GRID = "#010101", "#020202"
_SERIES = ("#030303", "#040404", "#090909", "#0a0a0a")
_OUTCOME = {
    "correct": "#050505",
    "incorrect": "#060606",
    "truncated": "#070707",
    "other": "#080808",
}
_VARIABLES = {
    _INK: "var(--muted)",
    _GRID: "var(--line)",
    _SERIES[0]: "var(--blue)",
    _SERIES[1]: "var(--orange)",
    _SERIES[2]: "var(--purple)",
    _SERIES[3]: "var(--grey)",
    _OUTCOME["correct"]: "var(--blue)",
    _OUTCOME["incorrect"]: "var(--orange)",
    _OUTCOME["truncated"]: "var(--purple)",
    _OUTCOME["other"]: "var(--grey)",
}
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
#: The same four on paper, where nothing puts a page's colours in.
_PRINTED = ("#0a66a8", "#cf5c00", "#7d4ea3", "#9aa1a8")
#: Lines that one panel can tell apart.
MOST_LINES = len(_SERIES)
_MAX_BINS = 32
_WIDTH, _HEIGHT = 3.3, 1.65
#: Left, bottom, width, height: room for seven characters, and plots that line up.
_FRAME = (0.135, 0.13, 0.835, 0.78)


def curve_plot(name: str, curves: Sequence[Curve]) -> str:
    """One panel of learning curves: every point faint, a centred running mean on top.

    Args:
        name: prefix for the ids in the SVG, unique on the page.
        curves: the lines of the panel, at most ``MOST_LINES``.
    """
    if len(curves) > MOST_LINES:
        raise ValueError(f"{name}: {len(curves)} lines, and only {MOST_LINES} could be told apart")

    def draw(axes: Axes) -> None:
        for curve, color, dash in zip(curves, _SERIES, _DASHES, strict=False):
            steps, smooth = running_mean(curve)
            if len(steps) < 3:
                axes.plot(steps, smooth, "o", color=color, markersize=3)
                continue
            axes.plot(curve.steps, curve.values, color=color, linewidth=0.7, alpha=0.3)
            axes.plot(steps, smooth, color=color, linewidth=1.5, linestyle=dash)

    return _svg(name, draw)


def running_mean(curve: Curve) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centred running mean over about a fifteenth of the curve; half windows at both ends."""
    half = len(curve.values) // 30
    windows = (
        curve.values[max(0, place - half) : place + half + 1] for place in range(len(curve.values))
    )
    return curve.steps, tuple(sum(window) / len(window) for window in windows)


def length_plot(name: str, lengths: Lengths, longest: int) -> str:
    """Histogram of answer lengths, stacked by outcome, on an axis shared with the other models.

    Args:
        name: prefix for the ids in the SVG, unique on the page.
        lengths: the counts of one model.
        longest: right end of the axis, in tokens.
    """
    width, bars = length_bins(lengths, longest)
    edges = [place * width for place in range(len(bars["other"]) + 1)]

    def draw(axes: Axes) -> None:
        bottom = [0] * (len(edges) - 1)
        for outcome, color in _OUTCOME.items():
            if any(bars[outcome]):
                top = [low + high for low, high in zip(bottom, bars[outcome], strict=True)]
                axes.stairs(top, edges, baseline=bottom, fill=True, color=color, linewidth=0)
                bottom = top
        axes.set_xlim(0, edges[-1])

    return _svg(name, draw)


def length_bins(lengths: Lengths, longest: int) -> tuple[int, Mapping[str, list[int]]]:
    """Width of a bin and, for each outcome, the answers in each bin [i width, (i + 1) width).

    The width is a whole number of tokens: otherwise some bins would hold more lengths than others.
    """
    width = -(-(longest + 1) // _MAX_BINS)
    bars = {outcome: [0] * -(-(longest + 1) // width) for outcome in OUTCOMES}
    for outcome, counter in lengths.counts.items():
        for tokens, count in counter.items():
            bars[outcome][tokens // width] += count
    return width, bars


def bar_plot(name: str, counts: Sequence[float], ticks: Sequence[tuple[float, str]]) -> str:
    """Bars of equal width; the one with index i stands between i and i + 1.

    Args:
        name: prefix for the ids in the SVG, unique on the page.
        counts: heights.
        ticks: (place, label) on the axis; without any the places are numbered.
    """

    def draw(axes: Axes) -> None:
        axes.bar(range(len(counts)), counts, 0.92, align="edge", color=_SERIES[0], linewidth=0)
        axes.set_xlim(0, max(1, len(counts)))
        if ticks:
            axes.set_xticks([place for place, _ in ticks], [label for _, label in ticks])

    return _svg(name, draw)


def interval_plot(name: str, curves: Curves) -> str:
    """Points with their 95 % intervals: lines with a band, points that are no line numbered.

    Args:
        name: prefix for the ids in the SVG, unique on the page.
        curves: at most ``MOST_LINES`` lines.
    """
    return _svg(name, lambda axes: _draw_intervals(axes, curves), tall=1.5)


def interval_picture(path: Path, curves: Curves, axis: str) -> None:
    """The same as a PNG for a document, with its legend and the axis in words.

    Args:
        path: of the picture.
        curves: as of ``interval_plot``.
        axis: what is along the horizontal axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 5.4), dpi=110)
    axes = figure.add_axes((0.05, 0.28, 0.93, 0.66))
    _dress(axes, 9, "#dddddd")
    _draw_intervals(axes, curves, _PRINTED)
    axes.set_xlabel(axis, fontsize=9)
    axes.set_title(f"{curves.title}, percent right", fontsize=10, loc="left")
    handles, names = axes.get_legend_handles_labels()
    names = [textwrap.fill(name, 120) for name in names]
    place = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.12)}
    axes.legend(handles, names, fontsize=8, frameon=False, **place)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _draw_intervals(axes: Axes, curves: Curves, colors: Sequence[str] = _SERIES) -> None:
    if len(curves.lines) > MOST_LINES:
        raise ValueError(f"{len(curves.lines)} lines, and only {MOST_LINES} could be told apart")
    if curves.ratios and all(step > 0 for line in curves.lines for step in line.steps):
        from matplotlib.ticker import NullLocator, ScalarFormatter

        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    for line, color, dash in zip(curves.lines, colors, _DASHES, strict=False):
        style = {"color": color, "markersize": 3, "label": line.name}
        if not line.apart:
            axes.plot(line.steps, line.values, "o", linestyle=dash, linewidth=1.4, **style)
            if line.low:
                axes.fill_between(
                    line.steps, line.low, line.high, color=color, alpha=0.15, linewidth=0
                )
            continue
        axes.plot(line.steps, line.values, "D", linestyle="", **style)
        if line.low:
            axes.vlines(line.steps, line.low, line.high, color=color, linewidth=0.8, alpha=0.6)
        for number, place in enumerate(zip(line.steps, line.values, strict=True), start=1):
            axes.annotate(
                str(number), place, (3, 2), textcoords="offset points", color=color, fontsize=7
            )


def _svg(name: str, draw: Callable[[Axes], None], tall: float = 1.0) -> str:
    """Draw into a fresh figure and return it as SVG that can stand inside HTML."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "longstep", "axes.formatter.useoffset": False}
    ):
        figure = Figure(figsize=(_WIDTH, _HEIGHT * tall))
        figure.patch.set_visible(False)
        axes = figure.add_axes(_FRAME)
        _dress(axes)
        draw(axes)
        axes.margins(x=0.01)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _inline(buffer.getvalue(), name)


def _dress(axes: Axes, size: float = 7.5, grid: str = _GRID) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelsize=size, labelcolor=_INK)
    axes.grid(axis="y", color=grid, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(axis="y", scilimits=(-3, 5))
    axes.yaxis.get_offset_text().set(color=_INK, fontsize=size)


def _inline(svg: str, name: str) -> str:
    """Drop what only a file needs, make ids unique on the page and put the page's colours in."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    head, end, body = svg.partition(">")
    head = re.sub(r' (?:width|height|version|xmlns(?::xlink)?)="[^"]*"', "", head)
    body = re.sub(
        r"<style.*?</style>", "", body, count=1, flags=re.DOTALL
    )  # it would style the whole page
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r" font-family: [^;]*;", "", body)
    for color, variable in _VARIABLES.items():
        body = body.replace(color, variable)
    return f'{head} aria-hidden="true"{end}{body}'.strip()
