"""Pass rates with their intervals, bands of them, ratings that others measured, and a first look at answer keys.

Everything here reads correctness only, never a shaped reward. Verdicts that say nothing about the
model (``timeout``, ``bad_gold``) are left out of numerator and denominator and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from longstep.config import Field, Strict, model_validator
from longstep.types import Completion, Problem

#: What a number beside a problem says.
Unit = Literal[
    "solved_count",
    "solved_share",
    "solved_percent",
    "failed_count",
    "failed_share",
    "failed_percent",
]


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

    def __add__(self, more: PassRate) -> PassRate:
        """Counts of both together."""
        return PassRate(
            self.correct + more.correct, self.scored + more.scored, self.excluded + more.excluded
        )

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Give the Wilson score interval of the rate (Wilson 1927); (0, 1) without any sample."""
        n = self.scored
        if n == 0:
            return 0.0, 1.0
        p = self.correct / n
        scale = 1 + z * z / n
        centre = (p + z * z / (2 * n)) / scale
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
        # the ends are exact where rounding would miss them: none solved begins at 0, all solved ends at 1
        low = 0.0 if self.correct == 0 else max(0.0, centre - half)
        return low, 1.0 if self.correct == n else min(1.0, centre + half)


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


@dataclass(frozen=True, slots=True)
class Rated:
    """One row of ``rates.jsonl``: how often a problem was solved, and the 95 % Wilson interval of the rate."""

    problem_id: str
    correct: int
    scored: int
    excluded: int
    pass_rate: float | None
    low: float
    high: float


def rated(problem_id: str, rate: PassRate) -> Rated:
    """The row of one problem."""
    return Rated(problem_id, rate.correct, rate.scored, rate.excluded, rate.value, *rate.interval())


class Ratings(Strict):
    """How to read a pass rate that somebody else measured from a number beside the problem.

    DeepScaleR's ``difficulty`` as limenlp/verl publishes it is ``{unit: failed_percent, samples: 128}``.

    Attributes:
        unit: what the number says: a count, a share in [0, 1] or a percentage, of solved or of failed samples.
        samples: how many samples per problem it was measured with.
    """

    unit: Unit
    samples: int = Field(ge=1)

    def wants(self) -> frozenset[str]:
        """The number beside the problem."""
        return frozenset({"difficulty"})

    def read(self, value: object) -> PassRate:
        """Counts behind a number.

        Raises:
            ValueError: it is no number, or not one that ``samples`` samples can give: the unit or the number of
                samples is then wrong, and a silent guess would turn hard problems into easy ones.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"expected a number ({self.unit}), got {str(value)[:40]!r}")
        outcome, scale = self.unit.split("_")
        count = value * {"count": 1.0, "share": self.samples, "percent": self.samples / 100}[scale]
        whole = round(count) if math.isfinite(count) else -1
        # Published percentages are rounded: a tenth of a sample is forgiven.
        if not 0 <= whole <= self.samples or abs(count - whole) > 0.1:
            raise ValueError(
                f"{value} is no {self.unit} of {self.samples} samples; set another unit or the "
                "number of samples it was measured with"
            )
        return PassRate(whole if outcome == "solved" else self.samples - whole, self.samples)


class Band(Strict):
    """Problems by pass rate, both ends included.

    Attributes:
        min: lowest pass rate kept.
        max: highest pass rate kept; Light-R1 keeps rates *below* an unpublished alpha.
        mixed: the samples must hold both a correct and a wrong one.
    """

    min: float = Field(default=0.0, ge=0.0, le=1.0)
    max: float = Field(default=1.0, ge=0.0, le=1.0)
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
