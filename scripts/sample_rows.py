"""Make the two small published-looking files that the tiny recipes on traces and pairs read.

    python scripts/sample_rows.py        # writes src/longstep/data/rows

Questions are of the family ``chain``, split ``train``. Traces are in layout ``messages``, one in ten wrong on purpose
and a few cut; pairs are in layout ``sharegpt-preference``, the rejected side wrong in its last step.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longstep.artifacts import row_line
from longstep.problems import Chain
from longstep.types import Problem

ROWS = Path(__file__).parents[1] / "src" / "longstep" / "data" / "rows"
WRONG, CUT = 10, 40


def turn(problem: Problem, shift: int = 0) -> str:
    """The worked solution, its last step wrong by ``shift``."""
    steps = (problem.solution or "")[:-1]
    answer = (int(problem.answer) + shift) % 10
    return f"<think>{steps}{answer}</think>\\boxed{{{answer}}}"


def traces(problems: list[Problem], rng: random.Random) -> Iterator[dict[str, Any]]:
    """One row a problem."""
    for problem in problems:
        said = turn(problem, rng.randrange(1, 10) if rng.randrange(WRONG) == 0 else 0)
        if rng.randrange(CUT) == 0:
            said = said[: said.index("</think>") - 1]
        messages = [("user", problem.prompt), ("assistant", said)]
        yield {
            "messages": [{"role": role, "content": text} for role, text in messages],
            "answer": problem.answer,
        }


def pairs(problems: list[Problem], rng: random.Random) -> Iterator[dict[str, Any]]:
    """One row a problem."""
    for problem in problems:
        yield {
            "conversations": [{"from": "human", "value": problem.prompt}],
            "chosen": {"from": "gpt", "value": turn(problem)},
            "rejected": {"from": "gpt", "value": turn(problem, rng.randrange(1, 10))},
            "answer": problem.answer,
        }


def store(name: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows compressed; the same rows give the same bytes."""
    text = "".join(map(row_line, rows)).encode()
    (ROWS / f"{name}.gz").write_bytes(gzip.compress(text, mtime=0))


def main() -> None:
    """Write both."""
    rng = random.Random(17)
    problems = list(Chain(count=4000, difficulty=(1, 8)).load(17))
    ROWS.mkdir(parents=True, exist_ok=True)
    store("longstep-traces", traces(problems[:3000], rng))
    store("longstep-pairs", pairs(problems[3000:], rng))


if __name__ == "__main__":
    main()
