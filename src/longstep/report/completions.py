"""One pass over stored completions: how long the answers were, and a few traces to read.

Files of completions are the largest of a run, so this streams: per file it keeps a count for each
(kind of verdict, length) and at most a handful of traces.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstep.report.read import Reader, mapping, sequence, words

#: What the page tells apart: a status outside this list is shown as "other".
OUTCOMES = ("correct", "incorrect", "truncated", "other")
_OUTCOME_OF = {
    "correct": "correct",
    "incorrect": "incorrect",
    "unparseable": "incorrect",
    "truncated": "truncated",
}
_TRACES = {"correct": 2, "incorrect": 2, "truncated": 1, "other": 1}
_MAX_TEXT = 6000


@dataclass(frozen=True, slots=True)
class Trace:
    """One sampled answer to read, with the question and the gold answer when they were found."""

    model: str
    benchmark: str
    problem_id: str
    sample_index: str
    prompt: str
    gold: str
    outcome: str
    status: str
    reason: str
    answer: str
    thinking: str
    reply: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the answers of one model to one benchmark were.

    Attributes:
        model: the model.
        benchmark: the benchmark, or the stage that sampled.
        counts: for each outcome, how many answers had each number of tokens.
        statuses: how many answers had each verdict status, the most frequent first.
        without_ids: answers stored as text only (a remote teacher), of unknown length.
    """

    model: str
    benchmark: str
    counts: Mapping[str, Counter[int]]
    statuses: tuple[tuple[str, int], ...]
    without_ids: int

    @property
    def total(self) -> int:
        """Number of answers with a known length."""
        return sum(counter.total() for counter in self.counts.values())


@dataclass(slots=True)
class _Pick:
    """The answers with the smallest hashes of one outcome: a sample nobody chose by hand."""

    size: int
    heap: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)

    def offer(self, key: int, place: int, row: dict[str, Any]) -> None:
        entry = (-key, -place, row)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif entry[:2] > self.heap[0][:2]:
            heapq.heapreplace(self.heap, entry)

    def rows(self) -> list[dict[str, Any]]:
        return [row for _, _, row in sorted(self.heap, key=lambda entry: (-entry[0], -entry[1]))]


def read_completions(
    reader: Reader, path: Path, problems: Path, model: str, benchmark: str
) -> tuple[Lengths, tuple[Trace, ...]]:
    """Lengths and sample traces of one file of completions.

    Args:
        reader: the reader of the run folder.
        path: JSONL of ``Completion`` rows.
        problems: JSONL of the ``Problem`` rows they answer; may be missing.
        model: who answered.
        benchmark: what was asked.
    """
    counts: dict[str, Counter[int]] = {outcome: Counter() for outcome in OUTCOMES}
    picks = {outcome: _Pick(size) for outcome, size in _TRACES.items()}
    statuses: Counter[str] = Counter()
    without_ids = 0
    for place, row in enumerate(reader.rows(path)):
        outcome = outcome_of(row)
        statuses[words(mapping(row.get("verdict")).get("status")) or "no verdict"] += 1
        num_tokens = len(sequence(row.get("token_ids")))
        if num_tokens:
            counts[outcome][num_tokens] += 1
        else:
            without_ids += 1
        picks[outcome].offer(_hash(row), place, row)
    rows = [row for outcome in OUTCOMES for row in picks[outcome].rows()]
    asked = _problems(reader, problems, {words(row.get("problem_id")) for row in rows})
    traces = tuple(_trace(row, asked, model, benchmark) for row in rows)
    return Lengths(model, benchmark, counts, _ranked(statuses), without_ids), traces


def _hash(row: Mapping[str, Any]) -> int:
    key = f"{row.get('problem_id')}/{row.get('sample_index')}".encode(errors="replace")
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big")


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def outcome_of(row: Mapping[str, Any]) -> str:
    """One of `OUTCOMES` for a completion row; an answer without a verdict is "other"."""
    return _OUTCOME_OF.get(words(mapping(row.get("verdict")).get("status")), "other")


def _problems(reader: Reader, path: Path, wanted: set[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in reader.rows(path) if wanted else ():
        name = words(row.get("id"))
        if name in wanted:
            found[name] = row
    return found


def _trace(
    row: Mapping[str, Any], asked: Mapping[str, Mapping[str, Any]], model: str, benchmark: str
) -> Trace:
    verdict = mapping(row.get("verdict"))
    problem = asked.get(words(row.get("problem_id")), {})
    thinking, reply = split_thinking(words(row.get("text")))
    return Trace(
        model=model,
        benchmark=benchmark,
        problem_id=words(row.get("problem_id")),
        sample_index=words(row.get("sample_index")),
        prompt=shorten(words(problem.get("prompt"))),
        gold=shorten(words(problem.get("answer")), 400),
        outcome=outcome_of(row),
        status=words(verdict.get("status")) or "no verdict",
        reason=shorten(words(verdict.get("reason")), 400),
        answer=shorten(words(verdict.get("answer")), 400),
        thinking=shorten(thinking),
        reply=shorten(reply),
        num_tokens=len(sequence(row.get("token_ids"))),
    )


def split_thinking(text: str) -> tuple[str, str]:
    """The thinking and what follows it; all of it is thinking when the tag never closes.

    Only for colouring the page: verdicts come from the file and are never computed here.
    """
    head, closed, tail = text.partition("</think>")
    if closed:
        return head + closed, tail
    return (text, "") if text.lstrip().startswith("<think>") else ("", text)


def shorten(text: str, limit: int = _MAX_TEXT) -> str:
    """The text, or its two ends when it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def longest(lengths: Iterable[Lengths]) -> int:
    """The largest number of tokens over several models, for a shared axis."""
    return max(
        (max(counter) for entry in lengths for counter in entry.counts.values() if counter),
        default=1,
    )
