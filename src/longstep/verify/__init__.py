"""Verifiers: ``(problem, text) -> Verdict``. One leaf file per member, one line in ``VERIFIERS``.

From outside the package a problem names ``module:function``. Such a function is foreign code: when
it raises, the verdict is ``timeout`` (no judgement was reached: excluded from every score, and
counted) with the error as its reason. This is the one place where an exception becomes a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

from longstep.config import UserError, lookup, nearest
from longstep.types import Problem, Verdict
from longstep.verify.chain_steps import chain_steps
from longstep.verify.countdown import countdown
from longstep.verify.equality import verify, without_value
from longstep.verify.exact import canonical, exact
from longstep.verify.extract import extract, unfinished_part
from longstep.verify.gold import key_of
from longstep.verify.math import math
from longstep.verify.outside import outside_fault
from longstep.verify.rule import EXACT, KINDS, Kind, Rule, name_of, rule_of
from longstep.verify.workers import warm_for

__all__ = [
    "KINDS",
    "VERIFIERS",
    "Kind",
    "Verifier",
    "canonical",
    "extract",
    "judge",
    "judge_all",
    "judge_gold",
    "key_trouble",
    "verifier_fault",
    "verifier_trouble",
    "verify",
]

Verifier = Callable[[Problem, str], Verdict]

VERIFIERS: dict[str, Verifier] = {
    "chain-steps": chain_steps,  # the answer of a variable chain, and every step to it
    "countdown": countdown,  # any expression over the given numbers
    "exact": exact,  # integers, fractions, decimals, percents
    "math": math,  # the ladder of equality
}


#: Answers that a thread judges at a time.
_HANDED = 8


def judge(
    problem: Problem,
    text: str,
    finish_reason: str = "stop",
    unfinished: Literal["ignore", "read"] = "ignore",
) -> Verdict:
    """Judge one completion with the problem's verifier.

    A completion cut at the token limit is ``truncated``; no answer is ever looked for in it, nor in a
    thought that was never closed, unless ``unfinished`` is ``read``: the reason then says so.

    Raises:
        UserError: there is no such verifier, or it returned something that is not a ``Verdict``.
    """
    if unfinished == "read":
        thought = unfinished_part(text)
        if thought is not None or finish_reason == "length":
            verdict = judge(problem, text if thought is None else thought)
            note = "read from an unfinished answer"
            reason = f"{note}; {verdict.reason}" if verdict.reason else note
            return replace(verdict, reason=reason)
    if finish_reason == "length":
        return Verdict("truncated", None, "cut at the token limit")
    name = problem.verifier
    if name in VERIFIERS:
        return VERIFIERS[name](problem, text)
    if name_of(name) == "math":
        return math(problem, text)
    if trouble := verifier_trouble(name):
        raise UserError(f"problem {problem.id}: {trouble}")
    function: Verifier = lookup(name)
    try:
        verdict = function(problem, text)
    except Exception as error:
        return Verdict("timeout", None, f"verifier {name} raised {type(error).__name__}: {error}")
    if not isinstance(verdict, Verdict):
        raise UserError(
            f"verifier {name} returned {type(verdict).__name__} for problem {problem.id}; expected "
            "a longstep.types.Verdict"
        )
    return verdict


def verifier_trouble(verifier: str) -> str:
    """Say why nothing can be judged by a verifier that is named so; empty when something can.

    A ``module:function`` is not imported: that is foreign code, which runs only when it is to judge.
    """
    if verifier in VERIFIERS or ":" in verifier:
        return ""
    name = name_of(verifier)
    if name == "math":
        try:
            rule_of(verifier)
        except UserError as error:
            return str(error)
        return ""
    if name in VERIFIERS:
        return f"verifier {verifier!r}: {name} takes no options; only math does"
    close = nearest(name, VERIFIERS)
    hint = f"did you mean {close!r}? " if close else ""
    known = ", ".join(sorted(VERIFIERS))
    return f"unknown verifier {verifier!r}; {hint}(choices: {known}, or module:function)"


def verifier_fault(verifier: str) -> str:
    """As :func:`verifier_trouble`, before a run: a ``module:function`` is imported, too, and looked at."""
    return outside_fault(verifier) if _outside(verifier) else verifier_trouble(verifier)


def _outside(verifier: str) -> bool:
    return ":" in verifier and verifier not in VERIFIERS and name_of(verifier) not in VERIFIERS


def judge_all(items: Sequence[tuple[Problem, str, str]], threads: int = 2) -> list[Verdict]:
    """Judge ``(problem, text, finish_reason)`` items in order, several workers busy at once."""
    warm_for({problem.answer for problem, _, _ in items if name_of(problem.verifier) == "math"})
    # Handing a thread one answer takes as long as judging a simple one.
    parts = [items[at : at + _HANDED] for at in range(0, len(items), _HANDED)]
    with ThreadPoolExecutor(threads) as executor:
        judged = executor.map(lambda part: [judge(*item) for item in part], parts)
        return [verdict for part in judged for verdict in part]


def key_trouble(answer: str, rule: Rule = EXACT) -> str:
    """Say in a few words why no answer can be compared with a key, as a kind to be counted; empty when one can."""
    return _trouble(answer, rule)[0]


def _trouble(answer: str, rule: Rule) -> tuple[str, str]:
    key = key_of(answer, rule.kind)
    if key.trouble:
        return key.trouble, key.reason
    if len(key.answers) > 1 and rule.members == "undeclared":
        several = f"{len(key.answers)} answers: declare members=any or members=all"
        return "a list", several
    for each in key.answers:
        if reason := without_value(each):
            return "without a value", reason
    return "", ""


def judge_gold(problem: Problem) -> Verdict:
    """Judge the problem's own gold answer; anything but ``correct`` means the row is unusable.

    A key has to be *readable*: one that equals itself by its spelling alone is ``bad_gold``, because every right answer
    that is spelt otherwise would count as wrong. The rung ``key`` names the kind of trouble in its reason.
    """
    if name_of(problem.verifier) not in ("math", "exact"):
        # A verifier may look at the way to the answer, too.
        thought = f"<think>{problem.solution}</think>" if problem.solution else ""
        return judge(problem, rf"{thought}\boxed{{{problem.answer}}}")
    rule = rule_of(problem.verifier) if name_of(problem.verifier) == "math" else EXACT
    kind, reason = _trouble(problem.answer, rule)
    if kind:
        return Verdict("bad_gold", None, f"{kind}: {reason}", "key")
    answers = key_of(problem.answer, rule.kind).answers
    shown = answers[0] if rule.members == "any" else "; ".join(answers)
    if name_of(problem.verifier) == "math":
        return verify(gold=problem.answer, answer=shown, rule=rule)
    return judge(problem, rf"\boxed{{{shown}}}")
