"""Answers of published rows, merged: one problem with several answers; what repeats or contradicts goes aside."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from longstep.artifacts import row_line, write_json, write_rows
from longstep.config import UserError
from longstep.curate.funnel import Funnel
from longstep.formats.files import read_file
from longstep.formats.lines import parse
from longstep.formats.traces import TrainedTurns
from longstep.jobs.base import Counts, Task
from longstep.jobs.published import Published
from longstep.jobs.repeats import gold, stored_problem
from longstep.jobs.rows import hash64
from longstep.jobs.traces import (
    ANSWERS,
    DROPPED,
    OUTPUTS,
    QUARANTINE,
    QUESTIONS,
    pair_work,
    trace_work,
)
from longstep.types import Completion, Pair, Verdict

PROBLEMS, COMPLETIONS, PAIRS = "problems.jsonl", "completions.jsonl", "pairs.jsonl"
COUNTS, FUNNEL = "counts.json", "funnel.json"
_MERGED = "merged.dropped.jsonl"
#: What to do when a reason takes everything.
_REMEDIES = {
    "no thought": "set thoughtless: empty to train on answers alone",
    "no answer in the row": "take its problems by a stage of kind curate, or name the columns",
    "no pair in the row": "read it by a stage of kind traces, or name the columns",
    "the thought never closes": "the answers were cut; take whole ones",
    "not verified": "set require: any, or name the column of the keys with key",
}


@dataclass(slots=True)
class _Index:
    """What is held of all questions and answers: hashes."""

    keys: dict[str, int] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)
    said: set[int] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)

    def trouble(self, row: dict[str, Any], texts: str) -> str:
        """Why an answer does not join those of its question; empty when it does, and it is counted then."""
        name = row["problem_id"]
        key = hash64(gold(row["answer"]))
        if self.keys.setdefault(name, key) != key:
            return "another key than an earlier row with the same question"
        mark = hash64(f"{name}\n{texts}")
        if mark in self.said:
            return "says the same as an earlier row"
        self.said.add(mark)
        self.numbers[name] += 1
        return ""


def make_traces(settings: Published, turns: TrainedTurns, task: Task, out: Path) -> Counts:
    """Write ``problems.jsonl`` and ``completions.jsonl``, and what went aside; gives the counts.

    Raises:
        UserError: nothing is left, or too many rows cannot be read.
    """

    def completion(row: dict[str, Any], number: int) -> Completion:
        verdict = None if row["verdict"] is None else Verdict(**row["verdict"])
        place = row["problem_id"], number
        return Completion(*place, (), (), row["text"], "stop", verdict=verdict)

    work = partial(trace_work, settings, settings.reading(task.inputs), turns)
    return _Merging(settings, task, out, completion, lambda row: row["text"]).run(work, COMPLETIONS)


def make_pairs(settings: Published, task: Task, out: Path) -> Counts:
    """Write ``problems.jsonl`` and ``pairs.jsonl``, and what went aside; gives the counts.

    Raises:
        UserError: as :func:`make_traces`.
    """

    def pair(row: dict[str, Any], number: int) -> Pair:
        return Pair(row["problem_id"], "", row["chosen"], row["rejected"], (), (), ())

    def said(row: dict[str, Any]) -> str:
        return f"{row['chosen']}\n{row['rejected']}"

    work = partial(pair_work, settings, settings.reading(task.inputs))
    return _Merging(settings, task, out, pair, said).run(work, PAIRS)


@dataclass(frozen=True, slots=True)
class _Merging:
    settings: Published
    task: Task
    out: Path
    made: Callable[[dict[str, Any], int], object]
    said: Callable[[dict[str, Any]], str]

    def run(self, work: Any, file: str) -> Counts:
        job = self.settings.reading(self.task.inputs)
        counts = self.task.stream("read", work, OUTPUTS, job.refuse_bad)
        job.refuse_bad(counts, enough=1)
        index = _Index()
        kept = write_rows(self.out / file, self._rows(index)) if self._any() else 0
        rows = counts["rows"]
        rows["kept"] = kept
        if index.reasons:
            counts["repeats"] = dict(index.reasons)
        funnel = funnel_of(counts)
        write_json(self.out / FUNNEL, funnel.rows())
        write_json(self.out / COUNTS, {"drawn": rows.get("answers", 0), "kept": kept, **counts})
        self._join(DROPPED, [DROPPED, _MERGED])
        self._join(QUARANTINE, [QUARANTINE])
        if not kept:
            raise UserError(
                f"{self.settings.data}: {nothing_left(counts)}; see {self.out / DROPPED}"
            )
        write_rows(self.out / PROBLEMS, self._problems(index))
        return counts

    def _any(self) -> bool:
        self.task.scratch(_MERGED).write_bytes(b"")
        return self.task.scratch(ANSWERS).stat().st_size > 0

    def _rows(self, index: _Index) -> Iterator[object]:
        with self.task.scratch(_MERGED).open("wb") as aside:
            for line in read_file(self.task.scratch(ANSWERS)):
                row = parse(line)
                if why := index.trouble(row, self.said(row)):
                    index.reasons[why] += 1
                    aside.write(row_line({**row, "reason": why}).encode())
                else:
                    yield self.made(row, index.numbers[row["problem_id"]] - 1)

    def _problems(self, index: _Index) -> Iterator[object]:
        """The first row of each question; the index forgets it then, so that it is written once."""
        for line in read_file(self.task.scratch(QUESTIONS)):
            problem = stored_problem(parse(line))
            if index.keys.pop(problem.id, None) is not None:
                yield problem

    def _join(self, name: str, parts: list[str]) -> None:
        with (self.out / name).open("wb") as whole:
            for part in parts:
                with self.task.scratch(part).open("rb") as file:
                    shutil.copyfileobj(file, whole, 1 << 20)


def funnel_of(counts: Counts) -> Funnel:
    """What became of the answers, step by step."""
    rows, funnel = counts["rows"], Funnel()
    answers = rows.get("answers", 0)
    rowless = {
        **({"bad row": rows["bad"]} if rows["bad"] else {}),
        **counts.get("dropped rows", {}),
    }
    funnel.count("rows read", answers, rowless)
    gone = counts.get("dropped answers", {})
    funnel.count("answers read", answers - sum(gone.values()), gone)
    funnel.count("merged by question", rows["kept"], counts.get("repeats", {}))
    return funnel


def nothing_left(counts: Counts) -> str:
    """Why no answer is left, in a sentence with what to do."""
    reasons = Counter[str]()
    for table in ("dropped rows", "dropped answers", "repeats"):
        reasons.update(counts.get(table, {}))
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(4))
    first = next(iter(reasons.most_common(1)), ("", 0))[0].split(",")[0]
    remedy = _REMEDIES.get(first)
    said = f"nothing in its {counts['rows']['read']} rows can be trained on ({told or 'all are unreadable'})"
    return f"{said}; {remedy}" if remedy else said


def told(counts: Counts) -> str:
    """What came out, in one line."""
    rows = counts["rows"]
    said = [f"{rows['read']} rows, {rows.get('answers', 0)} answers, {rows['kept']} kept"]
    names = (
        "verdicts",
        "published verdicts",
        "dropped rows",
        "dropped answers",
        "repeats",
        "prompts",
        "answers",
    )
    for name in names:
        if table := counts.get(name):
            entries = sorted(table.items(), key=lambda each: -each[1])
            said.append(f"{name}: " + ", ".join(f"{count} {what}" for what, count in entries))
    return "; ".join(said)
