"""The package's questions about scores: ``longstep.score`` gives one with its interval, ``compare`` two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from longstep.config import UserError
from longstep.evaluate import statistics
from longstep.evaluate.reducers import REDUCERS, Sample, Samples, num_right
from longstep.types import Verdict

#: A verdict, or what a grader of your own says: 1, 0, or ``None`` where the answer says nothing about the model.
Mark = Verdict | float | None
Metric = Literal["avg", "pass", "maj"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A score with its 95 % interval.

    Attributes:
        metric: ``avg``, ``pass`` or ``maj``.
        k: samples for each problem.
        value: in [0, 1].
        low: of the interval over the choice of problems and, for ``avg``, of samples.
        high: likewise.
        problems: how many it is over.
        left_out: problems of which no sample can be scored.
    """

    metric: Metric
    k: int
    value: float
    low: float
    high: float
    problems: int
    left_out: int

    def __str__(self) -> str:
        left = f", {self.left_out} left out" if self.left_out else ""
        value, low, high = (f"{100 * each:.1f}" for each in (self.value, self.low, self.high))
        return f"{self.metric}@{self.k} {value} [{low}, {high}] over {self.problems} problems{left}"


def score_marks(
    marks_P: Sequence[Sequence[Mark]], metric: Metric = "avg", k: int | None = None, seed: int = 0
) -> Measured:
    """Score samples that were graded already: ``score([[1, 0], [1, 1]]).value == 0.75``.

    What says nothing about the model (a verifier's timeout, a broken key, ``None``) is left out, never scored 0.

    Args:
        marks_P: for each problem the verdicts, or marks, of its samples.
        metric: ``avg`` is the mean, ``pass`` the unbiased chance that one of k is right, ``maj`` whether the most
            frequent answer is (which takes verdicts, since marks have no answers).
        k: samples for each problem; ``None`` takes as many as every problem has.
        seed: of the bootstrap.

    Raises:
        UserError: there are fewer samples than asked for, or nothing can be scored.
    """
    rows = _samples(marks_P)
    usable = [row for row in rows if row.scorable]
    if not usable:
        raise UserError(f"score: none of {len(rows)} problems has a sample that can be scored")
    k = min(len(row.samples) for row in usable) if k is None else k
    if metric == "maj" and not any(sample.answer for row in usable for sample in row.samples):
        raise UserError("score: maj needs the answers; give verdicts (longstep.judge), not marks")
    value_P = REDUCERS[metric](usable, k)
    if metric == "avg":
        low, high = statistics.avg_interval(*_counts(usable, k), seed)
    else:
        low, high = statistics.value_interval(value_P, seed)
    left_out = len(rows) - len(usable)
    return Measured(metric, k, float(value_P.mean()), low, high, len(usable), left_out)


def compare_marks(
    a_P: Sequence[Sequence[Mark]],
    b_P: Sequence[Sequence[Mark]],
    names: tuple[str, str] = ("a", "b"),
    seed: int = 0,
) -> statistics.Comparison:
    """Compare two models on the same problems, paired: ``delta`` is b minus a, ``sentence`` says it in words.

    Args:
        a_P: for each problem the verdicts, or marks, of the first model's samples.
        b_P: those of the second, for the same problems in the same order.
        names: how the sentence calls them.
        seed: of the bootstrap.

    Raises:
        UserError: the two have not as many problems, or none that can be scored on both sides.
    """
    if len(a_P) != len(b_P):
        raise UserError(
            f"compare: {len(a_P)} problems on one side and {len(b_P)} on the other; expected the same problems in the "
            "same order"
        )
    pairs = zip(_samples(a_P), _samples(b_P), strict=True)
    both = [(a, b) for a, b in pairs if a.scorable and b.scorable]
    if not both:
        raise UserError(f"compare: none of {len(a_P)} problems can be scored on both sides")
    a, b = (
        _counts(side, max(len(row.samples) for row in side)) for side in zip(*both, strict=True)
    )
    return statistics.compare(a, b, names, seed)


def _samples(marks_P: Sequence[Sequence[Mark]]) -> list[Samples]:
    return [
        Samples(f"number {place}", tuple(_sample(mark) for mark in marks))
        for place, marks in enumerate(marks_P)
    ]


def _sample(mark: Mark) -> Sample:
    if isinstance(mark, Verdict):
        return Sample(mark.correctness, mark.answer, "stop", 0)
    if mark is not None and mark not in (0, 1):
        raise UserError(f"score: got the mark {mark!r}; expected a verdict, 1, 0 or None")
    return Sample(None if mark is None else float(mark), None, "stop", 0)


def _counts(rows: Sequence[Samples], k: int) -> tuple[statistics.Counts, statistics.Counts]:
    firsts = [row.scorable[:k] for row in rows]
    return np.array([num_right(each) for each in firsts]), np.array([len(each) for each in firsts])
