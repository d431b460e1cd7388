"""Counts of a job as rows of text, for the console."""

from __future__ import annotations

import re
from collections.abc import Mapping


def count_rows(counts: Mapping[str, Mapping[str, int]], most: int = 20) -> list[list[str]]:
    """The tables one below the other, that of rows first, a header row before them; long ones are cut to ``most``."""
    rows = [["what", "", "count"]]
    for table in sorted(counts, key=lambda name: name != "rows"):
        for name, count in _largest(sorted(counts[table].items(), key=_natural), most):
            rows.append([table, name, f"{count:,}"])
    return rows


def _natural(entry: tuple[str, int]) -> tuple[int, str]:
    """Order by the number that a name begins with, then by the name."""
    digits = re.match(r"\d+", entry[0])
    return int(digits[0]) if digits else -1, entry[0]


def _largest(entries: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """The entries in their order; of a long table the largest ones and a line for the rest."""
    if len(entries) <= most:
        return entries
    entries.sort(key=lambda each: -each[1])
    rest = entries[most - 1 :]
    return [*entries[: most - 1], (f"{len(rest)} more", sum(count for _, count in rest))]
