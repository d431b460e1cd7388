"""The choice by difficulty: which strategy a problem should get, judged on problems it was not chosen on.

A problem's difficulty is guessed without the key: how many of the first answers agree (``tally.PROBE``). On four fifths
of the problems the best arm of every level is found among those that cost no more than a budget, and given to the rest
(compute-optimal scaling of Snell et al. 2024, arXiv 2408.03314, section 3.2, who guess the difficulty with a verifier
and take two halves). Beside it: the same choice judged on the very problems it was made on, which flatters it, and the
best single arm, chosen and judged as honestly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from longstep.scaling.intervals import MeanInterval, difference, mean_intervals
from longstep.scaling.tally import PROBE, StrategyTally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FOLDS = 5
#: A level with fewer problems to choose on takes the arm that is best over all levels.
FEWEST = 20


@dataclass(frozen=True)
class Arms:
    """What can be chosen, on the problems that all of it knows something about.

    Attributes:
        names: of the arms.
        costs_A: tokens a problem, those of the answers that the difficulty is guessed from included.
        value_PA: expected correctness; NaN where nobody can say.
        level_P: guessed difficulty.
        fold_P: which part a problem is judged in.
    """

    names: Sequence[str]
    costs_A: Floats
    value_PA: Floats
    level_P: Ints
    fold_P: Ints

    def within(self, budget: float) -> Ints:
        """Arms that cost no more."""
        return np.flatnonzero(self.costs_A <= budget * (1 + 1e-9))


def by_difficulty(
    tallies: Sequence[StrategyTally], points: Sequence[Mapping[str, Any]], seed: int, resamples: int
) -> dict[str, Any] | None:
    """The choice at every budget of the samples that the difficulty is guessed from; ``None`` without such samples.

    Args:
        tallies: of all strategies.
        points: those that may be chosen; no bounds.
        seed: of the folds and of the bootstrap.
        resamples: of it.
    """
    probe = next((t for t in tallies if len(t.agreed) == t.problems and t.problems), None)
    if probe is None:
        return None
    arms = _arms(tallies, points, probe, seed)
    budgets = [(n, probe.load(next(iter(probe.picks)), n).bill.tokens) for n in probe.budgets]
    within = [(n, tokens, arms.within(tokens)) for n, tokens in budgets if n >= PROBE]
    within = [each for each in within if len(each[2]) > 1]
    judged = [_judged(arms, within_A) for *_, within_A in within]
    if judged and np.isnan(judged[0].outside_P).all():
        return None  # all problems lie in one fold, so none is judged by a choice that others made
    columns = [_known(column) for each in judged for column in each.columns]
    means = iter(mean_intervals(columns, seed, resamples))
    rows = [
        {"answers": n, "tokens": tokens} | each.told(arms, [next(means) for _ in each.columns])
        for (n, tokens, _), each in zip(within, judged, strict=True)
    ]
    return {"probe": probe.name, "answers": PROBE, "folds": FOLDS, "budgets": rows}


def _known(column_P: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column_P]


def _arms(
    tallies: Sequence[StrategyTally],
    points: Sequence[Mapping[str, Any]],
    probe: StrategyTally,
    seed: int,
) -> Arms:
    by_name = {tally.name: tally for tally in tallies}
    extra = probe.load(next(iter(probe.picks)), PROBE).bill.tokens
    names, costs, columns = [], [], []
    for point in points:
        own = point["strategy"] == probe.name and point["budget"] >= PROBE
        names.append(f"{point['strategy']}, {point['pick']} of {point['answers']:.3g}")
        costs.append(point["tokens"] + (0.0 if own else extra))
        column = by_name[point["strategy"]].values[point["pick"], point["budget"]]
        columns.append([np.nan if value is None else value for value in column])
    folds = [
        hashlib.blake2b(f"{seed}:{place}".encode(), digest_size=8).digest()[0] % FOLDS
        for place in range(probe.problems)
    ]
    return Arms(
        names, np.array(costs), np.array(columns).T, np.array(probe.agreed), np.array(folds)
    )


@dataclass(frozen=True)
class _Judged:
    """A choice, and every problem by the choice of the other folds, of all problems, by the best single arm of both.

    Attributes:
        choice: arm of each level; of all levels at -1.
        outside_P, inside_P, single_P, hindsight_P: expected correctness.
    """

    choice: Mapping[int, int]
    outside_P: Floats
    inside_P: Floats
    single_P: Floats
    hindsight_P: Floats

    @property
    def columns(self) -> list[Floats]:
        """What is averaged."""
        honest, flattered = self.outside_P - self.single_P, self.inside_P - self.hindsight_P
        return [self.outside_P, self.inside_P, self.single_P, honest, flattered]

    def told(self, arms: Arms, means: Sequence[MeanInterval | None]) -> dict[str, Any]:
        """As it is written down."""
        found = [each or (0.0, (0.0, 0.0), 0) for each in means]
        names = "best single arm", "choice by difficulty"
        honest, flattered = (
            difference(names, mean, interval if np.nanstd(column) > 0 else (mean, mean), known)
            for (mean, interval, known), column in zip(found[3:], self.columns[3:], strict=True)
        )
        accuracies = [{"accuracy": mean, "ci95": interval} for mean, interval, _ in found[:3]]
        levels = np.unique(arms.level_P).tolist()
        return {
            "out of fold": accuracies[0],
            "in fold": accuracies[1],
            "single": accuracies[2] | {"arm": arms.names[self.choice[-1]]},
            "out of fold - single": honest,
            "in fold - single": flattered,
            "chosen": {
                str(level): {
                    "arm": arms.names[self.choice[level]],
                    "problems": int((arms.level_P == level).sum()),
                }
                for level in levels
            },
        }


def _judged(arms: Arms, within_A: Ints) -> _Judged:
    every_P = np.arange(len(arms.value_PA))
    outside_P, single_P = np.full((2, len(every_P)), np.nan)
    for fold in range(FOLDS):
        train_P, test_P = np.flatnonzero(arms.fold_P != fold), np.flatnonzero(arms.fold_P == fold)
        if len(train_P) and len(test_P):
            choice = _best(arms, within_A, train_P)
            outside_P[test_P] = _by(arms, choice, test_P)
            single_P[test_P] = arms.value_PA[test_P, choice[-1]]
    choice = _best(arms, within_A, every_P)
    hindsight_P = arms.value_PA[:, choice[-1]]
    return _Judged(choice, outside_P, _by(arms, choice, every_P), single_P, hindsight_P)


def _by(arms: Arms, choice: Mapping[int, int], of_P: Ints) -> Floats:
    return arms.value_PA[of_P, [choice[level] for level in arms.level_P[of_P].tolist()]]


def _best(arms: Arms, within_A: Ints, train_P: Ints) -> dict[int, int]:
    """The best arm of each level among these problems, the earlier of equal ones; of all levels at -1."""
    found = {-1: _top(arms, within_A, train_P)}
    for level in np.unique(arms.level_P).tolist():
        own_P = train_P[arms.level_P[train_P] == level]
        found[level] = _top(arms, within_A, own_P) if len(own_P) >= FEWEST else found[-1]
    return found


def _top(arms: Arms, within_A: Ints, of_P: Ints) -> int:
    value_PA = arms.value_PA[np.ix_(of_P, within_A)]
    known_A = (~np.isnan(value_PA)).sum(0)
    means_A = np.nansum(value_PA, 0) / np.maximum(known_A, 1)
    return int(within_A[np.where(known_A > 0, means_A, -1.0).round(12).argmax()])
