"""``longstep data check``: is this file what it seems to be?

One pass reads every row, sets lines that are no rows aside with ``file:line:field: reason``, and counts what a
trainer would stumble on: missing answers and ids, unusual characters, how long the texts are. Ids that occur twice are
then found on disk, as ``dedup`` finds questions.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import Any, Literal

import numpy as np

from longstep.artifacts import write_rows
from longstep.config import Field
from longstep.formats.quarantine import quarantined_bad
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.groups import RECORD, Said, find_groups
from longstep.jobs.inputs import CHUNK_ROWS, Chunk, places
from longstep.jobs.rows import QUARANTINE, Row, RowJob, hash64
from longstep.verify import key_trouble

#: Ids that occur twice are all counted; so many are listed.
LISTED = 1000
#: U+FFFD, C1 controls and other control characters: text that was decoded wrongly once, or binary.
_ODD = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Check(RowJob):
    """Look at every row and change nothing; any number of lines may be no rows."""

    kind: Literal["check"] = "check"
    max_bad: float = Field(default=1.0, ge=0, le=1)

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``quarantine.jsonl`` (lines that are no rows) and ``repeated_ids.jsonl``."""
        outputs = ["records", QUARANTINE]
        counts = task.stream("check", partial(_look, self), outputs, self.refuse_bad)
        self.refuse_bad(counts, enough=1)
        lines, by_file = counts.pop("lines", {}), counts.pop("rows by file", {})
        groups = task.scratch("groups")
        last = sum(lines.values())
        found = find_groups(task.scratch("records"), last, groups)
        place = places(self.inputs, lines)
        repeated = _repeated(Said(groups), last)
        listed = ({"row": place(row), "same_id_as": place(first)} for row, first in repeated)
        write_rows(task.scratch("out/repeated_ids.jsonl"), listed)
        counts["rows"]["id repeats an earlier one"] = found["surplus"]
        layouts: Counter[str] = Counter()
        for index, path in enumerate(self.inputs):
            layouts[self.layout_of(path).name] += by_file.get(str(index), 0)
        counts["lines by layout"] = dict(layouts)
        return {"counts": counts}


def _look(job: Check) -> Work:
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        ids = [
            (hash64(row.record.id), 0, 0, row.number) for row in rows if row.record.id is not None
        ]
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "bad": len(bad), **_remarks(rows)},
            "unreadable keys": _unreadable(rows),
            **_lengths(rows),
            "lines": {str(chunk.next.file): chunk.next.lines - chunk.start.lines},
            "rows by file": {str(chunk.next.file): len(chunk.lines)},
        }
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece({"records": np.array(ids, RECORD).tobytes(), QUARANTINE: aside}, counts)

    return work


def _remarks(rows: list[Row]) -> dict[str, int]:
    """Rows that can be read and are worth a second look."""
    records = [row.record for row in rows]
    return {
        "without id": sum(each.id is None for each in records),
        "without answer": sum(not (each.answer or "").strip() for each in records),
        "odd characters": sum(_ODD.search(each.prompt) is not None for each in records),
    }


def _unreadable(rows: list[Row]) -> dict[str, int]:
    """Keys with which no answer can be compared, by kind (``longstep.verify.gold``)."""
    answers = [row.record.answer for row in rows]
    found = Counter(key_trouble(each) for each in answers if each is not None and each.strip())
    return {kind: count for kind, count in found.items() if kind}


def _lengths(rows: list[Row]) -> Counts:
    """Histograms of the texts' lengths in characters, by doublings: ``64-127``."""
    texts = {
        "prompt": [row.record.prompt for row in rows],
        "answer": [row.record.answer for row in rows],
        "solution": [row.record.solution for row in rows],
        "completion": [row.record.completion for row in rows],
    }
    spans = {
        name: Counter(len(text).bit_length() for text in each if text is not None)
        for name, each in texts.items()
    }
    return {
        f"characters of the {name}": {
            f"{1 << bits >> 1}-{(1 << bits) - 1}" if bits else "0": count
            for bits, count in found.items()
        }
        for name, found in spans.items()
        if found
    }


def _repeated(said: Said, last: int) -> list[tuple[int, int]]:
    """The first ``LISTED`` rows whose id an earlier row has, with that row."""
    found: list[tuple[int, int]] = []
    for low in range(1, last + 1, CHUNK_ROWS):
        known = said.between(low, low + CHUNK_ROWS - 1)
        found += [(row, first) for row, (_, first) in sorted(known.items())]
        if len(found) >= LISTED:
            break
    return found[:LISTED]
