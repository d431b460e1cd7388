"""Near duplicates of a file of any size: only rows with the same numbers and the same answer can be near each other.

So the rows that exact keys left over are scattered into parts by numbers and answer, and ``curate.duplicates`` looks
at one part at a time. Memory: one part, some 20,000 rows, unless more rows than that share numbers and answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from longstep.curate.duplicates import AnswerKey, Duplicates
from longstep.curate.normalise import words
from longstep.formats.lines import dump, parse, read_lines
from longstep.jobs.base import Piece, Task, Work
from longstep.jobs.groups import Said, add
from longstep.jobs.inputs import Chunk
from longstep.jobs.rows import Read, hash64
from longstep.types import Problem

_ROWS_PER_PART = 20_000
_MOST_PARTS = 500  # files open at the same time


def find_near(
    task: Task,
    how: Duplicates,
    reader: Callable[[], Read],
    answer_key: AnswerKey,
    groups: Path,
    rows: int,
) -> int:
    """Add near duplicates to what ``groups`` says of the rows; returns how many there are.

    Args:
        task: the job.
        how: how near.
        reader: makes what reads a chunk.
        answer_key: key of an answer's value, or ``None`` where it has none.
        groups: folder of ``find_groups``.
        rows: how many there are, about.
    """
    parts = min(rows // _ROWS_PER_PART + 1, _MOST_PARTS)
    names = [f"near/part-{part}" for part in range(parts)]
    task.stream("near", partial(_scatter, reader, answer_key, groups, names), names)
    progress = task.how.progress("near groups", parts, "part")
    surplus = 0
    for name in names:
        pairs = list(_pairs(task.scratch(name), how, answer_key))
        add(groups, np.array(pairs, "<u8").reshape(-1, 2), "near")
        surplus += len(pairs)
        progress.advance()
    progress.finish()
    return surplus


def _scatter(
    reader: Callable[[], Read], answer_key: AnswerKey, groups: Path, names: list[str]
) -> Work:
    read, said = reader(), Said(groups)

    def work(chunk: Chunk) -> Piece:
        rows, _ = read(chunk)
        known = said.between(rows[0].number, rows[-1].number) if rows else {}
        outputs: dict[str, list[bytes]] = {}
        for row in rows:
            if row.number not in known:
                prompt, answer = row.record.prompt, row.record.answer or ""
                name = names[_block(prompt, answer_key(answer) or answer.strip()) % len(names)]
                outputs.setdefault(name, []).append(dump({"row": [row.number, prompt, answer]}))
        return Piece({name: b"".join(lines) for name, lines in outputs.items()}, {})

    return work


def _block(prompt: str, gold: str) -> int:
    """Rows of different blocks are never near, whatever their words."""
    numbers = sorted(word for word in words(prompt) if word[0].isdigit())
    return hash64("\0".join([gold, *numbers]))


def _pairs(path: Path, how: Duplicates, answer_key: AnswerKey) -> Iterator[tuple[int, int]]:
    """(row, first row of its group) of every surplus row of a part."""
    read = (parse(line)["row"] for line in read_lines(path))
    problems = [Problem(str(row), prompt, answer) for row, prompt, answer in read]
    for group in how.groups(problems, answer_key):
        first, *rest = (int(member.id) for member in group.members)
        yield from ((row, first) for row in rest)
