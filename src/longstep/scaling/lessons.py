"""What a value head learns from: features and labels of the steps of stored answers, part after part on disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longstep.artifacts import sha256_json, write_bytes
from longstep.config import UserError
from longstep.generate.base import AnswerReader, ToRead
from longstep.scaling.head import Cutting, features_of
from longstep.scaling.steps import CutSteps, cut_steps
from longstep.types import Completion, Problem
from longstep.verify.steps import OUTCOME, judge_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Answers that are read, and kept in one file, together.
TOGETHER = 512


@dataclass(frozen=True)
class Lesson:
    """Some answers, and their steps [S] in order.

    Attributes:
        features_SF: what a head sees.
        labels_S: 1, 0, or not a number where nobody can tell.
        standing_S: whether the step still stands at the end.
        counts_A: steps of each answer.
        problems_A: number of its problem, in order of appearance.
        folds_A: which part of the problems that is.
        right_A: 1, 0, or not a number for one that gives no answer, so that nobody would choose it.
        logps_A: mean log-probability of its tokens.
        tokens_A: tokens that were read, the prompt's included.
    """

    features_SF: NDArray[np.float32]
    labels_S: NDArray[np.float32]
    standing_S: NDArray[np.bool_]
    counts_A: NDArray[np.int64]
    problems_A: NDArray[np.int64]
    folds_A: NDArray[np.int64]
    right_A: NDArray[np.float32]
    logps_A: NDArray[np.float32]
    tokens_A: NDArray[np.int64]

    def learned(self, fold: int | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features and labels of the labelled steps of all problems outside of a fold."""
        outside_S = np.repeat(self.folds_A != (-1 if fold is None else fold), self.counts_A)
        kept_S = outside_S & np.isfinite(self.labels_S)
        return self.features_SF[kept_S], self.labels_S[kept_S]


@dataclass(frozen=True)
class Teacher:
    """How answers become lessons.

    Attributes:
        reader: reads them with the frozen model.
        cutting: how they are cut.
        labels: ``outcome``, or a step verifier.
        folds: parts of the problems.
    """

    reader: AnswerReader
    cutting: Cutting
    labels: str
    folds: int

    def lesson(self, rows: Sequence[tuple[int, Problem, Completion]]) -> Lesson:
        """Read some answers; each comes with its problem and the problem's number."""
        cuts = [self._cut(row) for _, _, row in rows]
        asked = [
            ToRead(row.prompt_ids, row.token_ids, tuple(end - 1 for end in cut.ends))
            for (_, _, row), cut in zip(rows, cuts, strict=True)
        ]
        reads = self.reader.read(asked)
        seen = [features_of(read, cut.ends) for read, cut in zip(reads, cuts, strict=True)]
        told = [
            self._labels(problem, row, cut)
            for (_, problem, row), cut in zip(rows, cuts, strict=True)
        ]
        return Lesson(
            features_SF=np.concatenate(seen),
            labels_S=np.array([label for own in told for label in own], dtype=np.float32),
            standing_S=np.array(
                [stands for cut in cuts for stands in cut.standing], dtype=np.bool_
            ),
            counts_A=np.array([len(cut.ends) for cut in cuts], dtype=np.int64),
            problems_A=np.array([number for number, _, _ in rows], dtype=np.int64),
            folds_A=np.array([fold_of(problem.id, self.folds) for _, problem, _ in rows]),
            right_A=np.array([_right(row) for _, _, row in rows], dtype=np.float32),
            logps_A=np.array([read.logps_T.mean() for read in reads], dtype=np.float32),
            tokens_A=np.array([len(ask.prompt_ids) + len(ask.ids) for ask in asked]),
        )

    def _cut(self, row: Completion) -> CutSteps:
        over = row.finish_reason == "stop"
        return cut_steps(
            row.token_ids, over, self.reader.text, self.cutting.step, self.cutting.undo
        )

    def _labels(self, problem: Problem, row: Completion, cut: CutSteps) -> list[float]:
        if self.labels == OUTCOME:
            right = row.verdict.correctness if row.verdict is not None else None
            found: Sequence[float | None] = [right] * len(cut.ends)
        else:
            found = judge_steps(self.labels, problem, cut.texts, cut.standing)
        return [float("nan") if label is None else float(label) for label in found]


@dataclass(frozen=True)
class Lessons:
    """Lessons in the files of a folder; one that is there is not made again."""

    folder: Path
    count: int

    def __iter__(self) -> Iterator[Lesson]:
        """All of them, one in memory at a time."""
        return (self.load(number) for number in range(self.count))

    def load(self, number: int) -> Lesson:
        """One of them."""
        with np.load(_path(self.folder, number)) as stored:
            return Lesson(**{each.name: stored[each.name] for each in fields(Lesson)})

    def outside(
        self, fold: int | None
    ) -> list[Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]]:
        """For training: the labelled steps of all problems, or of those outside of a fold."""
        return [
            lambda number=number: self.load(number).learned(fold) for number in range(self.count)
        ]


def make_lessons(
    folder: Path,
    rows: Iterable[tuple[Problem, Completion]],
    teacher: Teacher,
    watch: Callable[[int], None],
) -> Lessons:
    """Read all answers and keep what is learned from; what an interrupted attempt kept is not read again.

    Args:
        folder: of the files.
        rows: answers with their problems; those of one problem need not stand together.
        teacher: makes lessons.
        watch: told how many answers are done.

    Raises:
        UserError: an answer has no ids, or there is none.
    """
    numbers: dict[str, int] = {}
    pairs = iter(rows)
    count = 0
    while part := list(islice(pairs, TOGETHER)):
        numbered = [(numbers.setdefault(p.id, len(numbers)), p, _with_ids(row)) for p, row in part]
        path = _path(folder, count)
        if not path.is_file():
            _store(path, teacher.lesson(numbered))
        count += 1
        watch(len(part))
    if not count:
        raise UserError(
            "no answer is left to learn from: none of the chosen problems has one that can be judged"
        )
    return Lessons(folder, count)


def fold_of(problem_id: str, folds: int) -> int:
    """Which part of the problems one belongs to: by a hash, so that it is the same for every seed and selection."""
    return int(sha256_json(["fold", problem_id])[:8], 16) % folds


def _with_ids(row: Completion) -> Completion:
    if row.token_ids and row.prompt_ids:
        return row
    raise UserError(
        f"completion {row.sample_index} of problem {row.problem_id} is text alone, and a head reads token ids; draw "
        "the answers with the model itself, by: {kind: model}"
    )


def _right(row: Completion) -> float:
    """Whether an answer that could be chosen is right."""
    verdict = row.verdict
    if verdict is None or verdict.answer is None or verdict.correctness is None:
        return float("nan")
    return verdict.correctness


def _path(folder: Path, number: int) -> Path:
    return folder / f"lesson-{number:05d}.npz"


def _store(path: Path, lesson: Lesson) -> None:
    arrays: Mapping[str, NDArray[np.float32]] = {
        each.name: getattr(lesson, each.name) for each in fields(Lesson)
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())
