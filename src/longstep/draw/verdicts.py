"""What was said of each completion of a draw, one small line each: rates, votes and counts need no more than this."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from longstep.artifacts import read_rows, row_line
from longstep.config import TypeAdapter, ValidationError
from longstep.types import Completion, FinishReason, Problem, Verdict
from longstep.verify import judge


@dataclass(frozen=True, slots=True)
class Judged:
    """A completion without its ids and text.

    Attributes:
        problem_id: the problem.
        sample_index: which of its samples.
        finish_reason: how it ended.
        verdict: what was said.
        check: hash of everything that was judged; another completion in its place is judged anew.
    """

    problem_id: str
    sample_index: int
    finish_reason: FinishReason
    verdict: Verdict
    check: str

    def slim(self) -> Completion:
        """As a completion whose ids and text are left out."""
        place = self.problem_id, self.sample_index
        return Completion(*place, (), (), "", self.finish_reason, verdict=self.verdict)


class Verdicts:
    """Verdicts of one draw in the order of its rows; a verdict found there is not reached again.

    Nothing here has to survive a power cut: what is lost is judged again.
    """

    def __init__(self, path: Path) -> None:
        """Open or begin the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._adapter = TypeAdapter(Judged)
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._reading = True

    def of(self, problem: Problem, row: Completion) -> Verdict:
        """The verdict on the next row, from the file or from the problem's verifier."""
        check = _check(problem, row)
        if self._reading:
            start = self._file.tell()
            known = self._next()
            if known is not None and known.check == check:
                return known.verdict
            self._file.seek(start)
            self.end()
        verdict = row.verdict or judge(problem, row.text, row.finish_reason)
        place = row.problem_id, row.sample_index
        self._file.write(row_line(Judged(*place, row.finish_reason, verdict, check)).encode())
        return verdict

    def end(self) -> None:
        """No known row follows: what stands here is of another draw, or torn."""
        self._file.truncate()
        self._reading = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _next(self) -> Judged | None:
        try:
            return self._adapter.validate_json(self._file.readline())
        except ValidationError:  # the end, or a torn line
            return None


def slim_rows(path: Path) -> Iterator[Completion]:
    """The rows of a finished draw, ids and texts left out."""
    return (each.slim() for each in read_rows(path, Judged))


def _check(problem: Problem, row: Completion) -> str:
    why = "" if row.verdict is None else row.verdict.reason
    asked = (row.problem_id, str(row.sample_index), problem.answer, problem.verifier)
    digest = hashlib.blake2b(repr((*asked, row.finish_reason, why)).encode(), digest_size=8)
    digest.update(row.text.encode())
    return digest.hexdigest()
