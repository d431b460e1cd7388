"""Means over problems with their intervals, and differences that say whether they can be told from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from longstep.evaluate.statistics import MIN_PROBLEMS, value_intervals

#: One number a problem; ``None`` where nobody can say.
Column = Sequence[float | None]
#: Mean, 95 % interval over problems, problems that are known.
MeanInterval = tuple[float, tuple[float, float], int]


def mean_intervals(
    columns: Sequence[Column], seed: int, resamples: int
) -> list[MeanInterval | None]:
    """Mean, 95 % interval and number of the known values of each column; ``None`` where there are none.

    Columns that know the same problems are resampled together.
    """
    known = [np.array([value is not None for value in column]) for column in columns]
    found: list[MeanInterval | None] = [None] * len(columns)
    groups: dict[bytes, list[int]] = {}
    for at, known_P in enumerate(known):
        if known_P.any():
            groups.setdefault(known_P.tobytes(), []).append(at)
    for places in groups.values():
        value_PK = np.array(
            [[value for value in columns[at] if value is not None] for at in places]
        ).T
        intervals = value_intervals(value_PK, seed, resamples)
        for at, mean, interval in zip(places, value_PK.mean(0), intervals, strict=True):
            found[at] = float(mean), interval, len(value_PK)
    return found


def difference(
    names: tuple[str, str], delta: float, interval: tuple[float, float], problems: int
) -> dict[str, Any]:
    """A difference, whether it can be told from 0, and the sentence that says so."""
    low, high = interval
    sure = problems >= MIN_PROBLEMS and (low > 0 or high < 0)
    verdict = ("better" if delta > 0 else "worse") if sure else "not distinguishable"
    return {
        "delta": delta,
        "delta_ci95": (low, high),
        "distinguishable": sure,
        "sentence": (
            f"{names[1]} - {names[0]} = {100 * delta:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}], {problems} problems: {verdict}"
        ),
    }
