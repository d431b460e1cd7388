"""Which rows of a file of any size share a key: scatter by key, look at one part at a time, gather by row.

Records of 32 bytes (key, exact key, answer, row) are written to disk while the rows stream by. Then they are scattered
into parts by the key's hash, so that all rows of a key lie in one part and a part fits in memory; each part is read in
blocks, and what it says of its rows (duplicate of which row, or a conflict) is scattered again by row number, so that
the second pass over the rows reads it in order. Memory: one part's keys and one block, whatever the number of rows.

Keys are 64-bit hashes: among n distinct rows, two are taken for one another with probability n^2 / 2^65
(3e-6 for ten million, 0.03 for a thousand million).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np

#: What a record says; ``answer`` 0 is an unknown one.
RECORD = np.dtype([("key", "<u8"), ("exact", "<u8"), ("answer", "<u8"), ("row", "<u8")])
#: What is said of a row: the first row of its group, and what it is to that, by its place in ``KINDS``.
SAID = np.dtype([("row", "<u8"), ("first", "<u8"), ("kind", "u1")])
_ENTRY = np.dtype([(name, "<u8") for name in ("key", "row", "exact", "low", "high", "count")])
Kind = Literal["exact", "normalised", "conflict", "near"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BLOCK = 1 << 16
PART = 1 << 17
MOST_PARTS = 256  # files open at the same time
_UNKNOWN = np.uint64(2**64 - 1)


def find_groups(records: Path, rows: int, folder: Path) -> dict[str, int]:
    """Find rows with equal keys and write what is known of them below ``folder``; ``Said`` reads it back.

    Done from the start when it was interrupted: it takes seconds.

    Args:
        records: file of ``RECORD``, rows in ascending order.
        rows: highest row number.
        folder: for scratch files, 32 bytes a row at the most.

    Returns:
        ``groups`` with more than one row, ``conflicts`` among these, ``surplus`` rows of groups without conflict.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parts = min(records.stat().st_size // RECORD.itemsize // PART + 1, MOST_PARTS)
    width = rows // min(rows // PART + 1, MOST_PARTS) + 1
    _scatter(_blocks(records, RECORD), lambda each: each["key"] % np.uint64(parts), folder / "key")
    totals = {"groups": 0, "conflicts": 0, "surplus": 0}
    for part in range(parts):
        path = folder / f"key-{part}"
        table = _table(path)
        conflict = _conflict(table)
        totals["groups"] += int(np.count_nonzero(table["count"] > 1))
        totals["conflicts"] += int(np.count_nonzero(conflict))
        totals["surplus"] += int((table["count"] - 1)[~conflict].sum())
        said = (_judge(block, table) for block in _blocks(path, RECORD))
        _scatter(said, lambda each: each["row"] // np.uint64(width), folder / "row")
        path.unlink(missing_ok=True)
    (folder / "width").write_text(str(width))
    return totals


def add(folder: Path, pairs: np.ndarray, kind: Kind) -> None:
    """Say more of rows that ``find_groups`` kept: pairs of a row and the first row of its group."""
    width = np.uint64((folder / "width").read_text())
    said = np.empty(len(pairs), SAID)
    said["row"], said["first"], said["kind"] = pairs[:, 0], pairs[:, 1], KINDS.index(kind)
    _scatter([said], lambda each: each["row"] // width, folder / "row")


class Said:
    """What ``find_groups`` wrote, read back span by span; rows are best asked for in ascending order."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; nothing is read yet."""
        self._folder = folder
        self._width = int((folder / "width").read_text())
        self._span, self._data = -1, np.empty(0, SAID)

    def between(self, low: int, high: int) -> dict[int, tuple[Kind, int]]:
        """For each row from ``low`` to ``high`` (included) that shares its key: what it is, the group's first row.

        The first row of a group without conflict is kept, so it is not in here.
        """
        found: dict[int, tuple[Kind, int]] = {}
        for span in range(low // self._width, high // self._width + 1):
            self._load(span)
            start, stop = np.searchsorted(self._data["row"], np.array([low, high + 1], "<u8"))
            for row, first, kind in self._data[start:stop].tolist():
                found[row] = KINDS[kind], first
        return found

    def _load(self, span: int) -> None:
        if span != self._span:
            path = self._folder / f"row-{span}"
            data = np.fromfile(path, SAID) if path.exists() else np.empty(0, SAID)
            self._span, self._data = span, data[np.argsort(data["row"], kind="stable")]


def _blocks(path: Path, dtype: np.dtype[Any]) -> Iterator[np.ndarray]:
    """The records of a file, a block at a time; a file that was never written has none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(block := np.fromfile(file, dtype, BLOCK)):
            yield block


def _scatter(
    blocks: Iterable[np.ndarray],
    part_of: Callable[[np.ndarray], np.ndarray],
    stem: Path,
) -> None:
    """Append each record to the file of its part, keeping their order within a part."""
    with ExitStack() as stack:
        files: dict[int, BinaryIO] = {}
        for block in blocks:
            if not len(block):
                continue
            parts = part_of(block)
            order = np.argsort(parts, kind="stable")
            names, starts = np.unique(parts[order], return_index=True)
            for part, records in zip(
                names.tolist(), np.split(block[order], starts[1:]), strict=True
            ):
                if part not in files:
                    path = stem.with_name(f"{stem.name}-{part}")
                    files[part] = stack.enter_context(path.open("ab"))
                files[part].write(records.tobytes())


def _table(path: Path) -> np.ndarray:
    """One entry per key of a part: first row, its exact key, lowest and highest known answer, number of rows."""
    table = np.empty(0, _ENTRY)
    for block in _blocks(path, RECORD):
        new = np.empty(len(block), _ENTRY)
        for name in ("key", "exact", "row"):
            new[name] = block[name]
        new["low"] = np.where(block["answer"] == 0, _UNKNOWN, block["answer"])
        new["high"] = block["answer"]
        new["count"] = 1
        table = _merged(np.concatenate([table, new]))
    return table


def _merged(entries: np.ndarray) -> np.ndarray:
    """One entry per key; of equal keys the first one's row counts, so earlier entries come first."""
    entries = entries[np.argsort(entries["key"], kind="stable")]
    starts = np.flatnonzero(np.r_[True, entries["key"][1:] != entries["key"][:-1]])
    table = entries[starts]
    table["low"] = np.minimum.reduceat(entries["low"], starts)
    table["high"] = np.maximum.reduceat(entries["high"], starts)
    table["count"] = np.add.reduceat(entries["count"], starts)
    return table


def _conflict(table: np.ndarray) -> np.ndarray:
    """Whether two known answers of a key differ: the lowest and the highest do then."""
    return table["high"] > table["low"]


def _judge(block: np.ndarray, table: np.ndarray) -> np.ndarray:
    """What is said of the rows of a block; rows that are kept are left out."""
    entry = table[np.searchsorted(table["key"], block["key"])]
    same = block["exact"] == entry["exact"]
    kind = np.where(_conflict(entry), KINDS.index("conflict"), np.where(same, 0, 1))
    said = np.empty(len(block), SAID)
    said["row"], said["first"], said["kind"] = block["row"], entry["row"], kind
    return said[(block["row"] != entry["row"]) | _conflict(entry)]
