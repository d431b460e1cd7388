"""Moving averages and slopes of a series, oldest value first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence


def known(values: Iterable[float | None]) -> list[float]:
    """The values that there are."""
    return [value for value in values if value is not None]


def averages_N(values_N: Iterable[float], window: int) -> list[float]:
    """Exponential moving averages: the first is the first value, each later one moves by ``2 / (window + 1)``."""
    found: list[float] = []
    for value in values_N:
        last = found[-1] if found else value
        found.append(last + (value - last) * 2 / (window + 1))
    return found


def slope(values_N: Sequence[float]) -> float:
    """Least squares: how much a straight line through the values rises from one to the next."""
    middle, mean = (len(values_N) - 1) / 2, statistics.fmean(values_N)
    spread = math.fsum((place - middle) ** 2 for place in range(len(values_N)))
    return (
        math.fsum((i - middle) * (value - mean) for i, value in enumerate(values_N)) / spread
        if spread
        else 0.0
    )
