r"""Mathematical answers: exact numbers first, symbolic equality in the worker pool otherwise."""

from __future__ import annotations

import os
import re
import threading

from longstep.types import Problem, Verdict
from longstep.verify.exact import canonical
from longstep.verify.extract import extract
from longstep.verify.pool import NoReply, Pool

MAX_CHARS = 1000
MAX_NESTING = 30
# Digits raised to a power that is itself raised, 5-digit exponents, 5-digit factorials.
_TOO_LARGE = re.compile(r"\^\{?\(?[0-9]*\^|\^\{?[0-9]{5}|[0-9]{5}!|!!|\\input|\\write")
_lock = threading.Lock()
_pools: dict[int, Pool] = {}


def shared_pool() -> Pool:
    """Give this process's pool; it starts a worker at the first symbolic question, not before."""
    with _lock:  # by process id: after a fork the parent's pipes are not ours to use
        return _pools.setdefault(os.getpid(), Pool("longstep.verify.symbolic:compare"))


def refusal(answer: str) -> str | None:
    """Say why an answer is not worth a worker, or ``None``.

    A screen on the text alone gives the same verdict on every machine, which a clock does not.
    """
    if len(answer) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    depth = 0
    for letter in answer:
        depth += (letter in "([{") - (letter in ")]}")
        if depth > MAX_NESTING:
            return f"nested deeper than {MAX_NESTING}"
    return "a power or factorial too large to evaluate" if _TOO_LARGE.search(answer) else None


def math(problem: Problem, text: str) -> Verdict:
    """Compare the extracted answer with the gold one; two numbers never reach the workers.

    Gold and answer that are both exact numbers are decided exactly, except that a percent sign on
    one side only (gold ``50``, answer ``50%``) is left to math-verify, which accepts both readings.
    """
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    gold, value = canonical(problem.answer), canonical(answer)
    one_percent = ("%" in problem.answer) != ("%" in answer)
    if gold is not None and value == gold:
        return Verdict("correct", value)
    if gold is not None and value is not None and not one_percent:
        return Verdict("incorrect", value, "another number")
    if reason := refusal(problem.answer):
        return Verdict("bad_gold", answer[:MAX_CHARS], f"gold answer: {reason}")
    if reason := refusal(answer):
        return Verdict("unparseable", answer[:MAX_CHARS], reason)
    try:
        status, reason = shared_pool().call(problem.answer, answer)
    except NoReply as error:
        return Verdict("timeout", answer, str(error))
    return Verdict(status, answer, reason)
