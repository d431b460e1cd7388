"""What is shown of stored trees: blocks of the report, and one problem's tree as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from longstep.report.blocks import Block, Curves, Series, Table, Text
from longstep.report.read import Reader, mapping, number, sequence, words
from longstep.scaling.account import Bill
from longstep.scaling.tree import on_paths
from longstep.types import Segment

_SHOWN = 60


def blocks_of(out: Path) -> Iterator[Block]:
    """Blocks of a ``scale`` stage from its ``curves.json``."""
    found = mapping(Reader(out).object(out / "curves.json"))
    points = [mapping(point) for point in sequence(found.get("points"))]
    if not points:
        return
    yield Table(
        "Accuracy against tokens",
        ("strategy", "pick", "answers", "tokens a problem", "accuracy, 95 %"),
        tuple(_row(point) for point in points),
        about="Tokens are all that stands in the trees, pruned and forced ones included; a bound reads the key.",
    )
    lines = tuple(_lines(points))
    if lines:
        yield Curves("Accuracy against tokens, drawn", lines, lines[0].name)
    front = [mapping(point) for point in sequence(found.get("front"))]
    yield Text("What a better answer costs", _front(front))
    comparisons = [mapping(row) for row in sequence(found.get("comparisons"))]
    if comparisons:
        yield Table(
            "Strategies against the first",
            ("by problem, 95 %", "tokens, times as many"),
            tuple(
                (words(row.get("sentence")), number(row.get("tokens")) or "") for row in comparisons
            ),
        )
    yield from _dial(mapping(found.get("dial")))
    yield from _strata(mapping(found.get("strata")))
    yield from _bills(mapping(found.get("bills")))


def _row(point: Mapping[str, Any]) -> tuple[str | float, ...]:
    pick = words(point.get("pick")) + (" (bound)" if point.get("bound") else "")
    answers, tokens = number(point.get("answers")), number(point.get("tokens"))
    return (
        words(point.get("strategy")),
        pick,
        f"{answers or 0:.3g}",
        f"{tokens or 0:,.0f}",
        share_with_interval(point),
    )


def share_with_interval(point: Mapping[str, Any]) -> str:
    """A point's accuracy in percent with its interval."""
    low, high = (number(end) or 0.0 for end in [*sequence(point.get("ci95")), 0, 0][:2])
    return f"{100 * (number(point.get('accuracy')) or 0):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _lines(points: Sequence[Mapping[str, Any]]) -> Iterator[Series]:
    """The first two picks that have a curve and are no bound."""
    by_name: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        tokens, accuracy = number(point.get("tokens")), number(point.get("accuracy"))
        if tokens is not None and accuracy is not None and not point.get("bound"):
            name = f"{words(point.get('strategy'))}, {words(point.get('pick'))}"
            by_name.setdefault(name, []).append((tokens, 100 * accuracy))
    found = [(name, sorted(some)) for name, some in by_name.items() if len(some) > 1]
    for name, some in found[:2]:
        yield Series(name, tuple(x for x, _ in some), tuple(y for _, y in some))


def _front(front: Sequence[Mapping[str, Any]]) -> str:
    """The front in words."""
    parts = []
    for point in front:
        tokens, accuracy = number(point.get("tokens")) or 0, number(point.get("accuracy")) or 0
        name = f"{words(point.get('strategy'))}, {words(point.get('pick'))}"
        said = f"{tokens:,.0f} tokens give {100 * accuracy:.1f} % ({name})"
        sentence = words(point.get("sentence"))
        parts.append(f"{said}; {sentence}" if sentence else said)
    return ". ".join(parts) + "."


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


def tree_lines(tree: Sequence[Segment]) -> Iterator[str]:
    """A problem's tree, a segment a line, children below their parent; what no answer goes through is marked ``x``."""
    children: dict[int, list[Segment]] = {}
    for each in tree:
        children.setdefault(each.parent, []).append(each)
    kept = on_paths(tree)
    waiting = [(each, 0) for each in reversed(children.get(-1, []))]
    while waiting:
        each, depth = waiting.pop()
        waiting += [(child, depth + 1) for child in reversed(children.get(each.node, []))]
        yield _line(each, depth, each.node in kept)


def _line(each: Segment, depth: int, kept: bool) -> str:
    text = each.text if len(each.text) <= _SHOWN else f"{each.text[: _SHOWN - 3]}..."
    facts = [f"{name} {score:.3f}" for name, score in each.scores.items()]
    facts += [each.origin] * (each.origin != "model")
    if each.verdict is not None:
        facts.append(each.verdict.status)
    facts.insert(0, f"{len(each.token_ids)} tokens")
    return f"{' ' if kept else 'x'} {'  ' * depth}{each.node}: {text!r} ({', '.join(facts)})"
