"""``longstep data decontaminate``: rows that hold a benchmark's question are set aside, with the evidence.

Each row gets its matches from an index of the benchmarks (``longstep.curate.overlap``), best first. A row goes when one
of them is of a class to be removed; every match is reported in ``hits.jsonl`` with both texts. Text of GPQA is never
written, since its authors ask for that: not the benchmark's, and not that of a row which holds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import write_json
from longstep.config import Field
from longstep.curate.overlap import AnyContamination, Match, Overlap
from longstep.formats.lines import dump
from longstep.formats.quarantine import Bad, as_line, quarantined, quarantined_bad
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.benchmarks import Comparison, Known, known, shipped
from longstep.jobs.inputs import Chunk
from longstep.jobs.rows import CLEAN, QUARANTINE, Read, Row, RowJob, refuse_nothing

HITS, ITEMS = "out/hits.jsonl", "out/items.json"
#: Matches of one row that are shown; all are counted.
SHOWN = 5


class Decontaminate(RowJob):
    """Compare every row with benchmarks.

    Attributes:
        against: names of benchmarks, and data files that hold one.
        against_columns: field of a record -> column of these files; where they name no answer, the questions have none.
        contamination: what counts as a match, and which classes of it are removed.
    """

    kind: Literal["decontaminate"] = "decontaminate"
    against: tuple[str, ...] = Field(min_length=1)
    against_columns: dict[str, str] = Field(default_factory=dict)
    contamination: AnyContamination = Overlap()

    def files(self) -> Iterator[Path]:
        """The inputs, and the benchmarks that are files or shipped fingerprints."""
        yield from self.inputs
        for each in self.against:
            if Path(each).is_file():
                yield Path(each)
            elif each in shipped():
                yield shipped()[each]

    def reader(self) -> Read:
        """Give the row reader; where columns are named and none is the answer, the rows have none.

        A column that happens to be called ``answer`` would be evidence that nobody meant.
        """
        read = super().reader()
        if not self.columns or "answer" in self.columns:
            return read

        def without(chunk: Chunk) -> tuple[list[Row], list[Bad]]:
            rows, bad = read(chunk)
            return [replace(row, record=replace(row.record, answer=None)) for row in rows], bad

        return without

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``clean.jsonl``, ``quarantine.jsonl``, ``hits.jsonl`` and counts per benchmark item."""
        sources = known(self.against, self.contamination, self.against_columns)
        work = partial(_work, self, sources)
        counts = task.stream("decontaminate", work, [CLEAN, QUARANTINE, HITS], self.check)
        self.check(counts, enough=1)
        refuse_nothing(counts, task.scratch(QUARANTINE))
        items = counts.pop("items", {})
        write_json(task.scratch(ITEMS), items)
        return {"counts": counts, "ledger": Comparison(self.contamination, sources).ledger()}


def _work(job: Decontaminate, sources: Sequence[Known]) -> Work:
    read, comparison = job.reader(), Comparison(job.contamination, sources)

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        clean: list[bytes] = []
        aside = [quarantined_bad(chunk.path, each) for each in bad]
        hits: list[bytes] = []
        tally = _Tally()
        prompts = [row.record.prompt for row in rows]
        found = comparison.compare(prompts, [row.record.answer for row in rows])
        for row, compared in zip(rows, found, strict=True):
            worst = compared.worst
            tally.add(compared.matches, worst)
            for match in compared.matches[:SHOWN]:
                texts = {} if compared.secret else _texts(row, match, comparison.hidden)
                removed = {"removed": comparison.removes(match)}
                hits.append(dump({**_place(chunk.path, row), **_facts(match), **removed, **texts}))
            if worst is None:
                clean.append(as_line(row.line))
                continue
            facts = {"reason": "contaminated", **_facts(worst)}
            if compared.secret:
                aside.append(dump({**_place(chunk.path, row), **facts, "row": None}))
            else:
                aside.append(quarantined(chunk.path, row.line, facts))
        return Piece(
            {CLEAN: b"".join(clean), QUARANTINE: b"".join(aside), HITS: b"".join(hits)},
            tally.counts(len(chunk.lines), len(bad), len(clean)),
        )

    return work


class _Tally:
    """Counts of one chunk: rows by their best class, by benchmark and class, by item."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.benchmarks: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.items: Counter[str] = Counter()

    def add(self, matches: Sequence[Match], worst: Match | None) -> None:
        self.classes[matches[0].kind if matches else "none"] += 1
        self.benchmarks.update({f"{each.benchmark}: {each.kind}" for each in matches})
        self.items.update({f"{each.benchmark}/{each.item}: {each.kind}" for each in matches})
        if worst is not None:
            self.removed[f"{worst.benchmark}: {worst.kind}"] += 1

    def counts(self, read: int, bad: int, kept: int) -> Counts:
        return {
            "rows": {"read": read, "bad": bad, "kept": kept, "removed": read - bad - kept},
            "best class of a row": dict(self.classes),
            "rows that match": dict(self.benchmarks),
            "rows removed for": dict(self.removed),
            "items": dict(self.items),
        }


def _facts(match: Match) -> dict[str, Any]:
    return {
        "class": match.kind,
        "score": round(float(match.score), 4),
        "span": match.span,
        "benchmark": match.benchmark,
        "item": match.item,
    }


def _place(path: Path, row: Row) -> dict[str, Any]:
    return {"file": str(path), "line": row.line.number, "id": row.record.id}


def _texts(row: Row, match: Match, hidden: frozenset[str]) -> dict[str, Any]:
    """Both texts, side by side; the benchmark's is ``None`` when only its fingerprint is known."""
    theirs = None if match.benchmark in hidden else match.text
    return {"text": row.record.prompt, "benchmark_text": theirs}
