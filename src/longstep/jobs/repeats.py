"""Repeated problems of a file of any size, ordered and explained as ``curate.duplicates.drop_duplicates`` does it.

``groups`` and ``near`` find on disk which row repeats which. What is held here is an index of the rows that go, some 60
bytes each; the rows themselves are read back from the file by their offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from longstep.curate.duplicates import Duplicates, duplicate_key
from longstep.formats.lines import START, Line, parse
from longstep.jobs.groups import BLOCK, KINDS, RECORD, SAID
from longstep.jobs.rows import hash64
from longstep.types import Problem
from longstep.verify.keys import answer_key

_NEAR, _CONFLICT = KINDS.index("near"), KINDS.index("conflict")
#: A reason shows this much of the conflicting answers.
_SHOWN = 200


def keys_of(how: Duplicates) -> Callable[[Problem], tuple[int, int, int, int]]:
    """Give what makes a ``RECORD`` of a problem; its row number comes later, see ``number``."""

    def keys(problem: Problem) -> tuple[int, int, int, int]:
        exact = exact_key(problem.asked)
        key = exact if how.kind == "exact" else duplicate_key(problem.asked)
        return key, exact, hash64(gold(problem.answer)), 0

    return keys


def stored_problem(row: Mapping[str, Any]) -> Problem:
    """A problem from a row that longstep wrote itself."""
    return Problem(**{**row, "before": tuple(map(tuple, row["before"]))})


def exact_key(text: str) -> int:
    """Key of a text as written, white space folded."""
    return hash64(" ".join(text.split()))


@lru_cache(maxsize=1 << 16)  # a file has few different answers
def gold(answer: str) -> str:
    """The value of an answer, or its text where it has none; a blank answer is a value like any other."""
    return answer_key(answer) or answer.strip()


def number(records: Path) -> int:
    """Number the records of a file from 1, in place; returns how many there are.

    A pass cannot do it: what a piece holds depends on its chunk alone.
    """
    done = 0
    with records.open("r+b") as file:
        while len(block := np.fromfile(file, RECORD, BLOCK)):
            file.seek(done * RECORD.itemsize)
            block["row"] = np.arange(done + 1, done + 1 + len(block))
            file.write(block.tobytes())
            done += len(block)
            file.seek(done * RECORD.itemsize)
    return done


def repeats(said: Path, rows: Path, offsets: Path) -> Iterator[tuple[Problem, str]]:
    """Every repeated or contradicted problem and why it goes, group by group in the order of their first rows.

    Args:
        said: file of ``SAID`` records, by row.
        rows: the problems, one a line.
        offsets: where each line begins, 8 bytes each.
    """
    found = np.fromfile(said, SAID)
    if not len(found):
        return
    group, order = _ordered(found)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    with rows.open("rb") as lines, offsets.open("rb") as places:
        at = _Lines(lines, places)
        for first, last in zip(starts, np.r_[starts[1:], len(group)], strict=True):
            members = found[order[first:last]]
            if members["kind"][0] == _CONFLICT:
                yield from _contradicted(members["row"].tolist(), at)
                continue
            leader = at.problem(int(group[first])).id
            for row, part, kind in members.tolist():
                # a copy of a near row is itself near to the group's first row, whatever it is to that copy
                name = KINDS[kind] if part == group[first] else "near"
                yield at.problem(row), f"{name} duplicate: of {leader}"


def _ordered(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each record's group, and the records' order, sorted by group, then part, then row.

    Rows of one normal form are a part; near parts make a group. ``found`` says of a row where its part begins, and of
    the first row of a near part where the group begins.
    """
    near = found[found["kind"] == _NEAR]
    part = np.where(found["kind"] == _NEAR, found["row"], found["first"])
    group = found["first"].copy()
    if len(near):
        at = np.minimum(np.searchsorted(near["row"], group), len(near) - 1)
        group = np.where(near["row"][at] == group, near["first"][at], group)
    order = np.lexsort((found["row"], part, group))
    return group[order], order


class _Lines:
    """Problems of a file by their numbers."""

    def __init__(self, lines: BinaryIO, places: BinaryIO) -> None:
        self._lines, self._places = lines, places

    def problem(self, row: int) -> Problem:
        self._places.seek(8 * (row - 1))
        offset = int.from_bytes(self._places.read(8), "little")
        self._lines.seek(offset)
        return stored_problem(parse(Line(row, offset, self._lines.readline(), START)))


def _contradicted(rows: Sequence[int], at: _Lines) -> Iterator[tuple[Problem, str]]:
    """A group with different answers, whole: nobody knows which is right."""
    answers: set[str] = set()
    for row in rows:
        answers.add(gold(at.problem(row).answer))
        if len(answers) > 2 * _SHOWN:  # only so many fit into the reason
            answers = set(sorted(answers)[:_SHOWN])
    shown = ", ".join(sorted(answers))[:_SHOWN]
    for row in rows:
        yield at.problem(row), f"conflicting golds: {shown}"
