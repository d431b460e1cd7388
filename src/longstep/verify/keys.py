"""When two gold answers are one answer: a key that can be sorted and hashed, and the verifier's own opinion."""

from __future__ import annotations

import re

from longstep.verify.equality import verify
from longstep.verify.exact import canonical
from longstep.verify.ladder.marks import unwrapped
from longstep.verify.ladder.spelling import spell, squeezed

#: Braces around one letter or digit, which TeX reads with and without them.
_SINGLE = re.compile(r"(\^|_|\\sqrt)(?:\{([0-9A-Za-z]|\\circ)\}| (?=[0-9]))")


def answer_key(answer: str) -> str:
    """Answers with one key are one answer: exact values where there are any, else the one spelling of the LaTeX."""
    value = canonical(answer)
    return value if value is not None else _SINGLE.sub(r"\1\2", squeezed(unwrapped(spell(answer))))


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are spelt alike or are equal in the eyes of the verifier."""
    return first.strip() == second.strip() or verify(gold=first, answer=second).status == "correct"
