"""Reducers: from the stored samples of each problem to one number per problem.

Sampling happens once; avg@k, pass@k and maj@k are three readings of the same table, never three
evaluations. A sample whose verdict says nothing about the model (verifier timeout, broken gold) is
excluded and counted, never scored 0. A reducer refuses to answer when the stored samples cannot
support the asked k.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from longstep.config import UserError
from longstep.types import Completion, FinishReason

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a reducer needs to know of one completion."""

    correctness: float | None
    answer: str | None
    finish_reason: FinishReason
    tokens: int


@dataclass(frozen=True, slots=True)
class Samples:
    """All stored samples of one problem, in the order of their sample index."""

    problem_id: str
    samples: tuple[Sample, ...]

    @property
    def scorable(self) -> list[Sample]:
        """The samples whose verdict says something about the model."""
        return [sample for sample in self.samples if sample.correctness is not None]

    def require(self, k: int, metric: str) -> None:
        """Refuse to answer for k samples when fewer are stored."""
        stored = len(self.samples)
        if stored < k:
            raise UserError(
                f"{metric}@{k} asked, problem {self.problem_id} has {stored} stored samples: "
                f"ask for {metric}@{stored} or sample again with samples={k}"
            )

    def first(self, k: int, metric: str) -> list[Sample]:
        """The first k scorable samples; fewer when some of the k stored ones are unscorable.

        Raises:
            UserError: fewer than k samples are stored, or none of them is scorable.
        """
        self.require(k, metric)
        usable = self.scorable[:k]
        if not usable:
            raise UserError(
                f"{metric}@{k} asked, problem {self.problem_id} has no scorable sample among its "
                f"{len(self.samples)}: repair its gold answer or leave the problem out"
            )
        return usable


def num_right(samples: Sequence[Sample]) -> int:
    """How many of the samples are right."""
    return sum(sample.correctness == 1.0 for sample in samples)


Reducer = Callable[[Sequence[Samples], int], Values]


class Collector:
    """Takes verified completions one by one and keeps what reducers need of them: no text, no token id."""

    def __init__(self, problem_ids: Iterable[str]) -> None:
        """Take the problems, in the order of the result."""
        self._found: dict[str, dict[int, Sample]] = {problem_id: {} for problem_id in problem_ids}
        self._answers: dict[str, str] = {}

    def add(self, row: Completion) -> None:
        """Take a completion.

        Raises:
            UserError: it is unverified, repeated, or answers a problem that is not listed.
        """
        where = f"completion {row.problem_id} #{row.sample_index}"
        by_index = self._found.get(row.problem_id)
        if by_index is None:
            raise UserError(
                f"{where}: no problem of the benchmark has this id; was the problem file replaced?"
            )
        if row.sample_index in by_index:
            raise UserError(f"{where}: stored twice; remove one of the two rows")
        if row.verdict is None:
            raise UserError(f"{where}: has no verdict yet; run `eval score` first")
        answer = row.verdict.answer
        if answer is not None:
            answer = self._answers.setdefault(
                answer, answer
            )  # equal answers are one text in memory
        by_index[row.sample_index] = Sample(
            row.verdict.correctness, answer, row.finish_reason, len(row.token_ids)
        )

    def samples(self) -> list[Samples]:
        """Everything taken, by problem and sample index."""
        return [
            Samples(problem_id, tuple(by_index[index] for index in sorted(by_index)))
            for problem_id, by_index in self._found.items()
        ]


def collect(completions: Iterable[Completion], problem_ids: Sequence[str]) -> list[Samples]:
    """Group verified completions by problem, in the order of ``problem_ids``; streams its input.

    Raises:
        UserError: a completion is unverified, repeated, or answers a problem that is not listed.
    """
    found = Collector(problem_ids)
    for row in completions:
        found.add(row)
    return found.samples()


def avg_at(samples_P: Sequence[Samples], k: int) -> Values:
    """Mean correctness of the first k scorable samples: the estimate of pass@1 called avg@k.

    Returns:
        value_P, one mean per problem.
    """
    firsts = [row.first(k, "avg") for row in samples_P]
    return np.array([num_right(usable) / len(usable) for usable in firsts])


def pass_at(samples_P: Sequence[Samples], k: int) -> Values:
    """Chance that at least one of k samples is right, unbiased: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021 (arXiv 2107.03374), equation 1, with n all scorable samples and c the right
    ones. Python integers are exact, so the product form of the paper is not needed.

    Returns:
        value_P, one probability per problem.

    Raises:
        UserError: fewer than k scorable samples; no unbiased estimate exists then.
    """
    values = []
    for row in samples_P:
        usable = row.scorable
        n, c = len(usable), num_right(usable)
        if n < k:
            raise UserError(
                f"pass@{k} asked, problem {row.problem_id} has {n} scorable samples "
                f"({len(row.samples)} stored samples): ask for pass@{n} or sample more"
            )
        values.append(1.0 - comb(n - c, k) / comb(n, k))
    return np.array(values)


def maj_at(samples_P: Sequence[Samples], k: int) -> Values:
    """Is the most frequent answer among the first k scorable samples right?

    Right answers all equal the gold one, so they are one candidate however they are written; wrong
    answers are told apart by their canonical text. A tie is broken at random and scored by its
    expectation: one right candidate among three tied ones gives 1/3. Samples without an answer do
    not vote; no vote at all scores 0.

    Returns:
        value_P, one expected correctness per problem.
    """
    return np.array([_majority(row.first(k, "maj")) for row in samples_P])


def _majority(samples: Sequence[Sample]) -> float:
    votes: Counter[tuple[bool, str | None]] = Counter()
    for sample in samples:
        if sample.correctness == 1.0:
            votes[True, None] += 1
        elif sample.answer is not None:
            votes[False, sample.answer] += 1
    if not votes:
        return 0.0
    most = max(votes.values())
    return float(votes[True, None] == most) / sum(count == most for count in votes.values())


#: Every reducer by its name in results.json.
REDUCERS: Mapping[str, Reducer] = {"avg": avg_at, "pass": pass_at, "maj": maj_at}
