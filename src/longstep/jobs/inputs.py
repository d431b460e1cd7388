"""Input files of a job as chunks of lines, from any place on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from longstep.formats.files import read_file
from longstep.formats.lines import Line, Position
from longstep.formats.parquet import count_rows, is_parquet

CHUNK_ROWS = 8192
CHUNK_BYTES = 8 << 20
#: Text of a zstd file for a byte of it, for the estimate of what is left.
_USUAL_RATIO = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the inputs a job is.

    Attributes:
        file: index of the input file.
        lines: lines read of that file.
        offset: bytes read of it, uncompressed; rows of a Parquet file.
        base: lines of the files before it.
        read: of the files before it, in the same units.
    """

    file: int = 0
    lines: int = 0
    offset: int = 0
    base: int = 0
    read: int = 0

    @property
    def total(self) -> int:
        """What was read of all files."""
        return self.read + self.offset


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of one file.

    Attributes:
        path: the file.
        start: the place before it; ``start.base + line.number`` numbers the lines of all inputs, from 1.
        lines: the lines that are not blank, one at least.
        next: the place behind it.
    """

    path: Path
    start: Place
    lines: list[Line]
    next: Place


def chunks(paths: Sequence[Path], start: Place, encoding: str = "utf-8") -> Iterator[Chunk]:
    """Cut the files into chunks of whole lines, one file after the other; the cuts depend on ``start`` alone.

    Raises:
        UserError: a file cannot be read.
    """
    place = start
    for index in range(start.file, len(paths)):
        if index != place.file:
            place = Place(index, base=place.base + place.lines, read=place.total)
        lines: list[Line] = []
        size = 0
        for line in read_file(paths[index], Position(place.lines, place.offset), encoding=encoding):
            lines.append(line)
            size += len(line.data)
            if len(lines) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                before, place = place, Place(index, *line.after, place.base, place.read)
                yield Chunk(paths[index], before, lines, place)
                lines, size = [], 0
        if lines:
            before, place = place, Place(index, *lines[-1].after, place.base, place.read)
            yield Chunk(paths[index], before, lines, place)


def places(paths: Sequence[Path], lines: Mapping[str, int]) -> Callable[[int], str]:
    """Give ``file:line`` for a line number over all inputs.

    Args:
        paths: the inputs.
        lines: of each input, by its index as text.
    """
    ends = list(accumulate(lines.get(str(index), 0) for index in range(len(paths))))

    def place(number: int) -> str:
        index = bisect_left(ends, number)
        return f"{paths[index]}:{number - (ends[index - 1] if index else 0)}"

    return place


@dataclass(frozen=True, slots=True)
class Extent:
    """How long the inputs are, for progress.

    Attributes:
        total: what ``Place.total`` will be in the end, about.
        unit: it is shown in.
        scale: of ``total``, what is shown as one.
    """

    total: int
    unit: str
    scale: int

    def shown(self, total: int) -> int:
        """A place's total in that unit."""
        return total // self.scale


def extent(paths: Sequence[Path]) -> Extent:
    """Bytes of text in the files: exact for plain ones and small gzip files, else a guess; rows of Parquet."""
    tables = [is_parquet(path) for path in paths]
    lengths = [
        count_rows(path) if table else _text_bytes(path)
        for path, table in zip(paths, tables, strict=True)
    ]
    unit, scale = ("row", 1) if all(tables) else ("MB", 1 << 20)
    return Extent(max(sum(lengths), scale), unit, scale)


def _text_bytes(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(4)
        size = file.seek(0, 2)
        if (
            head[:2] == b"\x1f\x8b" and size > 4
        ):  # a gzip file ends with the size of its text, modulo 4 GiB
            file.seek(-4, 2)
            return max(int.from_bytes(file.read(4), "little"), size)
    return size * _USUAL_RATIO if head == b"\x28\xb5\x2f\xfd" else size
