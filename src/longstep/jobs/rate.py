"""``longstep data rate``: pass rates into rows, read from a column or measured by the stage ``sample``.

To measure, ``Problems`` writes the rows of a file as problems, ``sampling`` gives the settings of the stage that asks
them, and ``Rate`` joins the stage's ``rates.jsonl`` with the rows again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import read_rows
from longstep.config import model_validator
from longstep.curate.difficulty import PassRate, Rated, Ratings
from longstep.formats.faults import RowError
from longstep.formats.lines import dump, parse
from longstep.formats.quarantine import Bad, quarantined_bad
from longstep.formats.record import Record
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.rows import COLUMNS, QUARANTINE, Row, RowJob, having, refuse_absent
from longstep.problems.columns import problem_of
from longstep.problems.source import content_id
from longstep.types import Problem

RATED, PROBLEMS = "out/rated.jsonl", "out/problems.jsonl"
UNRATED = "not rated"
#: Table of the counts from which the mean follows exactly: rated rows by ``correct/scored``; it is no result.
OUTCOMES = "outcomes"


class Imported(Ratings):
    """Ratings in a column of the file.

    Attributes:
        column: where the number is; a row without one (or with null) stays unrated.
    """

    column: str

    def of(self, row: Mapping[str, Any]) -> PassRate | None:
        """The rating of a row.

        Raises:
            RowError: the number cannot be meant.
        """
        value = number(row.get(self.column))
        if value is None:
            return None
        try:
            return self.read(value)
        except ValueError as error:
            raise RowError(str(error), self.column) from None


def number(value: object) -> object:
    """A number written as text, which is all that CSV can hold; an empty cell is null, anything else stays."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


class Rate(RowJob):
    """Write pass rate, number of samples and 95 % interval into every row that is rated; older ones are replaced.

    Attributes:
        ratings: the column that holds the numbers, and what they say.
        measured: instead, what the stage ``sample`` found: its ``rates.jsonl``, by the ids that ``Problems`` gave.
    """

    kind: Literal["rate"] = "rate"
    ratings: Imported | None = None
    measured: Path | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Rate:
        if (self.ratings is None) == (self.measured is None):
            raise ValueError("expected ratings in a column or measured ones, one of the two")
        return self

    def files(self) -> Iterator[Path]:
        """The rows, and the rates that were measured."""
        yield from self.inputs
        if self.measured is not None:
            yield self.measured

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``rated.jsonl`` and ``quarantine.jsonl``."""
        counts = task.stream("rate", partial(_rate, self), [RATED, QUARANTINE], self.refuse_bad)
        self.refuse_bad(counts, enough=1)
        found = counts.pop(COLUMNS, {})
        if self.ratings is not None:
            refuse_absent(self, {"--import": self.ratings.column}, found)
        return {"counts": counts, "mean pass rate": mean(counts.pop(OUTCOMES, {}))}

    def demand(self, row: Row, path: Path) -> None:
        """Its rating can be meant."""
        if self.ratings is not None:
            self.ratings.of(parse(row.line))


def _rate(job: Rate) -> Work:
    read, rate_of = job.reader(), _rates(job)

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        rated: list[bytes] = []
        tenths: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        named: Counter[str] = Counter()
        for row in rows:
            whole = parse(row.line)
            if job.ratings is not None:
                named.update(having([whole], [job.ratings.column]))
            try:
                rate = rate_of(row, whole, chunk.path)
            except RowError as error:
                bad.append(Bad(row.line, error))
                continue
            tenths[tenth(rate)] += 1
            if rate is not None and rate.scored:
                outcomes[f"{rate.correct}/{rate.scored}"] += 1
            rated.append(dump(whole | said(rate)))
        bad.sort(key=lambda each: each.line.number)
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "rated": len(rated), "bad": len(bad)},
            "pass rate": dict(tenths),
            OUTCOMES: dict(outcomes),
            COLUMNS: dict(named),
        }
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece({RATED: b"".join(rated), QUARANTINE: aside}, counts)

    return work


def _rates(job: Rate) -> Callable[[Row, Mapping[str, Any], Path], PassRate | None]:
    """What gives a row's rating: its own column, or its problem's samples."""
    if job.ratings is not None:
        column = job.ratings
        return lambda row, whole, path: column.of(whole)
    assert job.measured is not None
    rates = {
        each.problem_id: PassRate(each.correct, each.scored, each.excluded)
        for each in read_rows(job.measured, Rated)
    }
    return lambda row, whole, path: rates.get(problem_id(row.record, path))


def said(rate: PassRate | None) -> dict[str, Any]:
    """The columns that a rating becomes; without a scored sample there is no rate and no interval."""
    if rate is None or rate.value is None:
        return {"pass_rate": None, "pass_samples": None, "pass_interval": None}
    return {
        "pass_rate": rate.value,
        "pass_samples": rate.scored,
        "pass_interval": list(rate.interval()),
    }


def mean(outcomes: Mapping[str, int]) -> float | None:
    """Mean pass rate over rows, each row weighing the same, from rows by ``correct/scored``."""
    rows = sum(outcomes.values())
    shares = (count * Fraction(outcome) for outcome, count in outcomes.items())
    return float(sum(shares, Fraction()) / rows) if rows else None


def tenth(rate: PassRate | None) -> str:
    """The bin of a rate: never and always solved for themselves, the others by tenths."""
    if rate is None or rate.value is None:
        return UNRATED
    if rate.correct in (0, rate.scored):
        return "always solved" if rate.correct else "never solved"
    low = min(int(10 * rate.value), 9)
    return f"{low / 10:.1f}-{(low + 1) / 10:.1f}"


class Problems(RowJob):
    """Rows of any readable file as problems for the stage ``sample``.

    Attributes:
        verifier: who judges the answers.
    """

    kind: Literal["problems"] = "problems"
    verifier: str = "math"

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``problems.jsonl`` and ``quarantine.jsonl``."""
        counts = task.stream(
            "problems", partial(_problems, self), [PROBLEMS, QUARANTINE], self.refuse_bad
        )
        self.refuse_bad(counts, enough=1)
        return {"counts": counts}


def _problems(job: Problems) -> Work:
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        lines = [dump(asdict(as_problem(row.record, chunk.path, job.verifier))) for row in rows]
        counts: Counts = {"rows": {"read": len(chunk.lines), "bad": len(bad)}}
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece({PROBLEMS: b"".join(lines), QUARANTINE: aside}, counts)

    return work


def problem_id(record: Record, path: Path) -> str:
    """A row's own id; one without gets the hash of its question, as sources do."""
    return record.id or content_id(label_of(record, path), record.prompt)


def label_of(record: Record, path: Path) -> str:
    """What a row calls its source, or else the name of its file."""
    return record.source or path.name.split(".")[0]


def as_problem(record: Record, path: Path, verifier: str) -> Problem:
    """A record as a problem."""
    return problem_of(record, problem_id(record, path), label_of(record, path), verifier)


def sampling(
    problems: Path,
    by: Mapping[str, Any],
    drawn: Mapping[str, Any],
    adaptive: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Settings of the stage ``sample`` that rates a file of problems, as a recipe would state them.

    Args:
        problems: what ``Problems`` wrote.
        by: ``{kind: model, model: ...}`` or ``{kind: endpoint, endpoints: [...], model: ...}``.
        drawn: settings of ``sampling``; ``samples`` is for each problem, and says nothing with ``adaptive``.
        adaptive: rounds until a band is decided.
    """
    settings = {"data": str(problems), "by": dict(by), "rate": True, "sampling": dict(drawn)}
    return settings | ({"adaptive": dict(adaptive)} if adaptive else {})
