"""One number for several runs: what seeds and problems together leave uncertain.

A run is one draw of everything random in it, a benchmark one draw of problems, and both move a mean. They are crossed:
each run answers the same problems. So seeds and problems are drawn with replacement independently of each other, and
the mean over what was drawn is taken (the pigeonhole bootstrap of Owen 2007, which errs on the wide side).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longstep.artifacts import read_rows
from longstep.evaluate.reducers import avg_at, collect
from longstep.evaluate.score import Protocol, members
from longstep.evaluate.statistics import RESAMPLES, percentile_interval
from longstep.evaluate.store import completions_path, problems_path
from longstep.types import Completion, Problem

Floats = NDArray[np.float64]


def crossed_interval(
    values_SP: Floats, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of the mean over runs and problems, both drawn with replacement.

    Args:
        values_SP: a value for each run (seed) and problem.
        seed: of the resampling.
        resamples: how many.
    """
    generator = np.random.default_rng(seed)
    seeds, problems = values_SP.shape
    drawn_RS = _counts(generator.integers(seeds, size=(resamples, seeds)), seeds)
    drawn_RP = _counts(generator.integers(problems, size=(resamples, problems)), problems)
    means_R = ((drawn_RS @ values_SP) * drawn_RP).sum(1) / (seeds * problems)
    return percentile_interval(means_R)


def _counts(drawn_RN: NDArray[np.int64], classes: int) -> Floats:
    """How often each was drawn, in each resample."""
    rows = np.arange(len(drawn_RN))[:, None] * classes
    flat = np.bincount((drawn_RN + rows).ravel(), minlength=len(drawn_RN) * classes)
    return flat.reshape(len(drawn_RN), classes).astype(np.float64)


def problem_values(
    folder: Path, protocol: Protocol, model: str, benchmark: str
) -> dict[str, float]:
    """A model's mean correctness on each problem of a stored evaluation, unscorable problems left out."""
    problems = [problem.id for problem in read_rows(problems_path(folder, benchmark), Problem)]
    stored = read_rows(completions_path(folder, model, benchmark), Completion)
    usable = [row for row in collect(stored, problems) if row.scorable]
    means = avg_at(usable, protocol.benchmarks[benchmark].samples)
    return {row.problem_id: float(mean) for row, mean in zip(usable, means, strict=True)}


def slices(folder: Path, protocol: Protocol, benchmark: str) -> dict[str, set[str]]:
    """The ids of each slice of a stored benchmark, ``all`` first."""
    problems = list(read_rows(problems_path(folder, benchmark), Problem))
    return members(benchmark, problems, protocol.benchmarks[benchmark].slices)


def aligned(runs: Sequence[Mapping[str, float]], ids: set[str]) -> Floats:
    """``values_SP`` over those of ``ids`` that every run has a value for, in one order."""
    common = sorted(ids.intersection(*runs))
    return np.array([[run[name] for name in common] for run in runs])


def difference_sentence(names: tuple[str, str], values_SP: Floats) -> str:
    """What the differences b - a say in words, of one run or of several seeds."""
    delta, (low, high) = float(values_SP.mean()), crossed_interval(values_SP)
    agree = int((np.sign(values_SP.mean(1)) == np.sign(delta)).sum())
    sure = low > 0 or high < 0
    verdict = (
        f"{names[1]} is {'better' if delta > 0 else 'worse'}" if sure else "not distinguishable"
    )
    sides = f", {agree} of {len(values_SP)} seeds on that side" if len(values_SP) > 1 else ""
    return (
        f"{names[1]} - {names[0]} = {100 * delta:+.1f} points, 95 % interval [{100 * low:+.1f}, {100 * high:+.1f}], "
        f"{values_SP.shape[1]} problems{sides}: {verdict}"
    )
