"""How well a score tells right from wrong: within a problem, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longstep.evaluate.statistics import value_interval


def auc(scores_N: Sequence[float], right_N: Sequence[float]) -> float | None:
    """Probability that a right one scores more than a wrong one, ties half; ``None`` without both.

    The Mann-Whitney statistic over mean ranks, divided by the number of pairs.
    """
    rights = np.asarray(right_N, dtype=bool)
    positives = int(rights.sum())
    pairs = positives * (len(rights) - positives)
    if not pairs:
        return None
    _, place_N, count_U = np.unique(
        np.asarray(scores_N, dtype=np.float64), return_inverse=True, return_counts=True
    )
    last_U = count_U.cumsum()
    ranks_N = (last_U - (count_U - 1) / 2)[place_N]
    above = ranks_N[rights].sum() - positives * (positives + 1) / 2
    return float(above / pairs)


def within_auc(
    scores_PN: Sequence[Sequence[float]], right_PN: Sequence[Sequence[float]]
) -> list[float]:
    """The AUC of each problem that has right and wrong answers: no difference between problems gets into it."""
    found = (auc(*each) for each in zip(scores_PN, right_PN, strict=True))
    return [value for value in found if value is not None]


def mean_with_interval(
    values_P: Sequence[float], seed: int, resamples: int
) -> tuple[float, tuple[float, float]] | None:
    """Mean and 95 % interval over problems; ``None`` of none.

    A single problem, or equal values, gives an interval as wide as that many throws of a coin would.
    """
    if not values_P:
        return None
    value_P = np.asarray(values_P, dtype=np.float64)
    return float(value_P.mean()), value_interval(value_P, seed, resamples)
