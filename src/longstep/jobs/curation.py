"""The passes of stage ``curate``: sources are written down, sifted row by row, then rid of repeats and benchmarks.

    collect   sources -> ``collected.jsonl`` and the quarantine; begun again when it was interrupted
    sift      every filter on each row; what stays leaves 32 bytes of keys beside it
    groups    equal keys are found on disk, near rows part by part, by the machinery of ``data dedup``
    settle    repeats go aside, and every other row is compared with the benchmarks
    explain   each repeat gets its reason, group by group

Sift and settle go on where a killed process left them. Memory: a chunk of rows, the benchmarks, and one named index:
some 60 bytes for every *repeated* row while the repeats are explained.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from longstep.artifacts import (
    fresh_folder,
    read_json,
    row_line,
    sha256_json,
    write_json,
    write_rows,
)
from longstep.config import dump
from longstep.curate.decontaminate import reason
from longstep.curate.duplicates import Duplicates
from longstep.curate.filters import AnyFilter
from longstep.curate.funnel import Dropped, Funnel, kind_of
from longstep.curate.overlap import AnyContamination
from longstep.curate.queue import doubt_of
from longstep.formats.lines import Line, parse
from longstep.formats.record import Record
from longstep.jobs.base import Counts, Piece, PieceMaker, Task, Work
from longstep.jobs.benchmarks import Compared, Comparison, Known
from longstep.jobs.groups import KINDS, RECORD, SAID, Said, find_groups
from longstep.jobs.inputs import Chunk
from longstep.jobs.near import find_near
from longstep.jobs.repeats import gold, keys_of, number, repeats, stored_problem
from longstep.jobs.rows import Read, Row
from longstep.problems.source import Source, Unread
from longstep.types import Problem
from longstep.verify import judge_gold

#: Rows of files and hub datasets that could not be read, with place, reason and the row as it was.
QUARANTINE = "quarantine.jsonl"
PROBLEMS, DROPPED, QUEUE, HITS = "problems.jsonl", "dropped.jsonl", "queue.jsonl", "hits.jsonl"
#: Stands in a dropped row for the text of a benchmark that must not be written anywhere.
WITHHELD = "(withheld: the text of a protected benchmark)"
_COLLECTED, _SIFTED, _RECORDS, _SAID, _OFFSETS = (
    "collected.jsonl", "sifted.jsonl", "records", "said", "offsets",
)  # fmt: skip
_REPEATED, _CONTAMINATED = "duplicates", "decontaminate"
_CLEAN = Compared((), None, secret=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done to the rows.

    Attributes:
        filters: applied one after the other.
        duplicates: what counts as one.
        against: benchmarks; none compares nothing.
        contamination: how rows are compared with them.
        instruction: added to every prompt in the end.
    """

    filters: tuple[AnyFilter, ...]
    duplicates: Duplicates
    against: tuple[Known, ...]
    contamination: AnyContamination
    instruction: str

    def described(self) -> dict[str, Any]:
        """What the result depends on, ready for JSON."""
        return {
            "filters": [dump(each) for each in self.filters],
            "duplicates": dump(self.duplicates),
            "against": {each.name: each.sha256() for each in self.against},
            "contamination": dump(self.contamination),
            "instruction": self.instruction,
        }


@dataclass(slots=True)
class Curation:
    """Sources on their way to clean problems, in the scratch files of ``task``; ``run``, then ``write``."""

    task: Task
    rules: Rules
    funnel: Funnel = field(default_factory=Funnel)
    _ledger: dict[str, Any] | None = None

    def run(self, sources: Sequence[Source], seed: int) -> Funnel:
        """Make all passes, from where a killed process left them.

        Raises:
            UserError: a source cannot be read, or a benchmark cannot be compared with.
        """
        self._begin({"sources": [dump(each) for each in sources], "seed": seed})
        kept = self._sift(self._collect(sources, seed))
        counts = self._settle(kept)
        unique = counts.get("rows", {}).get("unique", 0)
        self.funnel.count("duplicates", unique, self._explain())
        if self.rules.against:
            gone = counts.get("contaminated", {})
            self.funnel.count("decontaminate", unique - sum(gone.values()), gone)
            self._ledger = {
                **Comparison(self.rules.contamination, self.rules.against).ledger(),
                "rule": self.rules.contamination.model_dump(mode="json"),
                "compared": unique,
                "removed": sum(gone.values()),
                "hits": dict(sorted(counts.get("hits", {}).items())),
            }
        return self.funnel

    def write(self, out: Path) -> None:
        """Write the results into a folder; the scratch files stay, so that this may be interrupted as well."""
        filters = [_filter(place) for place in range(len(self.rules.filters))]
        dropped = [*filters, _REPEATED, *([_CONTAMINATED] if self.rules.against else [])]
        self._join(out / DROPPED, [f"{step}.{DROPPED}" for step in dropped])
        self._join(out / QUEUE, [f"{step}.{QUEUE}" for step in [*filters, _REPEATED]])
        self._join(out / QUARANTINE, [QUARANTINE])
        self._join(out / PROBLEMS, [PROBLEMS])
        write_json(out / "funnel.json", self.funnel.rows())
        if self._ledger is not None:
            write_json(out / "ledger.json", self._ledger)
            self._join(out / HITS, [HITS])

    def _join(self, path: Path, names: Iterable[str]) -> None:
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as whole:
            for name in names:
                with self.task.scratch(name).open("rb") as part:
                    shutil.copyfileobj(part, whole, 1 << 20)
            whole.flush()
            os.fsync(whole.fileno())
        temporary.replace(path)

    def _begin(self, given: Mapping[str, Any]) -> None:
        """Begin anew where the scratch files belong to other settings; the runner refuses that before."""
        mark, identity = self.task.scratch("settings.json"), {**given, **self.rules.described()}
        if not mark.is_file() or read_json(mark) != sha256_json(identity):
            fresh_folder(mark.parent)
            write_json(mark, sha256_json(identity))

    def _stream(self, name: str, rows: str, make: Callable[[], Work], outputs: list[str]) -> Counts:
        """One pass over a scratch file of rows; a pass refuses inputs that hold none, here there may be none left."""
        path = self.task.scratch(rows)
        if path.stat().st_size:
            return replace(self.task, inputs=(path,)).stream(name, make, outputs)
        for each in outputs:
            self.task.scratch(each).touch()
        return {}

    # -- the passes --------------------------------------------------------------------------------

    def _collect(self, sources: Sequence[Source], seed: int) -> int:
        """Write every problem of the sources down; the counts, written last, say that all are."""
        mark = self.task.scratch("collected.json")
        if not mark.is_file():
            reasons: Counter[str] = Counter()
            with self.task.scratch(QUARANTINE).open("wb") as aside:

                def rows() -> Iterator[Problem]:
                    for place, source in enumerate(sources):
                        for row in source.collect(seed + place):
                            if isinstance(row, Unread):
                                named = f"bad row ({row.field})" if row.field else "bad row"
                                reasons[named] += 1
                                aside.write(row.line)
                            else:
                                yield row

                kept = write_rows(self.task.scratch(_COLLECTED), rows())
                aside.flush()
                os.fsync(aside.fileno())
            write_json(mark, {"kept": kept, "reasons": reasons})
        collected = read_json(mark)
        self.funnel.count("collect", collected["kept"], collected["reasons"])
        return collected["kept"]

    def _sift(self, kept: int) -> int:
        """Apply the filters; gives how many rows stay."""
        filters = [_filter(place) for place in range(len(self.rules.filters))]
        asides = [f"{step}.{file}" for step in filters for file in (DROPPED, QUEUE)]
        work = partial(_sifting, self.rules)
        counts = self._stream("sift", _COLLECTED, work, [_SIFTED, _RECORDS, *asides])
        for step, config in zip(filters, self.rules.filters, strict=True):
            gone = counts.get(step, {})
            kept -= sum(gone.values())
            self.funnel.count(config.kind, kept, gone)
        return kept

    def _settle(self, kept: int) -> Counts:
        """Find what repeats, and compare what does not; gives the counts."""
        records, groups = self.task.scratch(_RECORDS), self.task.scratch("groups")
        find_groups(records, number(records), groups)
        if self.rules.duplicates.kind == "near" and kept:
            task = replace(self.task, inputs=(self.task.scratch(_SIFTED),))
            find_near(task, self.rules.duplicates, _reader, gold, groups, kept)
        outputs = [PROBLEMS, _SAID, _OFFSETS, HITS, f"{_CONTAMINATED}.{DROPPED}"]
        return self._stream("settle", _SIFTED, partial(_settling, self.rules, groups), outputs)

    def _explain(self) -> Counter[str]:
        """Write what is repeated, with the reason and, where answers differ, for a person; gives the reasons."""
        scratch, reasons = self.task.scratch, Counter[str]()
        found = repeats(scratch(_SAID), scratch(_SIFTED), scratch(_OFFSETS))
        with (
            scratch(f"{_REPEATED}.{DROPPED}").open("wb") as dropped,
            scratch(f"{_REPEATED}.{QUEUE}").open("wb") as queue,
        ):
            for problem, why in found:
                reasons[kind_of(why)] += 1
                dropped.write(_line(Dropped("duplicates", why, problem)))
                if (doubt := doubt_of(problem, why)) is not None:
                    queue.write(_line(doubt))
        return reasons


def _filter(place: int) -> str:
    return f"filter-{place}"


def _problem(line: Line) -> Problem:
    return stored_problem(parse(line))


def _line(row: object) -> bytes:
    return row_line(row).encode()


def _sifting(rules: Rules) -> Work:
    steps = [
        (_filter(n), each.kind, each.build(judge_gold)) for n, each in enumerate(rules.filters)
    ]
    keys = keys_of(rules.duplicates)

    def work(chunk: Chunk) -> Piece:
        piece = PieceMaker()
        records: list[tuple[int, int, int, int]] = []
        for line in chunk.lines:
            problem = _problem(line)
            for step, kind, keep in steps:
                good, why = keep(problem)
                if not good:
                    piece.count(step, kind_of(why))
                    piece.add(f"{step}.{DROPPED}", _line(Dropped(kind, why, problem)))
                    if (doubt := doubt_of(problem, why)) is not None:
                        piece.add(f"{step}.{QUEUE}", _line(doubt))
                    break
            else:
                piece.add(_SIFTED, line.data + b"\n")
                records.append(keys(problem))
        return piece.whole(records=np.array(records, RECORD).tobytes())

    return work


def _reader() -> Read:
    def read(chunk: Chunk) -> tuple[list[Row], list[Any]]:
        problems = ((line, _problem(line)) for line in chunk.lines)
        return [
            Row(line.number, line, Record(each.asked, answer=each.answer))
            for line, each in problems
        ], []

    return read


def _settling(rules: Rules, groups: Path) -> Work:
    said = Said(groups)
    comparison = Comparison(rules.contamination, rules.against) if rules.against else None

    def work(chunk: Chunk) -> Piece:
        piece = PieceMaker()
        known = said.between(chunk.lines[0].number, chunk.lines[-1].number)
        single = [line for line in chunk.lines if line.number not in known]
        problems = [_problem(line) for line in single]
        found: Iterable[Compared] = repeat(_CLEAN, len(problems))
        if comparison is not None:
            answers = [each.answer for each in problems]
            found = comparison.compare([each.asked for each in problems], answers)
        for line, problem, compared in zip(single, problems, found, strict=True):
            for hit in _hits(problem, compared):
                piece.count("hits", f"{hit['benchmark']}, {hit['kind']}")
                piece.add(HITS, _line(hit))
            if compared.worst is not None:
                why = reason(compared.worst)
                piece.count("contaminated", kind_of(why))
                shown = _withheld(problem) if compared.secret else problem
                gone = Dropped("decontaminate", why, shown)
                piece.add(f"{_CONTAMINATED}.{DROPPED}", _line(gone))
            elif rules.instruction:
                asked = replace(problem, prompt=problem.prompt + rules.instruction)
                piece.add(PROBLEMS, _line(asked))
            else:
                piece.add(PROBLEMS, line.data + b"\n")
        piece.count("rows", "unique", len(single))
        rows = [(row, first, KINDS.index(kind)) for row, (kind, first) in known.items()]
        offsets = np.array([line.offset for line in chunk.lines], "<u8")
        return piece.whole(said=np.array(rows, SAID).tobytes(), offsets=offsets.tobytes())

    return work


def _withheld(problem: Problem) -> Problem:
    return replace(problem, prompt=WITHHELD, solution=None, before=())


def _hits(problem: Problem, found: Compared) -> Iterator[dict[str, Any]]:
    """Every match, with the part of the row that it is about; a benchmark's own text stays where it is."""
    for match in found.matches:
        start, end = match.span
        yield {
            "problem_id": problem.id,
            "benchmark": match.benchmark,
            "item": match.item,
            "kind": match.kind,
            "score": round(match.score, 4),
            "removed": match is found.worst,
            "text": None if found.secret else problem.asked[start:end][:500],
        }
