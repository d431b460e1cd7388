"""The package's two questions about answers: ``longstep.judge`` for a completion, ``longstep.same`` for an answer."""

from __future__ import annotations

from longstep.config import UserError
from longstep.types import FinishReason, Verdict
from longstep.verify.equality import verify
from longstep.verify.extract import finished_part
from longstep.verify.protocols import PROTOCOLS
from longstep.verify.rule import Extraction, Kind, Members, Rule, tolerance_of


def judge_completion(
    gold: str,
    completion: str,
    *,
    rule: Rule | None = None,
    extract: Extraction = "strict",
    finish_reason: FinishReason = "stop",
) -> Verdict:
    r"""Judge a whole completion: find its final answer, and say whether that is the gold answer.

    ``judge("1/2", r"So $x = \boxed{0.5}$.").status == "correct"``. To compare an answer that was already found, use
    ``same``. A verdict is no truth value: ask for its ``status``, or for ``correctness`` (``None`` where the verdict
    says nothing about the answer).

    Args:
        gold: the key as it is published: an answer, or a solution whose end holds it.
        completion: the model's whole text, thoughts included.
        rule: what is declared about key and answer (``declare``); exact equality when nothing is.
        extract: how the answer is found; ``strict`` takes only what the text commits to.
        finish_reason: ``length`` for a completion that was cut, in which no answer is looked for.

    Returns:
        ``correct`` or ``incorrect``; ``unparseable`` without a final answer, ``truncated``, or ``bad_gold`` when
        the key cannot be read.
    """
    if finish_reason == "length":
        return Verdict("truncated", None, "cut at the token limit")
    answer = PROTOCOLS[extract](completion)
    if answer is None:
        open_thought = finished_part(completion) is None
        return Verdict(
            "unparseable", None, "the thought is not closed" if open_thought else "no final answer"
        )
    return verify(gold=gold, answer=answer, rule=rule or Rule())


def same_answers(gold: str, answer: str, *, rule: Rule | None = None) -> Verdict:
    r"""Say whether an answer is the gold answer: ``same("1/2", "0.5").status == "correct"``.

    For a whole completion use ``judge``: a text with the answer somewhere in it is ``unparseable`` here, with the
    reason, and never ``incorrect``.

    Args:
        gold: the key as it is published.
        answer: an answer that was already found, in LaTeX or plain text.
        rule: what is declared about key and answer (``declare``); exact equality when nothing is.
    """
    return verify(gold=gold, answer=answer, rule=rule or Rule())


def declare(
    *,
    tolerance: str | None = None,
    members: Members = "undeclared",
    kind: Kind | None = None,
) -> Rule:
    """Declare what holds for keys and answers, for ``judge`` and ``same``.

    Args:
        tolerance: ``1%`` or ``0.01`` relative to the key, ``+-0.05``, ``3 digits`` (significant), or ``digits`` for as
            many as the key is written with.
        members: what a key that is a list of answers means: ``any`` or ``all`` of them.
        kind: what the key is, such as ``choice`` (``longstep.verify.KINDS``).

    Raises:
        UserError: the tolerance is none of these.
    """
    try:
        return Rule(tolerance_of(tolerance) if tolerance else None, members, kind)
    except ValueError as error:
        raise UserError(str(error)) from None
