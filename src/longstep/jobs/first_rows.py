"""What the first rows of a published data set tell before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from longstep.config import UserError
from longstep.formats.faults import RowError
from longstep.formats.files import read_file
from longstep.formats.layouts import SAMPLE
from longstep.formats.lines import parse
from longstep.formats.record import has
from longstep.jobs.base import Counts, Work
from longstep.jobs.inputs import Chunk, Place, chunks
from longstep.jobs.merged import nothing_left
from longstep.jobs.published import Published
from longstep.jobs.rows import RowJob
from longstep.jobs.traces import ANSWERS
from longstep.jobs.words import HUB


def first_fault(settings: Published, make: Callable[[RowJob], Work]) -> Iterator[str]:
    """Why nothing can be learnt from the first rows of any file; a hub's rows are looked at when they are fetched.

    Args:
        settings: where the rows are.
        make: gives what reads a chunk of them.
    """
    if settings.data.startswith(HUB):
        return
    try:
        files = settings.files(Path())
        job = settings.reading(files)
        job.examine()
        for path in files:
            job.layout_of(path)
        yield from _absent(files, settings)
        if reason := _fault(files, make(job), settings):
            yield f"data: {settings.data}: {reason}"
    except UserError as error:
        yield f"{'columns' if settings.columns else 'data'}: {error}"


def _absent(files: Sequence[Path], settings: Published) -> Iterator[str]:
    """Columns beside those of a record that are in no row: all rows would lack them without a word."""
    named = {"columns.thought": settings.columns.get("thought", ""), "key": settings.key}
    wanted = {option: column for option, column in named.items() if column}
    rows = (line for path in files for line in read_file(path, encoding=settings.encoding))
    while wanted and (line := next(rows, None)) is not None:
        with suppress(RowError):
            row = parse(line)
            wanted = {option: column for option, column in wanted.items() if not has(row, column)}
    for option, column in wanted.items():
        yield f"{option}: no row of {settings.data} has the column {column!r}"


def _fault(files: Sequence[Path], work: Work, settings: Published) -> str:
    """Why nothing is left: read to the first answer that is kept, to the end only where there is none."""
    lines = list(islice(read_file(files[0], encoding=settings.encoding), SAMPLE))
    first = [Chunk(files[0], Place(), lines, Place())] if lines else []
    for sought in (first, chunks(files, Place(), settings.encoding)):
        counts: Counts = {"rows": {"read": 0, "bad": 0}}
        for chunk in sought:
            piece = work(chunk)
            if piece.outputs.get(ANSWERS) or piece.counts["rows"]["bad"] == len(chunk.lines):
                return ""  # unreadable rows are refused, with the first of them, by the pass itself
            for table, entries in piece.counts.items():
                mine = counts.setdefault(table, {})
                for name, count in entries.items():
                    mine[name] = mine.get(name, 0) + count
    return nothing_left(counts) if counts["rows"]["read"] else "holds no row"
