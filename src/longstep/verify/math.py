r"""Mathematical answers: the extracted answer against the gold one, on the whole ladder."""

from __future__ import annotations

from longstep.types import Problem, Verdict
from longstep.verify.equality import verify
from longstep.verify.protocols import PROTOCOLS
from longstep.verify.rule import rule_of


def math(problem: Problem, text: str) -> Verdict:
    """Compare the extracted answer with the gold one; see ``longstep.verify.ladder`` for the policy.

    What is declared behind the verifier's name (``math(tolerance=1%)``) holds; see ``longstep.verify.rule``.
    """
    rule = rule_of(problem.verifier)
    answer = PROTOCOLS[rule.extract](text)
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    return verify(gold=problem.answer, answer=answer, rule=rule)
