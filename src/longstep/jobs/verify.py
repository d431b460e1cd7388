"""``longstep data verify``: does every gold parse, and what does the verifier make of the completions beside it?

Each gold is judged as an answer to its own question; each completion in the file is judged by the row's verifier, and
by a second one if asked. Rows that a person should look at go to ``queue.jsonl``: golds that do not verify, verdicts
that were not reached, verifiers that differ, and completions that agree on another answer than the gold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from longstep.config import UserError
from longstep.curate.audit import KeyAudit, audit_keys, votes_of
from longstep.curate.queue import Doubt, queue
from longstep.formats.faults import RowError, describe
from longstep.formats.lines import dump, parse
from longstep.formats.quarantine import Bad, quarantined_bad
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.rate import as_problem
from longstep.jobs.rows import COLUMNS, QUARANTINE, Row, RowJob, having, refuse_absent
from longstep.types import Completion, Problem, Verdict
from longstep.verify import judge, judge_gold
from longstep.verify.keys import same_answer

QUEUE, VERDICTS = "out/queue.jsonl", "out/verdicts.jsonl"


class Verify(RowJob):
    """Judge golds and completions.

    Attributes:
        verifier: who judges.
        second: another verifier that judges every completion too; where it differs, the row is queued.
        completions: column with a completion or a list of them; the layout's own completion when not given.
        audit: when completions that agree on another answer make the key suspect.
    """

    kind: Literal["verify"] = "verify"
    verifier: str = "math"
    second: str | None = None
    completions: str | None = None
    audit: KeyAudit = KeyAudit()

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``verdicts.jsonl``, ``queue.jsonl`` and ``quarantine.jsonl``."""
        if self.audit.extra:
            raise UserError("audit.extra: has no effect here, nothing is sampled; use data rate")
        outputs = [VERDICTS, QUEUE, QUARANTINE]
        counts = task.stream("verify", partial(_verify, self), outputs, self.refuse_bad)
        self.refuse_bad(counts, enough=1)
        found = counts.pop(COLUMNS, {})
        if self.completions is not None:
            refuse_absent(self, {"--completions": self.completions}, found)
        return {"counts": counts}

    def demand(self, row: Row, path: Path) -> None:
        """Its completions are texts."""
        texts_of(self, row)


def _verify(job: Verify) -> Work:
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        verdicts: list[bytes] = []
        queued: list[bytes] = []
        counts: Counts = {"gold": {}, "completions": {}, "rungs": {}, "unreadable keys": {}}
        if job.completions is not None:
            counts[COLUMNS] = having((parse(row.line) for row in rows), [job.completions])
        for row in rows:
            problem = as_problem(row.record, chunk.path, job.verifier)
            try:
                texts = texts_of(job, row)
            except RowError as error:
                bad.append(Bad(row.line, error))
                continue
            gold = gold_verdict(problem)
            judged = [_judged(problem, n, text) for n, text in enumerate(texts)]
            doubts = doubts_of(job, problem, gold, judged)
            queued += [dump(asdict(doubt)) for doubt in doubts]
            found = [each.verdict for each in judged if each.verdict]
            verdicts.append(dump(_line(row.number, problem, gold, found)))
            _count(counts, gold, found)
        counts["rows"] = {"read": len(chunk.lines), "bad": len(bad), "queued": len(queued)}
        bad.sort(key=lambda each: each.line.number)
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece(
            {VERDICTS: b"".join(verdicts), QUEUE: b"".join(queued), QUARANTINE: aside}, counts
        )

    return work


def texts_of(job: Verify, row: Row) -> list[str]:
    """The completions of a row.

    Raises:
        RowError: the column holds something else than texts.
    """
    value = row.record.completion
    if job.completions is not None:
        value = parse(row.line).get(job.completions)
    texts = value if isinstance(value, list) else [] if value is None else [value]
    for text in texts:
        if not isinstance(text, str):
            raise RowError(f"got {describe(text)}, expected text", job.completions or "")
    return texts


def gold_verdict(problem: Problem) -> Verdict:
    """What the problem's own verifier makes of its gold; a row without one is ``bad_gold``."""
    if not problem.answer.strip():
        return Verdict("bad_gold", None, "the row has no gold answer")
    return judge_gold(problem)


def _judged(problem: Problem, index: int, text: str) -> Completion:
    return Completion(problem.id, index, (), (), text, "stop", verdict=judge(problem, text))


def doubts_of(
    job: Verify, problem: Problem, gold: Verdict, judged: Sequence[Completion]
) -> list[Doubt]:
    """The row's line in the queue, if it needs one."""
    second = None
    if job.second is not None:
        other = replace(problem, verifier=job.second)
        second = lambda row: judge(other, row.text)  # noqa: E731
    suspects = audit_keys([problem], votes_of(judged, same_answer), job.audit, same_answer)
    doubts = queue([problem], suspects, judged, second)
    if gold.status == "correct":
        return doubts
    reason = f"gold {gold.status}: {gold.reason or 'its own verifier does not accept it'}"
    if not doubts:
        return [Doubt(problem.id, problem.prompt, problem.answer, (), (reason,))]
    return [replace(doubts[0], why=(reason, *doubts[0].why))]


def _line(number: int, problem: Problem, gold: Verdict, found: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "row": number,
        "problem_id": problem.id,
        "gold": asdict(gold),
        "completions": [asdict(verdict) for verdict in found],
    }


def _count(counts: Counts, gold: Verdict, found: Sequence[Verdict]) -> None:
    if gold.rung == "key":
        kind = gold.reason.partition(":")[0]
        counts["unreadable keys"][kind] = counts["unreadable keys"].get(kind, 0) + 1
    for table, statuses in (
        ("gold", [gold.status]),
        ("completions", [verdict.status for verdict in found]),
        ("rungs", [verdict.rung or "none" for verdict in (gold, *found)]),
    ):
        entries = counts[table]
        for status, count in Counter(statuses).items():
            entries[status] = entries.get(status, 0) + count
