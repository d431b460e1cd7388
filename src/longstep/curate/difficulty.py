"""Pass rates, bands of them, and answer keys that look wrong.

Everything here reads correctness only, never a shaped reward. Verdicts that say nothing about the
model (``timeout``, ``bad_gold``) are left out of numerator and denominator and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from longstep.config import Field, Strict, model_validator
from longstep.types import Completion, Problem


@dataclass(frozen=True, slots=True)
class PassRate:
    """How often one problem was solved: ``correct`` of ``scored``, ``excluded`` not scorable."""

    correct: int
    scored: int
    excluded: int = 0

    @property
    def value(self) -> float | None:
        """Share of scored samples that are correct; ``None`` when none was scored."""
        return self.correct / self.scored if self.scored else None

    @property
    def mixed(self) -> bool:
        """Whether both outcomes were seen."""
        return 0 < self.correct < self.scored

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Give the Wilson score interval of the rate (Wilson 1927); (0, 1) without any sample."""
        n = self.scored
        if n == 0:
            return 0.0, 1.0
        p = self.correct / n
        scale = 1 + z * z / n
        centre = (p + z * z / (2 * n)) / scale
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
        return max(0.0, centre - half), min(1.0, centre + half)


def pass_rates(completions: Iterable[Completion]) -> dict[str, PassRate]:
    """Count correctness by problem id.

    Raises:
        ValueError: a completion was not verified yet.
    """
    counts: dict[str, list[int]] = {}
    for completion in completions:
        if completion.verdict is None:
            raise ValueError(
                f"completion {completion.sample_index} of {completion.problem_id} has no verdict"
            )
        row = counts.setdefault(completion.problem_id, [0, 0, 0])
        correctness = completion.verdict.correctness
        if correctness is None:
            row[2] += 1
        else:
            row[0] += int(correctness)
            row[1] += 1
    return {problem_id: PassRate(*row) for problem_id, row in counts.items()}


def with_pass_rates(problems: Iterable[Problem], rates: Mapping[str, PassRate]) -> list[Problem]:
    """Write the measured rates into the problems; unmeasured ones lose an older rater's number."""
    none = PassRate(0, 0)
    return [replace(each, pass_rate=rates.get(each.id, none).value) for each in problems]


class Band(Strict):
    """Problems by pass rate, both ends included.

    Attributes:
        min: lowest pass rate kept.
        max: highest pass rate kept; Light-R1 keeps rates *below* an unpublished alpha.
        mixed: the samples must hold both a correct and a wrong one.
    """

    min: float = Field(0.0, ge=0.0, le=1.0)
    max: float = Field(1.0, ge=0.0, le=1.0)
    mixed: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Band:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def keep(self, problem: Problem) -> tuple[bool, str]:
        """Decide on the recorded pass rate; this is a ``Filter``."""
        rate = problem.pass_rate
        if rate is None:
            return False, "no pass rate"
        if not self.min <= rate <= self.max:
            return False, f"outside the band: pass rate {rate:.4g}"
        if self.mixed and rate in (0.0, 1.0):
            return False, f"not mixed: pass rate {rate:.4g}"
        return True, ""


def key_audit(
    problems: Sequence[Problem], completions: Iterable[Completion]
) -> list[tuple[Problem, str]]:
    """Name never-solved problems whose wrong answers agree: the gold answer is then suspect.

    Suspect means: two samples or more were scored, none is correct, and one wrong answer makes up
    at least half of all scored samples, unparseable and truncated ones included in the count.
    """
    scored: Counter[str] = Counter()
    solved: set[str] = set()
    wrong: dict[str, Counter[str]] = {}
    for each in completions:
        if each.verdict is None or each.verdict.correctness is None:
            continue
        scored[each.problem_id] += 1
        if each.verdict.status == "correct":
            solved.add(each.problem_id)
        elif each.verdict.status == "incorrect" and each.verdict.answer is not None:
            wrong.setdefault(each.problem_id, Counter())[each.verdict.answer] += 1
    suspects = []
    for problem in problems:
        total = scored[problem.id]
        if problem.id in solved or problem.id not in wrong or total < 2:
            continue
        answer, count = wrong[problem.id].most_common(1)[0]
        if 2 * count >= total:
            reason = f"suspect key: gold {problem.answer!r}, {count} of {total} say {answer!r}"
            suspects.append((problem, reason))
    return suspects
