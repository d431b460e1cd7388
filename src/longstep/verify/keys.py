"""When two gold answers are one answer: a key that can be sorted and hashed, and the verifier's own opinion."""

from __future__ import annotations

import re

from longstep.verify.equality import verify
from longstep.verify.exact import canonical

#: What changes how LaTeX looks and not what it says.
_SPELLING = re.compile(r"\\(?:left|right|text|mathrm|[,!; ])|[\s{}$]")


def answer_key(answer: str) -> str:
    """Answers with one key are one answer: exact values where there are any, else the LaTeX without its spelling."""
    value = canonical(answer)
    return value if value is not None else _SPELLING.sub("", answer.replace("dfrac", "frac"))


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are spelt alike or are equal in the eyes of the verifier."""
    return first.strip() == second.strip() or verify(gold=first, answer=second).status == "correct"
