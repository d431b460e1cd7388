"""Variable chains, step by step: the answer counts only when every step that leads to it is right.

An answer modulo 10 is right by luck one time in ten, so an answer-only verdict never says that a problem is hopeless,
and rewards noise on the hardest ones. Here luck has to hold at every step: what cannot be solved gets 0.
"""

from __future__ import annotations

import re

from longstep.types import Problem, Verdict
from longstep.verify.extract import extract

_PROMPT = re.compile(r"((?:[a-z][-+*]?\d+)+)(?:%(\d+))?\?")
_PIECE = re.compile(r"([a-z])([-+*]?)(\d+)")
#: A step of a trace; one that ends in ``~`` is doubted and does not count.
_STEP = re.compile(r"([a-z][-+*]?\d+(?:=\d+)?)(~?)")


def chain_steps(problem: Problem, text: str) -> Verdict:
    """Judge the trace and the answer of a chain: each variable once, in order, with its right value."""
    steps = worked(problem.prompt)
    if steps is None:
        return Verdict("bad_gold", None, f"not a chain: {problem.prompt[:40]!r}")
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no answer after a finished thought")
    if answer != problem.answer:
        return Verdict("incorrect", answer, f"the answer is {problem.answer}")
    thought = text.rpartition("</think>")[0].strip().removeprefix("<think>").strip()
    found = list(_STEP.finditer(thought))
    if "".join(step[0] for step in found) != thought:
        return Verdict("incorrect", answer, "its thought is not a list of steps")
    kept = [step[1] for step in found if not step[2]]
    for number, right in enumerate(steps):
        said = kept[number] if number < len(kept) else "nothing"
        if said != right:
            return Verdict("incorrect", answer, f"step {number + 1} is {right}, not {said}")
    if len(kept) > len(steps):
        return Verdict("incorrect", answer, f"goes on after the last step with {kept[len(steps)]}")
    return Verdict("correct", answer)


def worked(prompt: str) -> list[str] | None:
    """The steps of a chain as its worked solution writes them; ``None`` for a prompt that is no chain.

    Definitions may stand in any order; variables are computed in that of the alphabet.
    """
    found = _PROMPT.fullmatch(prompt.strip())
    if found is None:
        return None
    pieces = sorted(_PIECE.findall(found[1]))
    names = [name for name, _, _ in pieces]
    alphabet = [chr(ord("a") + place) for place in range(len(pieces))]
    if names != alphabet or pieces[0][1] or not all(operator for _, operator, _ in pieces[1:]):
        return None
    modulus = int(found[2] or 10)
    if not modulus:
        return None
    value, steps = int(pieces[0][2]), [f"a{pieces[0][2]}"]
    for name, operator, number in pieces[1:]:
        value = apply(operator, value, int(number), modulus)
        steps.append(f"{name}{operator}{number}={value}")
    return steps


def apply(operator: str, left: int, right: int, modulus: int) -> int:
    """``left operator right`` modulo ``modulus``, for ``+ - *``."""
    results = {"+": left + right, "-": left - right, "*": left * right}
    return results[operator] % modulus
