"""``longstep data rate``: pass rates that somebody else measured, read from a column.

Rates of one's own come from the stage ``sample``. ``Problems`` writes the rows of a file as it reads them, and
``sampling`` the settings of the stage, for the verb that does both in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from longstep.curate.adaptive import Adaptive
from longstep.curate.difficulty import PassRate, Ratings
from longstep.formats.faults import RowError
from longstep.formats.lines import dump, parse
from longstep.formats.record import Record
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.rows import (
    COLUMNS,
    QUARANTINE,
    Bad,
    RowJob,
    having,
    quarantined_bad,
    refuse_absent,
)
from longstep.problems.source import content_id
from longstep.types import Problem

RATED, PROBLEMS = "out/rated.jsonl", "out/problems.jsonl"
UNRATED = "not rated"


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
    """Write ``pass_rate`` and ``pass_samples`` into every row that has a rating; an older pass rate is replaced.

    Attributes:
        ratings: where the numbers are and what they say.
    """

    kind: Literal["rate"] = "rate"
    ratings: Imported

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``rated.jsonl`` and ``quarantine.jsonl``."""
        counts = task.stream("rate", partial(_rate, self), [RATED, QUARANTINE], self.check)
        self.check(counts, enough=1)
        refuse_absent(self, {"--import": self.ratings.column}, counts.pop(COLUMNS, {}))
        return {"counts": counts}


def _rate(job: Rate) -> Work:
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        rated: list[bytes] = []
        tenths: Counter[str] = Counter()
        named: Counter[str] = Counter()
        for row in rows:
            whole = parse(row.line)
            named.update(having([whole], [job.ratings.column]))
            try:
                rate = job.ratings.of(whole)
            except RowError as error:
                bad.append(Bad(row.line, error))
                continue
            tenths[tenth(rate)] += 1
            facts = {"pass_rate": None, "pass_samples": None}
            if rate is not None:
                facts = {"pass_rate": rate.value, "pass_samples": rate.scored}
            rated.append(dump(whole | facts))
        bad.sort(key=lambda each: each.line.number)
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "rated": len(rated), "bad": len(bad)},
            "pass rate": dict(tenths),
            COLUMNS: dict(named),
        }
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece({RATED: b"".join(rated), QUARANTINE: aside}, counts)

    return work


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
            "problems", partial(_problems, self), [PROBLEMS, QUARANTINE], self.check
        )
        self.check(counts, enough=1)
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


def as_problem(record: Record, path: Path, verifier: str) -> Problem:
    """A record as a problem; one without an id gets the hash of its question, as sources do."""
    label = record.source or path.name.split(".")[0]
    return Problem(
        id=record.id or content_id(label, record.prompt),
        prompt=record.prompt,
        answer=record.answer or "",
        solution=record.solution,
        verifier=verifier,
        source=label,
        difficulty=record.difficulty,
        pass_rate=record.pass_rate,
    )


def sampling(
    problems: Path,
    by: Mapping[str, Any],
    samples: int = 8,
    max_tokens: int = 4096,
    adaptive: Adaptive | None = None,
) -> dict[str, Any]:
    """Settings of the stage ``sample`` that rates a file of problems, as a recipe would state them.

    Args:
        problems: what ``Problems`` wrote.
        by: ``{kind: model, model: ...}`` or ``{kind: endpoint, url: ..., model: ...}``.
        samples: for each problem, without ``adaptive``.
        max_tokens: longest completion.
        adaptive: rounds until a band is decided.
    """
    drawn = {"max_tokens": max_tokens} | ({} if adaptive else {"samples": samples})
    settings = {"data": str(problems), "by": dict(by), "rate": True, "sampling": drawn}
    return settings | ({"adaptive": adaptive.model_dump(mode="json")} if adaptive else {})
