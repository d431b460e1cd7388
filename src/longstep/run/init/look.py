"""What a file of rows holds, from its first ones: how they are laid out, what they have, how long they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.formats.faults import RowError
from longstep.formats.files import read_file
from longstep.formats.layout import Layout
from longstep.formats.layouts import detect, named
from longstep.formats.lines import parse
from longstep.formats.record import Record
from longstep.verify import key_trouble
from longstep.verify.gold import listed

#: So many rows are looked at; the rest of the file is not read.
LOOKED = 2000
#: What people call the two columns that a problem needs, the surest first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("question", "problem", "prompt", "query", "ask", "exercise", "task", "input", "instruction", "text"),
    "answer": (
        "answer", "final_answer", "key", "gold", "ground_truth", "target", "expected", "expected_answer", "label",
        "correct_answer", "result", "output",
    ),
}  # fmt: skip
#: A verifier that cannot read more keys than this is not proposed.
_MOST_UNREADABLE = 0.1
_LETTERS = frozenset("ABCDEFGHIJ")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen.

    Attributes:
        path: the file, as it was typed.
        rows: how many were looked at, and could be read.
        bad: how many could not, and the first of them in a sentence.
        first_bad: empty when all could.
        layout: what the rows were taken for, with who uses it; empty when columns are named.
        columns: field -> column, where no layout says it.
        has: how many rows have which field.
        characters: the longest of each field.
        keys: answers, as they stand.
    """

    path: str
    rows: int
    bad: int
    first_bad: str
    layout: str
    columns: Mapping[str, str]
    has: Mapping[str, int]
    characters: Mapping[str, int]
    keys: Sequence[str]

    def all_have(self, field: str) -> bool:
        """Whether every row has it."""
        return self.has[field] == self.rows


def look(path: Path, layout: str = "auto", columns: Mapping[str, str] | None = None) -> Seen:
    """Look at the first rows.

    Args:
        path: the file.
        layout: how its rows are laid out; ``auto`` tells it from them.
        columns: field -> column, instead of a layout.

    Raises:
        UserError: it cannot be read, or nothing says what its columns mean.
    """
    rows, faults = _rows(path)
    if not rows:
        raise UserError(f"{path}: {faults[0] if faults else 'holds no rows'}")
    chosen, columns = _reading(rows, str(path), layout, dict(columns or {}))
    records: list[Record] = []
    for number, row in rows:
        try:
            records.append(chosen.read(row))
        except RowError as error:
            faults.append(str(error.at(path, number)))
    if not records:
        raise UserError(f"{faults[0]} (and none of the first rows can be read)")
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, text in _texts(record).items():
            texts[name].append(text)
    has = Counter({name: len(found) for name, found in texts.items()})
    has["pass_rate"] = sum(each.pass_rate is not None for each in records)
    return Seen(
        path=str(path),
        rows=len(records),
        bad=len(faults),
        first_bad=faults[0] if faults else "",
        layout="" if columns else f"{chosen.name}: {chosen.note}",
        columns=columns,
        has=has,
        characters={name: max(map(len, found), default=0) for name, found in texts.items()},
        keys=texts["answer"],
    )


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """The first rows with their lines, and what is wrong with the others."""
    rows, faults = [], []
    for line in islice(read_file(path), LOOKED):
        try:
            rows.append((line.number, parse(line)))
        except RowError as error:
            faults.append(str(error.at(path, line.number)))
    return rows, faults


def _texts(record: Record) -> dict[str, str]:
    """The texts that a record has, by field."""
    fields = {
        "prompt": record.prompt,
        "answer": record.answer,
        "solution": record.solution,
        "completion": record.completion,
        "chosen": record.chosen,
        "rejected": record.rejected,
    }
    return {name: text.strip() for name, text in fields.items() if text and text.strip()}


def _reading(
    rows: Sequence[tuple[int, dict[str, Any]]], place: str, layout: str, columns: dict[str, str]
) -> tuple[Layout, dict[str, str]]:
    """How the rows are read: as the user says, as a known layout, or by columns that are called like what they hold."""
    if (said := named(layout, columns)) is not None:
        return said, columns
    sample = [row for _, row in rows[:100]]
    guessed = _guess(sample)
    try:
        found = detect(sample, place)
    except UserError:
        if "prompt" not in guessed:
            raise
        found = None
    if found is not None and not (_only_asks(found, sample) and "answer" in guessed):
        return found, {}
    by_columns = named("auto", guessed)
    assert by_columns is not None, "columns are named"
    return by_columns, guessed


def _only_asks(layout: Layout, sample: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows read so hold questions and nothing that answers them."""
    for row in sample:
        try:
            record = layout.read(row)
        except RowError:
            continue
        if _texts(record).keys() - {"prompt"}:
            return False
    return True


def _guess(sample: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    columns = Counter(column for row in sample for column in row)
    usual = [column for column, count in columns.items() if 2 * count >= len(sample)]
    found: dict[str, str] = {}
    for field, names in _NAMES.items():
        for name in names:
            same = [each for each in usual if each.lower().replace(" ", "_") == name]
            if same and same[0] not in found.values():
                found[field] = same[0]
                break
    return found


def verifier_for(keys: Sequence[str]) -> tuple[str, str]:
    """Who can judge answers against these keys, and why: what was counted."""
    total = len(keys)
    choices = sum(key.strip("() .").upper() in _LETTERS for key in keys)
    if choices == total:
        return "math(kind=choice)", f"all {total:,} keys are letters of choices"
    lists = sum(len(listed(key)) > 1 for key in keys)
    troubles = Counter(key_trouble(key) for key in keys)
    readable = troubles[""] + lists
    if lists and readable >= (1 - _MOST_UNREADABLE) * total:
        return (
            "math(members=all)",
            f"{lists:,} of {total:,} keys are lists: all of their members have to be given; members=any takes one",
        )
    told = ", ".join(f"{count:,} {kind}" for kind, count in troubles.most_common() if kind)
    if readable >= (1 - _MOST_UNREADABLE) * total:
        return (
            "math",
            f"{readable:,} of {total:,} keys can be read{f' (not: {told})' if told else ''}",
        )
    return (
        "exact",
        f"only {readable:,} of {total:,} keys are mathematics ({told}); equal spelling counts, your own verifier is "
        "'module:function'",
    )
