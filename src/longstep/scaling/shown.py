"""What is shown of a ``scale`` stage: blocks of the report, made from its ``curves.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from longstep.report.blocks import Block, Curves, Series, Table, Text
from longstep.report.read import Reader, mapping, number, sequence, words
from longstep.scaling.account import Bill
from longstep.scaling.axes import AXES
from longstep.scaling.drawn import example

TITLE = "Accuracy against"


def blocks_of(out: Path, axis: str = "tokens", problem: str | None = None) -> Iterator[Block]:
    """Blocks of a stage.

    Args:
        out: its folder.
        axis: what accuracy is drawn against.
        problem: whose trees are shown; without one, a small tree with pruned branches.
    """
    found = mapping(Reader(out).object(out / "curves.json"))
    points = [mapping(point) for point in sequence(found.get("points"))]
    if remarks := sequence(found.get("remarks")):
        yield Text("What did not happen", ". ".join(map(words, remarks)) + ".")
    if not points:
        return
    front = [mapping(point) for point in sequence(mapping(found.get("fronts")).get(axis))]
    yield Table(
        f"{TITLE} {axis}",
        ("strategy", "pick", "answers", axis, "accuracy, 95 %"),
        tuple(_row(point, axis) for point in points),
        about=f"The axis is {AXES[axis]}; pruned and forced tokens count. A bound reads the key.",
    )
    drawn = curve_of(points, front, axis)
    if drawn is not None:
        yield drawn
    yield Text(f"What a better answer costs, {axis}", _front(front, axis))
    yield from _compared([mapping(row) for row in sequence(found.get("comparisons"))])
    yield from _dial(mapping(found.get("dial")))
    yield from _strata(mapping(found.get("strata")))
    yield from _difficulty(mapping(found.get("difficulty")))
    yield from _axes(points)
    yield from _bills(mapping(found.get("bills")))
    yield from example(out, problem)


def _row(point: Mapping[str, Any], axis: str) -> tuple[str | float, ...]:
    pick = words(point.get("pick")) + (" (bound)" if point.get("bound") else "")
    answers = number(point.get("answers")) or 0
    return (
        words(point.get("strategy")),
        pick,
        f"{answers:.3g}",
        amount(_cost(point, axis)),
        share_with_interval(point),
    )


def amount(value: float | None) -> str:
    """A cost in full where it is large, else with three digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"


def _cost(point: Mapping[str, Any], axis: str) -> float | None:
    return number(mapping(point.get("costs")).get(axis))


def share_with_interval(point: Mapping[str, Any]) -> str:
    """A point's accuracy in percent with its interval."""
    low, high = _ends(point)
    return f"{100 * (number(point.get('accuracy')) or 0):.1f} [{low:.1f}, {high:.1f}]"


def _ends(point: Mapping[str, Any]) -> tuple[float, float]:
    low, high, *_ = [*(number(end) or 0.0 for end in sequence(point.get("ci95"))), 0.0, 0.0]
    return 100 * low, 100 * high


def curve_of(
    points: Sequence[Mapping[str, Any]], front: Sequence[Mapping[str, Any]], axis: str
) -> Curves | None:
    """Two picks that have a curve, every other strategy by its best pick, and the front."""
    by_name: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for point in points:
        if not point.get("bound") and _cost(point, axis):
            name = words(point.get("strategy")), words(point.get("pick"))
            by_name.setdefault(name, []).append(point)
    curves = {name: some for name, some in by_name.items() if len(some) > 1}
    ranked = sorted(curves, key=lambda name: (name[1] != "majority", -_best(curves[name])))
    lines = [_series(", ".join(name), curves[name], axis) for name in ranked[:2]]
    swept = {strategy for strategy, _ in curves}
    others: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for (strategy, pick), some in by_name.items():
        known = others.get(strategy)
        if strategy not in swept and (known is None or _best([known[1]]) < _best(some)):
            others[strategy] = pick, some[-1]
    if others:
        names = [f"{n} {s}, {pick}" for n, (s, (pick, _)) in enumerate(others.items(), start=1)]
        found = [point for _, point in others.values()]
        lines.append(_series("; ".join(names), found, axis, apart=True))
    steps = tuple(number(point.get("cost")) or 0.0 for point in front)
    values = tuple(100 * (number(point.get("accuracy")) or 0.0) for point in front)
    lines.append(Series("front", steps, values))
    title = f"{TITLE} {axis}, drawn"
    return (
        Curves(title, tuple(lines), "bands and bars: 95 % over problems", ratios=True)
        if lines
        else None
    )


def _best(points: Sequence[Mapping[str, Any]]) -> float:
    return max(number(point.get("accuracy")) or 0.0 for point in points)


def _series(
    name: str, points: Sequence[Mapping[str, Any]], axis: str, apart: bool = False
) -> Series:
    found = list(points) if apart else sorted(points, key=lambda point: _cost(point, axis) or 0.0)
    ends = [_ends(point) for point in found]
    return Series(
        name,
        tuple(_cost(point, axis) or 0.0 for point in found),
        tuple(100 * (number(point.get("accuracy")) or 0.0) for point in found),
        tuple(low for low, _ in ends),
        tuple(high for _, high in ends),
        apart,
    )


def _front(front: Sequence[Mapping[str, Any]], axis: str) -> str:
    """The front in words."""
    parts = []
    for point in front:
        cost, accuracy = amount(number(point.get("cost"))), number(point.get("accuracy")) or 0
        name = f"{words(point.get('strategy'))}, {words(point.get('pick'))}"
        said = f"{cost} {axis} give {100 * accuracy:.1f} % ({name})"
        sentence = words(point.get("sentence"))
        parts.append(f"{said}; {sentence}" if sentence else said)
    return ". ".join(parts) + "."


def _compared(rows: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if rows:
        yield Table(
            "Strategies against the first",
            ("by problem, 95 %", "tokens, times as many", "answers, times as many"),
            tuple(
                (
                    words(row.get("sentence")),
                    number(row.get("tokens")) or "",
                    number(row.get("answers")) or "",
                )
                for row in rows
            ),
        )


def _dial(dial: Mapping[str, Any]) -> Iterator[Block]:
    """Control, Scaling and Performance in words, where thoughts were bounded."""
    controls = {name: number(share) or 0.0 for name, share in mapping(dial.get("control")).items()}
    if not controls:
        return
    said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in controls.items())
    slope, best = number(dial.get("scaling")), number(dial.get("performance")) or 0.0
    grows = "" if slope is None else f" Scaling: {100 * slope:+.2f} points for one more token."
    yield Text(
        "Bounds on thinking",
        f"Control, answers within their bound: {said}.{grows} Performance: {100 * best:.1f} %.",
    )


def _strata(strata: Mapping[str, Any]) -> Iterator[Block]:
    rows = []
    for strategy, found in strata.items():
        for name, row in mapping(found).items():
            values = [number(mapping(row).get(key)) for key in ("average", "majority")]
            shown = ["" if v is None else f"{100 * v:.1f}" for v in values]
            rows.append(
                (words(strategy), words(name), number(mapping(row).get("problems")) or 0.0, *shown)
            )
    if rows:
        yield Table(
            "Where a vote helps and where it harms",
            ("strategy", "by one half of the answers", "problems", "average", "majority"),
            tuple(rows),
            about="Average and majority are those of the other half of the answers.",
        )


def _difficulty(found: Mapping[str, Any]) -> Iterator[Block]:
    rows = [mapping(row) for row in sequence(found.get("budgets"))]
    if not rows:
        return
    probe = (
        f"the first {number(found.get('answers')) or 0:.0f} answers of {words(found.get('probe'))}"
    )
    yield Table(
        "The choice by difficulty",
        ("tokens", "out of fold", "in fold", "best single arm", "out of fold - single", "chosen"),
        tuple(
            (
                amount(number(row.get("tokens"))),
                *(share_with_interval(mapping(row.get(key))) for key in ("out of fold", "in fold")),
                f"{share_with_interval(mapping(row.get('single')))} {words(mapping(row.get('single')).get('arm'))}",
                words(mapping(row.get("out of fold - single")).get("sentence")),
                tuple(_chosen(mapping(row.get("chosen")))),
            )
            for row in rows
        ),
        about=(
            f"Difficulty is how many of {probe} agree; they are paid for. Out of fold: each problem by "
            "what was best on others. In fold: by what was best on itself, too, which flatters. The best single arm is "
            "judged out of fold, and the one named is that of all problems."
        ),
    )


def _chosen(levels: Mapping[str, Any]) -> Iterator[str]:
    for level, row in levels.items():
        found = mapping(row)
        count = number(found.get("problems")) or 0
        yield f"{words(level)} agree ({count:.0f} problems): {words(found.get('arm'))}"


def _axes(points: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """What each strategy costs at its largest, on every axis that is known."""
    largest = {words(point.get("strategy")): mapping(point.get("costs")) for point in points}
    for point in points:
        name = words(point.get("strategy"))
        if (number(mapping(point.get("costs")).get("tokens")) or 0) > (
            number(largest[name].get("tokens")) or 0
        ):
            largest[name] = mapping(point.get("costs"))
    known = [axis for axis in AXES if any(axis in costs for costs in largest.values())]
    missing = [axis for axis in ("flops", "seconds", "dollars") if axis not in known]
    lacking = f" Not known here: {', '.join(missing)}." if missing else ""
    yield Table(
        "What it costs",
        ("strategy", *known),
        tuple(
            (name, *(amount(number(costs.get(axis))) for axis in known))
            for name, costs in largest.items()
        ),
        about=(
            "A problem, all answers drawn; 'again' is without kept prefixes. What scorers read with a model is in all "
            "columns but tokens, latency and seconds; log-probabilities come with what is drawn."
            + lacking
        ),
    )


def _bills(bills: Mapping[str, Any]) -> Iterator[Block]:
    names = [each.name for each in fields(Bill)]
    rows = [
        (words(strategy), *(f"{number(mapping(row).get(name)) or 0:,.1f}" for name in names))
        for strategy, row in bills.items()
    ]
    if rows:
        yield Table(
            "What was paid, tokens a problem",
            ("strategy", *(name.replace("_", " ") for name in names)),
            tuple(rows),
            about="Encoded and scored are counted as with a cache of all prefixes, and 'again' as without one.",
        )
