"""Accuracy against tokens: what each strategy, pick and budget is worth, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longstep.evaluate.score import rounded
from longstep.scaling.axes import AXES, Prices, Work, axes_of
from longstep.scaling.intervals import Column, MeanInterval, difference, mean_intervals
from longstep.scaling.optimal import by_difficulty
from longstep.scaling.tally import StrategyTally


@dataclass(frozen=True)
class Counting:
    """How points are counted.

    Attributes:
        prices: of tokens, as declared.
        work: of a token, where the model's shape is known.
        seed: of the bootstrap.
        resamples: of it.
    """

    prices: Prices
    work: Work | None
    seed: int
    resamples: int


def curves(tallies: Sequence[StrategyTally], how: Counting) -> dict[str, Any]:
    """The content of ``curves.json``; rounded, without times.

    Points, the front on each axis, strategies against the first, the choice by difficulty, bills, strata.
    """
    points = list(_points(tallies, how))
    methods = [point for point in points if not point["bound"]]
    axes = [axis for axis in AXES if all(axis in point["costs"] for point in points)]
    table = _Table(tallies, how)
    for axis in axes:
        table.want(_front(methods, axis))
    pairs = list(_pairs(points))
    table.want([point for pair in pairs for point in pair], every=2)
    table.compare()
    return rounded(
        {
            "axes": {axis: AXES[axis] for axis in axes},
            "points": points,
            "fronts": {axis: table.front(_front(methods, axis), axis) for axis in axes},
            "comparisons": [_comparison(one, other, table) for one, other in pairs],
            "difficulty": by_difficulty(tallies, methods, how.seed, how.resamples),
            "bills": {tally.name: asdict(tally.whole().bill) for tally in tallies},
            "strata": {tally.name: _strata(tally) for tally in tallies if tally.strata},
        }
    )


def _points(tallies: Sequence[StrategyTally], how: Counting) -> Iterator[dict[str, Any]]:
    keys = [(tally, *key) for tally in tallies for key in tally.values]
    columns = [tally.values[pick, budget] for tally, pick, budget in keys]
    means = mean_intervals(columns, how.seed, how.resamples)
    for (tally, pick, budget), column, found in zip(keys, columns, means, strict=True):
        if found is None:
            continue
        mean, interval, known = found
        mean_load = tally.load(pick, budget)
        yield {
            "strategy": tally.name,
            "pick": pick,
            "budget": budget,
            "answers": tally.given(budget),
            "tokens": mean_load.bill.tokens,
            "costs": axes_of(mean_load, how.prices, how.work),
            "accuracy": mean,
            "ci95": interval,
            "problems": known,
            "unscorable": len(column) - known,
            "bound": _knows(tally, pick),
        }


def _knows(tally: StrategyTally, pick: str) -> bool:
    chosen = tally.picks[pick]
    users = (*chosen.scorers(), *tally.strategy.scorers())
    return chosen.knows or any(scorer.knows for scorer in users)


def _front(points: Sequence[dict[str, Any]], axis: str) -> list[dict[str, Any]]:
    """Points that nothing cheaper is as good as."""
    found: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["costs"][axis], -p["accuracy"])):
        if not found or point["accuracy"] > found[-1]["accuracy"]:
            found.append(point)
    return found


def _pairs(
    points: Sequence[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every strategy with the first, by the same pick at its largest budget."""
    largest = {(p["strategy"], p["pick"]): p for p in points if not p["bound"]}
    for other in largest.values():
        one = next(p for p in largest.values() if p["pick"] == other["pick"])
        if one["strategy"] != other["strategy"]:
            yield one, other


class _Table:
    """Differences of points problem by problem, their intervals found together."""

    def __init__(self, tallies: Sequence[StrategyTally], how: Counting) -> None:
        self._tallies = {tally.name: tally for tally in tallies}
        self._how = how
        self._wanted: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        self._found: dict[tuple[str, str], dict[str, Any]] = {}

    def want(self, points: Sequence[dict[str, Any]], every: int = 1) -> None:
        """Ask for the difference of neighbours, or of pairs when ``every`` is 2."""
        for at in range(0, len(points) - 1, every):
            one, other = points[at], points[at + 1]
            self._wanted[_key(one), _key(other)] = one, other

    def compare(self) -> None:
        """Find all that were asked for."""
        columns = [
            [
                None if a is None or b is None else b - a
                for a, b in zip(self._values(one), self._values(other), strict=True)
            ]
            for one, other in self._wanted.values()
        ]
        means = mean_intervals(columns, self._how.seed, self._how.resamples)
        pairs = zip(self._wanted.items(), columns, means, strict=True)
        for (keys, (one, other)), column, found in pairs:
            self._found[keys] = _compared(one, other, column, found)

    def _values(self, point: Mapping[str, Any]) -> Column:
        return self._tallies[point["strategy"]].values[point["pick"], point["budget"]]

    def of(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """The second against the first."""
        return self._found[_key(one), _key(other)]

    def front(self, points: Sequence[dict[str, Any]], axis: str) -> list[dict[str, Any]]:
        """A front, each point with what it adds to the one before."""
        found = []
        for at, point in enumerate(points):
            keys = ("strategy", "pick", "budget", "answers", "accuracy")
            entry = {key: point[key] for key in keys} | {"cost": point["costs"][axis]}
            found.append(entry | (self.of(points[at - 1], point) if at else {}))
        return found


def _key(point: Mapping[str, Any]) -> str:
    return f"{point['strategy']}\0{point['pick']}\0{point['budget']}"


def _compared(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    column: Column,
    found: MeanInterval | None,
) -> dict[str, Any]:
    delta, (low, high), known = found or (0.0, (0.0, 0.0), 0)
    if len({value for value in column if value is not None}) < 2:
        # An interval of coins says nothing about differences that are all one number.
        low = high = delta
    return difference((called(one), called(other)), delta, (low, high), known)


def _comparison(one: Mapping[str, Any], other: Mapping[str, Any], table: _Table) -> dict[str, Any]:
    return {
        "a": one["strategy"],
        "b": other["strategy"],
        "pick": other["pick"],
        "tokens": other["tokens"] / one["tokens"] if one["tokens"] else None,
        "answers": other["answers"] / one["answers"] if one["answers"] else None,
    } | table.of(one, other)


def called(point: Mapping[str, Any]) -> str:
    """A point in words."""
    return f"{point['strategy']}, {point['pick']} of {point['answers']:.3g}"


def _strata(tally: StrategyTally) -> dict[str, Any]:
    """Mean and plurality of one half of the answers, by whether the other half's plurality is right."""
    found = {}
    for name, right in (("plurality right", True), ("plurality wrong", False)):
        rows = [(a, m) for p, a, m in tally.strata if p is not None and (p > 0.5) == right]
        known = [(a, m) for a, m in rows if a is not None and m is not None]
        found[name] = {
            "problems": len(known),
            "average": np.mean([a for a, _ in known]) if known else None,
            "majority": np.mean([m for _, m in known]) if known else None,
        }
    return found
