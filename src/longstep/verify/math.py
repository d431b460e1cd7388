r"""Mathematical answers: the extracted answer against the gold one, on the whole ladder."""

from __future__ import annotations

from longstep.types import Problem, Verdict
from longstep.verify.equality import verify
from longstep.verify.extract import extract


def math(problem: Problem, text: str) -> Verdict:
    """Compare the extracted answer with the gold one; see ``longstep.verify.ladder`` for the policy."""
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    return verify(gold=problem.answer, answer=answer)
