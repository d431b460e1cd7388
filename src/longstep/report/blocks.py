"""What a stage shows of itself, as data: the page and the console draw it, and neither asks which stage it was.

The runner stores the blocks of a stage in ``blocks.json``, so that a report needs no stage's code, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longstep.artifacts import write_json
from longstep.report.read import Reader, mapping, number, sequence, words

FILE = "blocks.json"


@dataclass(frozen=True, slots=True)
class Meter:
    """Shares of one whole, drawn as a bar in a table's cell: the first in the colour of what stayed."""

    shares: tuple[float, ...]


Cell = str | float | Meter | tuple[str, ...]
"""Text, a number, a bar, or several short texts beside each other."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header.

    Attributes:
        title: its heading; blocks of several stages with one title stand together under it.
        header: names of the columns.
        rows: as many cells as the header has.
        note: a few words about this stage's rows.
        about: a sentence for the reader, the same for every stage.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot: where and what, as many of both.

    Attributes:
        name: for the legend.
        steps: where.
        values: what.
        low: lower ends of intervals around the values; empty, or as many.
        high: upper ends.
        apart: points that are no line; they are numbered from 1.
    """

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """One plot of at most four lines; ``title``, ``note`` and ``about`` as of a table.

    Attributes:
        lines: as they are where one of them has intervals; else smoothed, as learning curves are.
        ratios: equal distances along the axis are equal ratios.
    """

    title: str
    lines: tuple[Series, ...]
    note: str = ""
    about: str = ""
    ratios: bool = False

    @property
    def sure(self) -> bool:
        """Whether a line has intervals."""
        return any(line.low for line in self.lines)


@dataclass(frozen=True, slots=True)
class Bars:
    """One plot of bars.

    Attributes:
        title: its heading, as of a table.
        counts: heights; the bar with index i stands between i and i + 1.
        ticks: (place, label) on the axis below.
        note: a few words about this stage's bars.
        about: a sentence for the reader, the same for every stage.
    """

    title: str
    counts: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    note: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A heading and a paragraph."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Branch:
    """One piece of a tree.

    Attributes:
        depth: how many pieces stand above it.
        text: what it says.
        note: a few words about it.
        score: its colour, from 0 to 1; ``None`` has none.
        kept: whether an answer goes through it; what was pruned is grey.
    """

    depth: int
    text: str
    note: str = ""
    score: float | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """Pieces of text that grew out of each other, each behind the one it grew from."""

    title: str
    branches: tuple[Branch, ...]
    note: str = ""
    about: str = ""


Block = Table | Curves | Bars | Text | Tree


def write_blocks(folder: Path, blocks: Iterable[Block]) -> None:
    """Store the blocks of a stage in its folder."""
    rows = [{"block": type(block).__name__.lower(), **asdict(block)} for block in blocks]
    write_json(folder / FILE, rows)


def read_blocks(reader: Reader, folder: Path) -> tuple[Block, ...]:
    """The blocks in a stage's folder; what is no block is left out, and all text is made visible."""
    found = (_block(mapping(row)) for row in reader.array(folder / FILE))
    return tuple(block for block in found if block is not None)


def _block(row: dict[str, Any]) -> Block | None:
    title, note, about = (words(row.get(key)) for key in ("title", "note", "about"))
    match row.get("block"):
        case "table":
            header = tuple(map(words, sequence(row.get("header"))))
            rows = (tuple(map(_cell, sequence(cells))) for cells in sequence(row.get("rows")))
            whole = tuple(cells for cells in rows if len(cells) == len(header))
            return Table(title, header, whole, note, about)
        case "curves":
            lines = (_line(mapping(line)) for line in sequence(row.get("lines")))
            whole = tuple(line for line in lines if line.steps)
            return Curves(title, whole, note, about, row.get("ratios") is True)
        case "bars":
            counts, ticks = _numbers(row.get("counts")), tuple(_ticks(row.get("ticks")))
            return Bars(title, counts, ticks, note, about)
        case "text":
            return Text(title, words(row.get("text")))
        case "tree":
            branches = (_branch(mapping(each)) for each in sequence(row.get("branches")))
            return Tree(title, tuple(branches), note, about)
    return None


def _branch(row: dict[str, Any]) -> Branch:
    depth, score = number(row.get("depth")) or 0.0, number(row.get("score"))
    shown = None if score is None else min(1.0, max(0.0, score))
    kept = row.get("kept") is not False
    return Branch(max(0, int(depth)), words(row.get("text")), words(row.get("note")), shown, kept)


def _cell(value: object) -> Cell:
    if isinstance(value, dict):
        return Meter(tuple(min(1.0, max(0.0, share)) for share in _numbers(value.get("shares"))))
    if isinstance(value, list):
        return tuple(map(words, value))
    found = number(value)
    return words(value) if found is None else found


def _line(row: dict[str, Any]) -> Series:
    pairs = zip(sequence(row.get("steps")), sequence(row.get("values")), strict=False)
    points = [(number(step), number(value)) for step, value in pairs]
    whole = [(step, value) for step, value in points if step is not None and value is not None]
    steps, values = zip(*whole, strict=True) if whole else ((), ())
    low, high = _numbers(row.get("low")), _numbers(row.get("high"))
    if not len(low) == len(high) == len(steps):
        low, high = (), ()
    return Series(words(row.get("name")), steps, values, low, high, row.get("apart") is True)


def _ticks(value: object) -> Iterator[tuple[float, str]]:
    for pair in map(sequence, sequence(value)):
        place = number(pair[0]) if len(pair) == 2 else None
        if place is not None:
            yield place, words(pair[1])


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(found for found in map(number, sequence(value)) if found is not None)
