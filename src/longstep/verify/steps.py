"""Step verifiers: whether each step of an answer is right, given those before it. One line in ``STEP_VERIFIERS`` each.

A step is judged by what stands before it, right or wrong: a wrong value that is carried on rightly is one wrong step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from longstep.config import UserError, lookup, nearest
from longstep.types import Problem
from longstep.verify.chain_steps import apply, worked
from longstep.verify.extract import extract
from longstep.wording import did_you_mean

#: ``(problem, steps, standing)``, the texts of all steps and whether each still stands at the end, to 1, 0 or ``None``
#: where nobody can tell.
StepVerifier = Callable[[Problem, Sequence[str], Sequence[bool]], list[float | None]]

#: In place of a step verifier: every step is as right as the answer.
OUTCOME = "outcome"
_STATED = re.compile(
    r"([a-z])([-+*]?)(\d{1,9})(?:=(\d{1,9}))?"
)  # Python refuses to read very long numbers


def chain_step_truths(
    problem: Problem, steps: Sequence[str], standing: Sequence[bool]
) -> list[float | None]:
    """Steps of a variable chain: the next variable, as the problem defines it, computed rightly from the one before."""
    solved = worked(problem.prompt)
    if solved is None:
        return [None] * len(steps)
    defined = [_STATED.fullmatch(step) for step in solved]
    modulus = int(problem.prompt.rstrip("?").rpartition("%")[2]) if "%" in problem.prompt else 10
    value, place = None, 0
    found: list[float | None] = []
    for text, stands in zip(steps, standing, strict=True):
        if "</think>" in text:
            found.append(float(place == len(defined) and extract(text) == str(value)))
            continue
        said = text.strip().removeprefix("<think>").lstrip("~")
        stated = list(_STATED.finditer(said))
        right = bool(stated) and "".join(each[0] for each in stated) == said
        for number, each in enumerate(stated):
            wanted = defined[place] if place < len(defined) else None
            result, known = _computed(each, value, modulus)
            right = (
                right and known and wanted is not None and wanted.groups()[:3] == each.groups()[:3]
            )
            if stands or number < len(stated) - 1:
                value, place = result, place + 1
        found.append(float(right))
    return found


def _computed(stated: re.Match[str], before: int | None, modulus: int) -> tuple[int | None, bool]:
    """What a piece says its variable is, and whether that follows from the value before."""
    _, operator, number, result = stated.groups()
    if not operator:
        return int(number), before is None and result is None
    if result is None:
        return None, False
    right = before is not None and apply(operator, before, int(number), modulus) == int(result)
    return int(result), right


STEP_VERIFIERS: dict[str, StepVerifier] = {"chain-steps": chain_step_truths}


def step_verifier_trouble(name: str) -> str:
    """Why no steps can be judged by a verifier named so; empty when they can. A ``module:function`` is not imported."""
    if name in STEP_VERIFIERS or ":" in name:
        return ""
    close = did_you_mean(nearest(name, STEP_VERIFIERS))
    known = ", ".join(sorted(STEP_VERIFIERS))
    return f"unknown step verifier {name!r}{close} (choices: {known}, or module:function)"


def judge_steps(
    name: str, problem: Problem, steps: Sequence[str], standing: Sequence[bool]
) -> list[float | None]:
    """Judge all steps of one answer.

    Raises:
        UserError: a ``module:function`` gave something else than 1, 0 or ``None`` for each step.
    """
    verifier: Any = STEP_VERIFIERS.get(name) or lookup(name)
    found = list(verifier(problem, steps, standing))
    if len(found) != len(steps) or any(each not in (0, 1, None) for each in found):
        raise UserError(
            f"step verifier {name} returned {str(found)[:80]} for {len(steps)} steps of problem {problem.id}; expected "
            "1, 0 or None for each"
        )
    return found
