"""``longstep data dedup``: equal questions once, contradictory answers never, for files of any size.

Two passes over the rows, three where near ones count. The first writes 32 bytes a row (keys of the question as written
and in its normal form, key of the answer); ``groups`` finds equal ones on disk; the last writes the kept rows as they
were, byte for byte, and the others with their reasons. A group whose known answers differ is quarantined whole, since
nobody knows which is right; otherwise the first row stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from longstep.curate.duplicates import Duplicates, duplicate_key
from longstep.formats.quarantine import as_line, quarantined, quarantined_bad
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.groups import RECORD, Kind, Said, find_groups
from longstep.jobs.inputs import Chunk, places
from longstep.jobs.near import find_near
from longstep.jobs.repeats import exact_key
from longstep.jobs.rows import CLEAN, QUARANTINE, RowJob, hash64, refuse_nothing
from longstep.verify.keys import answer_key as _answer_key

_REASONS: dict[Kind, str] = {
    "exact": "exact duplicate",
    "normalised": "normalised duplicate",
    "conflict": "conflicting answers",
    "near": "near duplicate",
}


class Dedup(RowJob):
    """Drop repeated questions and quarantine contradictory ones.

    Attributes:
        match: what counts as a repetition.
    """

    kind: Literal["dedup"] = "dedup"
    match: Duplicates = Duplicates()

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``clean.jsonl`` and ``quarantine.jsonl``."""
        read = task.stream("keys", partial(_keys, self), ["records", "bad"], self.refuse_bad)
        self.refuse_bad(read, enough=1)
        lines = read.get("lines", {})
        groups = task.scratch("groups")
        found = find_groups(task.scratch("records"), sum(lines.values()), groups)
        if self.match.kind == "near":
            kept = read["rows"]["read"] - read["rows"]["bad"]
            found["near surplus"] = find_near(
                task, self.match, self.reader, _answer_key, groups, kept
            )
        rows = partial(_rows, self, groups, task.scratch("bad"), lines)
        counts = task.stream("rows", rows, [CLEAN, QUARANTINE])
        refuse_nothing(counts, task.scratch(QUARANTINE))
        return {"counts": {**counts, "groups": found}}


def _keys(job: Dedup) -> Work:
    """First pass: 32 bytes of keys for every row, and the numbers of lines that are no rows."""
    read = job.reader()
    key_of = exact_key if job.match.kind == "exact" else duplicate_key

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        records = [
            (
                key_of(row.record.prompt),
                exact_key(row.record.prompt),
                _answer_hash(row.record.answer),
                row.number,
            )
            for row in rows
        ]
        numbers = [chunk.start.base + each.line.number for each in bad]
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "bad": len(bad)},
            "lines": {str(chunk.next.file): chunk.next.lines - chunk.start.lines},
        }
        outputs = {
            "records": np.array(records, RECORD).tobytes(),
            "bad": np.array(numbers, "<u8").tobytes(),
        }
        return Piece(outputs, counts)

    return work


def _rows(job: Dedup, groups: Path, bad: Path, lines: Mapping[str, int]) -> Work:
    """Second pass: every line to the file where it belongs."""
    read, said = job.reader(), Said(groups)
    no_rows = frozenset(np.fromfile(bad, "<u8").tolist())
    place = places(job.inputs, lines)

    def work(chunk: Chunk) -> Piece:
        base = chunk.start.base
        known = said.between(base + chunk.lines[0].number, base + chunk.lines[-1].number)
        clean: list[bytes] = []
        aside: list[bytes] = []
        kinds: Counter[str] = Counter()
        for line in chunk.lines:
            number = base + line.number
            if number in known:
                kind, first = known[number]
                kinds[_REASONS[kind]] += 1
                facts = {"reason": _REASONS[kind], "group": place(first)}
                aside.append(quarantined(chunk.path, line, facts))
            elif number in no_rows:
                kinds["bad row"] += 1
                _, why = read(replace(chunk, lines=[line]))
                aside.append(quarantined_bad(chunk.path, why[0]))
            else:
                clean.append(as_line(line))
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "kept": len(clean)},
            "quarantined": dict(kinds),
        }
        return Piece({CLEAN: b"".join(clean), QUARANTINE: b"".join(aside)}, counts)

    return work


@lru_cache(maxsize=1 << 16)  # a file has few different answers
def _answer_hash(answer: str | None) -> int:
    """A key of the answer's value, or of its text where it has no exact one; 0 when there is no answer."""
    if answer is None or not answer.strip():
        return 0
    return hash64(_answer_key(answer))
