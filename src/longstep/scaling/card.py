"""The card of a value head: every answer scored by a head that never saw its problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from longstep.config import UserError
from longstep.scaling.auc import auc, mean_with_interval, within_auc
from longstep.scaling.fit import Fitting, fit_head
from longstep.scaling.head import Card, Cutting, ValueHead
from longstep.scaling.lessons import Lesson, Lessons


@dataclass
class _Marks:
    """Scores beside what is true: of labelled steps, and of answers by problem."""

    steps: list[tuple[float, float]] = field(default_factory=list)
    answers: dict[int, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def add(self, lesson: Lesson, heads: Sequence[ValueHead], cutting: Cutting) -> None:
        """Score every answer by the head of its fold."""
        ends = lesson.counts_A.cumsum()
        for at, (end, fold) in enumerate(zip(ends, lesson.folds_A, strict=True)):
            own = slice(int(end - lesson.counts_A[at]), int(end))
            values = heads[int(fold)].values(lesson.features_SF[own])
            labels = lesson.labels_S[own]
            self.steps += [
                (value, float(label))
                for value, label in zip(values, labels, strict=True)
                if np.isfinite(label)
            ]
            if np.isfinite(lesson.right_A[at]):
                standing = [bool(stands) for stands in lesson.standing_S[own]]
                score, right = cutting.path(values, standing), float(lesson.right_A[at])
                marks = score, right, float(lesson.logps_A[at]), -float(sum(standing))
                self.answers.setdefault(int(lesson.problems_A[at]), []).append(marks)


def train_and_judge(
    lessons: Lessons, cutting: Cutting, how: Fitting, folds: int, resampling: tuple[int, int]
) -> tuple[ValueHead, Card]:
    """One head a fold for the card, and one of all problems to keep; ``resampling`` is seed and number of resamples.

    Raises:
        UserError: a fold leaves no labelled step to learn from.
    """
    seed = resampling[0]
    heads = [_fitted(lessons, fold, how, seed) for fold in range(folds)]
    marks = _Marks()
    for lesson in lessons:
        marks.add(lesson, heads, cutting)
    return _fitted(lessons, None, how, seed), _card(marks, *resampling)


def _fitted(lessons: Lessons, fold: int | None, how: Fitting, seed: int) -> ValueHead:
    head = fit_head(lessons.outside(fold), how, seed)
    if head is None:
        raise UserError(
            "no labelled step is left to learn from outside of one part of the problems; take more problems, or fewer "
            "folds"
        )
    return head


def _card(marks: _Marks, seed: int, resamples: int) -> Card:
    columns = [tuple(zip(*own, strict=True)) for own in marks.answers.values()]
    scores_PN, right_PN, logps_PN, fewer_PN = (
        [column[at] for column in columns] for at in range(4)
    )
    values_P = within_auc(scores_PN, right_PN)
    within = mean_with_interval(values_P, seed, resamples)
    by_logp, by_fewer = within_auc(logps_PN, right_PN), within_auc(fewer_PN, right_PN)
    # A difference of two shares, as a share.
    halves_P = [(1 + one - other) / 2 for one, other in zip(values_P, by_fewer, strict=True)]
    beyond = _interval(mean_with_interval(halves_P, seed, resamples))
    return Card(
        problems=len(columns),
        mixed=len(values_P),
        steps=len(marks.steps),
        step_auc=_rounded(auc([s for s, _ in marks.steps], [label for _, label in marks.steps])),
        within_auc=_rounded(within and within[0]),
        within_ci95=_interval(within),
        pooled_auc=_rounded(
            auc([s for own in scores_PN for s in own], [r for own in right_PN for r in own])
        ),
        logprob_within_auc=_rounded(float(np.mean(by_logp)) if by_logp else None),
        fewer_within_auc=_rounded(float(np.mean(by_fewer)) if by_fewer else None),
        beyond_ci95=beyond and (round(2 * beyond[0] - 1, 6), round(2 * beyond[1] - 1, 6)),
    )


def _interval(
    found: tuple[float, tuple[float, float]] | None,
) -> tuple[float, float] | None:
    return None if found is None else (round(found[1][0], 6), round(found[1][1], 6))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
