"""The installed Math-Verify with its own time limits (5 s to parse, 5 s to compare), as its README uses it.

Both sides are boxed, which its documentation recommends for answers without dollar signs.
"""

from __future__ import annotations

import logging


def grade(gold: str, answer: str, kind: str | None) -> str:
    """Compare; the kind is not used. Nothing found in the answer is ``unparseable``."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    golds, answers = parse(_boxed(gold)), parse(_boxed(answer))
    if not answers or not golds:
        return "unparseable" if golds else "bad_gold"
    return "correct" if verify(golds, answers) else "incorrect"


def _boxed(text: str) -> str:
    return text if r"\boxed" in text else rf"\boxed{{{text}}}"
