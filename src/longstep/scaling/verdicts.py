"""Verdicts and classes of equal answers: reached once when trees are grown, and again only by another verifier.

Judging and comparing answers takes most of the time of picking again. Both depend on the stored texts, which are
hashed, and on the verifier's code; while that is what it was, they would come out as they are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import repeat
from pathlib import Path

import longstep.verify
from longstep.artifacts import read_rows
from longstep.scaling.tree import Trail
from longstep.types import Problem
from longstep.verify import judge_all


@dataclass(frozen=True, slots=True)
class EqualAnswers:
    """Of each answer to a problem, in order, the number of its class of equal ones; -1 where there is none."""

    problem_id: str
    classes: tuple[int, ...]


def classes_path(folder: Path, strategy: str) -> Path:
    """Where the classes of a strategy's answers are stored."""
    return folder / "classes" / f"{strategy}.jsonl"


@cache
def verifier_code() -> str:
    """A hash of the code that judges and compares."""
    digest = hashlib.sha256(version("math-verify").encode())
    folder = Path(longstep.verify.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class StoredJudge:
    """Gives answers their verdicts and their classes."""

    def __init__(self, problems: Mapping[str, Problem], stored: Path | None) -> None:
        """Take the problems, and the folder of the stage when what is stored there stands."""
        self._problems, self._folder = problems, stored

    def judged(self, problem_id: str, found: Sequence[Trail]) -> list[Trail]:
        """Answers with their verdicts; those of a verifier from outside are always reached again."""
        if self._stands(problem_id):
            return list(found)
        problem = self._problems[problem_id]
        verdicts = judge_all([(problem, each.text, each.last.finish) for each in found])
        return [
            replace(each, segments=(*each.segments[:-1], replace(each.last, verdict=verdict)))
            for each, verdict in zip(found, verdicts, strict=True)
        ]

    def classes(self, strategy: str) -> Iterator[Sequence[int] | None]:
        """Stored classes of one problem after the other; ``None`` where answers have to be compared again."""
        path = None if self._folder is None else classes_path(self._folder, strategy)
        if path is None or not path.is_file():
            return repeat(None)
        rows = read_rows(path, EqualAnswers)
        return (row.classes if self._stands(row.problem_id) else None for row in rows)

    def _stands(self, problem_id: str) -> bool:
        return self._folder is not None and ":" not in self._problems[problem_id].verifier
