"""Accuracy against tokens: what each strategy, pick and budget is worth, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from longstep.evaluate.score import rounded
from longstep.evaluate.statistics import MIN_PROBLEMS, value_interval
from longstep.scaling.account import Bill
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.base import expected
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer

#: Halves of fewer answers have no plurality worth the name.
LEAST_FOR_STRATA = 4


@dataclass
class StrategyTally:
    """What is kept of a strategy's trees: one number a problem for each pick and budget, and the bill.

    Attributes:
        strategy: its name.
        budgets: numbers of answers; only one, whatever it is, where smaller ones would have to be drawn.
        picks: by name.
        same: whether two answers are one.
        seed: of random subsets.
    """

    strategy: str
    budgets: Sequence[int]
    picks: Mapping[str, AnyPick]
    same: SameAnswer
    seed: int
    answers: int = 0
    bills: list[Bill] = field(default_factory=list)
    values: dict[tuple[str, int], list[float | None]] = field(default_factory=dict)
    strata: list[tuple[float | None, float | None, float | None]] = field(default_factory=list)

    def add(self, problem_id: str, leaves: Sequence[Trail], bill: Bill) -> None:
        """Take a problem."""
        self.bills.append(bill)
        self.answers += len(leaves)
        for name, pick in self.picks.items():
            for budget in self.budgets if pick.chooses else self.budgets[:1]:
                n = budget if len(self.budgets) > 1 else len(leaves)
                seed = f"{self.seed}:{problem_id}:{n}"
                value = pick.at(leaves, n, self.same, seed) if leaves else 0.0
                self.values.setdefault((name, budget), []).append(value)
        if len(self.budgets) > 1 and len(leaves) >= LEAST_FOR_STRATA:
            self.strata.append(self._halves(leaves))

    def _halves(self, leaves: Sequence[Trail]) -> tuple[float | None, float | None, float | None]:
        """Whether the first half's plurality is right; the second half's mean and plurality."""
        half = len(leaves) // 2
        first, second = leaves[:half], leaves[half:]
        vote = MajorityVote()
        even = [1 / len(second)] * len(second)
        return (
            expected(vote.pick(first, self.same), first),
            expected(even, second),
            expected(vote.pick(second, self.same), second),
        )

    def tokens(self, budget: int) -> float:
        """Mean tokens of a problem at a budget."""
        return float(np.mean([each.tokens for each in self.bills])) * budget / self.budgets[-1]

    def given(self, budget: int) -> float:
        """Mean answers of a problem at a budget."""
        return self.answers / len(self.bills) * budget / self.budgets[-1]


def budgets_of(answers: int, exchangeable: bool) -> list[int]:
    """1, 2, 4, ... and all, where any of the answers are a smaller budget."""
    if not exchangeable:
        return [answers]
    return sorted({2**i for i in range(answers.bit_length())} | {answers})


def curves(tallies: Sequence[StrategyTally], seed: int, resamples: int) -> dict[str, Any]:
    """The content of ``curves.json``: points, the front, comparisons, bills, strata; rounded, without times."""
    points = [point for tally in tallies for point in _points(tally, seed, resamples)]
    front = _front([p for p in points if not p["bound"]], tallies, (seed, resamples))
    return rounded(
        {
            "points": points,
            "front": front,
            "comparisons": list(_comparisons(points, tallies, (seed, resamples))),
            "bills": {tally.strategy: _mean_bill(tally.bills) for tally in tallies},
            "strata": {tally.strategy: _strata(tally) for tally in tallies if tally.strata},
        }
    )


def _points(tally: StrategyTally, seed: int, resamples: int) -> Iterator[dict[str, Any]]:
    for (name, budget), values in tally.values.items():
        known_P = np.array([value for value in values if value is not None])
        if not len(known_P):
            continue
        yield {
            "strategy": tally.strategy,
            "pick": name,
            "budget": budget,
            "answers": tally.given(budget),
            "tokens": tally.tokens(budget),
            "accuracy": known_P.mean(),
            "ci95": value_interval(known_P, seed, resamples),
            "problems": len(known_P),
            "unscorable": len(values) - len(known_P),
            "bound": _knows(tally.picks[name]),
        }


def _knows(pick: AnyPick) -> bool:
    return pick.knows or any(scorer.knows for scorer in pick.scorers())


def _front(
    points: Sequence[dict[str, Any]], tallies: Sequence[StrategyTally], resampling: tuple[int, int]
) -> list[dict[str, Any]]:
    """Points that nothing cheaper is as good as, each with what it adds to the one before."""
    found: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["tokens"], -p["accuracy"])):
        if found and point["accuracy"] <= found[-1]["accuracy"]:
            continue
        entry = {
            key: point[key]
            for key in ("strategy", "pick", "budget", "answers", "tokens", "accuracy")
        }
        if found:
            entry |= compared(found[-1], point, tallies, resampling)
        found.append(entry)
    return found


def _comparisons(
    points: Sequence[dict[str, Any]], tallies: Sequence[StrategyTally], resampling: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """Every strategy against the first, by the same pick, all their answers used."""
    last = {tally.strategy: tally.budgets[-1] for tally in tallies}
    whole = [p for p in points if p["budget"] == last[p["strategy"]] and not p["bound"]]
    for other in whole:
        one = next((p for p in whole if p["pick"] == other["pick"]), other)
        if one["strategy"] != other["strategy"]:
            yield {
                "a": one["strategy"],
                "b": other["strategy"],
                "pick": other["pick"],
                "tokens": other["tokens"] / one["tokens"] if one["tokens"] else None,
            } | compared(one, other, tallies, resampling)


def compared(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    tallies: Sequence[StrategyTally],
    resampling: tuple[int, int],
) -> dict[str, Any]:
    """The second point against the first, problem by problem."""
    sides = [_values(tallies, point) for point in (one, other)]
    delta_P = np.array(
        [b - a for a, b in zip(*sides, strict=True) if a is not None and b is not None]
    )
    delta = float(delta_P.mean()) if len(delta_P) else 0.0
    same = not len(delta_P) or bool(np.all(delta_P == delta_P[0]))
    low, high = (delta, delta) if same else value_interval(delta_P, *resampling)
    sure = len(delta_P) >= MIN_PROBLEMS and (low > 0 or high < 0)
    verdict = ("better" if delta > 0 else "worse") if sure else "not distinguishable"
    return {
        "delta": delta,
        "delta_ci95": (low, high),
        "distinguishable": sure,
        "sentence": (
            f"{called(other)} - {called(one)} = {100 * delta:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}], {len(delta_P)} problems: {verdict}"
        ),
    }


def called(point: Mapping[str, Any]) -> str:
    """A point in words."""
    return f"{point['strategy']}, {point['pick']} of {point['answers']:.3g}"


def _values(tallies: Sequence[StrategyTally], point: Mapping[str, Any]) -> list[float | None]:
    tally = next(each for each in tallies if each.strategy == point["strategy"])
    return tally.values[point["pick"], point["budget"]]


def _mean_bill(bills: Sequence[Bill]) -> dict[str, float]:
    rows = [asdict(each) for each in bills]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} if rows else {}


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
