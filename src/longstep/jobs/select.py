"""``longstep data select``: pick rows of a file by rules, and say of every other one why not.

A first pass notes what rules may ask about each row (its rate, subject, length and, for LIMO, its chain) without the
question; then the rules pick among all rows at once, which takes about 0.8 kB of memory a row; a second pass writes the
picked rows as they were, byte for byte, and the others with the rule and the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import write_json
from longstep.config import Field, UserError
from longstep.curate.domains import domain_of
from longstep.curate.funnel import Funnel
from longstep.curate.selection import AnySelection, Candidate, narrow
from longstep.formats.faults import RowError, describe
from longstep.formats.lines import Line, dump, parse, read_lines
from longstep.formats.quarantine import Bad, as_line, quarantined, quarantined_bad
from longstep.formats.record import Record
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.rate import Imported, number
from longstep.jobs.rows import COLUMNS, Row, RowJob, hash64, having, refuse_absent
from longstep.types import Problem

SELECTED, DROPPED = "out/selected.jsonl", "out/dropped.jsonl"
FACTS, REASONS = "facts", "reasons"


class Select(RowJob):
    """Pick rows.

    Attributes:
        rules: applied one after the other.
        raters: column of each further rater's pass rate, by the name that rules call it.
        ratings: read the rows' own pass rate from a column; otherwise the column ``pass_rate`` is it.
        domain: column that holds the subject; a guess by the words of the question when not given.
        chain: column that holds the reasoning trace; the layout's completion when not given. Its characters are the
            length.
        seed: of every random pick.
    """

    kind: Literal["select"] = "select"
    rules: tuple[AnySelection, ...] = ()
    raters: dict[str, str] = Field(default_factory=dict)
    ratings: Imported | None = None
    domain: str | None = None
    chain: str | None = None
    seed: int = 0

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``selected.jsonl``, ``dropped.jsonl`` and ``funnel.json``."""
        seen = task.stream("look", partial(_look, self), [FACTS], self.refuse_bad)
        self.refuse_bad(seen, enough=1)
        refuse_absent(self, _named(self), seen.get(COLUMNS, {}))
        pool = candidates(task.scratch(FACTS))
        funnel = Funnel()
        funnel.count("read", len(pool), {})
        dropped = narrow(funnel, self.rules, [each for _, each in pool], self.seed)
        with task.scratch(REASONS).open("wb") as file:
            file.writelines(dump({"row": [pool[place][0], *why]}) for place, why in dropped.items())
        outputs = [SELECTED, DROPPED]
        counts = task.stream("select", partial(_split, self, task.scratch(REASONS)), outputs)
        write_json(task.scratch("out/funnel.json"), funnel.rows())
        if not counts.get("rows", {}).get("selected"):
            steps = "; ".join(f"{row['step']} left {row['kept']}" for row in funnel.rows())
            raise UserError(f"{self.inputs[0]}: the rules leave no row: {steps}; widen them")
        return {"counts": counts, "funnel": funnel.rows()}

    def demand(self, row: Row, path: Path) -> None:
        """What the rules ask about can be read."""
        _facts(self, row.record, parse(row.line))


def _named(job: Select) -> dict[str, str]:
    """Columns that the user named, by option."""
    named = {f"--rater {name}": column for name, column in job.raters.items()}
    single = {
        "--import": job.ratings.column if job.ratings else None,
        "--domain": job.domain,
        "--chain": job.chain,
    }
    return named | {option: column for option, column in single.items() if column is not None}


def _facts(job: Select, record: Record, row: Mapping[str, Any]) -> list[Any]:
    """What rules may ask about a row. Its id names it, or a hash of its question, so that its place decides nothing.

    Raises:
        RowError: a column does not hold what it should.
    """
    if job.ratings is not None:
        rating = job.ratings.of(row)
        own = None if rating is None else rating.value
    else:
        own = _share(row, "pass_rate")
    rates = {name: _share(row, column) for name, column in job.raters.items()}
    chain = record.completion if job.chain is None else row.get(job.chain)
    if chain is not None and not isinstance(chain, str):
        raise RowError(f"got {describe(chain)}, expected text", job.chain or "")
    length = None if chain is None else len(chain)
    scored = any("chain" in rule.reads() for rule in job.rules)
    name = record.id or f"{hash64(record.prompt):016x}"
    return [name, own, rates, length, chain if scored else None]


def _domain(job: Select, record: Record, row: Mapping[str, Any]) -> str:
    """A row's subject, where a rule asks for it."""
    if not any("domain" in rule.reads() for rule in job.rules):
        return ""
    return domain_of(record.prompt) if job.domain is None else str(row.get(job.domain, ""))


def _share(row: Mapping[str, Any], column: str) -> float | None:
    value = number(row.get(column))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RowError(f"got {describe(value)}, expected a share in [0, 1]", column)
    return float(value)


def _look(job: Select) -> Work:
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        facts: list[bytes] = []
        wrong = len(bad)
        named: Counter[str] = Counter()
        for row in rows:
            try:
                whole = parse(row.line)
                named.update(having([whole], _named(job).values()))
                found = [row.number, _domain(job, row.record, whole)]
                found += _facts(job, row.record, whole)
                facts.append(dump({"row": found}))
            except RowError:
                wrong += 1
        counts: Counts = {"rows": {"read": len(chunk.lines), "bad": wrong}, COLUMNS: dict(named)}
        return Piece({FACTS: b"".join(facts)}, counts)

    return work


def candidates(facts: Path) -> list[tuple[int, Candidate]]:
    """Rows as the rules see them, with their numbers."""
    pool: list[tuple[int, Candidate]] = []
    for line in read_lines(facts):
        number, domain, name, own, rates, length, chain = parse(line)["row"]
        known = {name: rate for name, rate in rates.items() if rate is not None}
        problem = Problem(name, "", "", pass_rate=own)
        pool.append((number, Candidate(problem, known, domain, chain, length)))
    return pool


def _split(job: Select, reasons: Path) -> Work:
    read = job.reader()
    read_back = (parse(line)["row"] for line in read_lines(reasons))
    dropped: dict[int, tuple[str, str]] = {number: (rule, why) for number, rule, why in read_back}

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        selected: list[bytes] = []
        aside: list[tuple[int, bytes]] = [(each.line.number, _bad(chunk, each)) for each in bad]
        kinds: Counter[str] = Counter({"bad row": len(bad)} if bad else {})
        for row in rows:
            try:
                _facts(job, row.record, parse(row.line))
            except RowError as error:
                kinds["bad row"] += 1
                aside.append((row.line.number, _bad(chunk, Bad(row.line, error))))
                continue
            if row.number not in dropped:
                selected.append(as_line(row.line))
                continue
            rule, why = dropped[row.number]
            kinds[f"{rule}: {why.split(':')[0]}"] += 1
            aside.append((row.line.number, _gone(chunk, row.line, rule, why)))
        aside.sort(key=lambda each: each[0])
        counts: Counts = {
            "rows": {"read": len(chunk.lines), "selected": len(selected)},
            "dropped": dict(kinds),
        }
        lines = b"".join(line for _, line in aside)
        return Piece({SELECTED: b"".join(selected), DROPPED: lines}, counts)

    return work


def _bad(chunk: Chunk, bad: Bad) -> bytes:
    return quarantined_bad(chunk.path, bad)


def _gone(chunk: Chunk, line: Line, rule: str, why: str) -> bytes:
    return quarantined(chunk.path, line, {"reason": f"{rule}: {why}"})
