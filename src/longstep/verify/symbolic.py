r"""Symbolic equality of two LaTeX answers; the only importer of math-verify.

Called inside a worker of ``pool.Pool`` only: the library's own timeouts are signals, which work in
the main thread alone and which its C code ignores, so they are off and the parent process kills.
"""

from __future__ import annotations

import logging

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

# The library warns once per process that its timeouts are off; that is what we want.
logging.getLogger("math_verify").setLevel(logging.ERROR)


def compare(gold: str, answer: str) -> list[str]:
    """Compare two answers already extracted; the order matters to the library, so both must hold.

    Decimals are compared to 30 digits, where the library's own default of 6 takes 0.333333 for 1/3.

    Returns:
        A status and a reason: ``correct``, ``incorrect``, ``unparseable`` or ``bad_gold``.
    """
    parsed_gold = _parse(gold)
    if not parsed_gold:
        return ["bad_gold", "the gold answer does not parse"]
    parsed = _parse(answer)
    if not parsed:
        return ["unparseable", "the answer does not parse"]
    same = _equal(parsed_gold, parsed) and _equal(parsed, parsed_gold)
    return ["correct", ""] if same else ["incorrect", "not equal to the gold answer"]


def _equal(one: list, two: list) -> bool:
    return verify(one, two, float_rounding=30, numeric_precision=50, timeout_seconds=None)


def _parse(answer: str) -> list:
    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    return parse(rf"\boxed{{{answer}}}", extraction_config=configs, parsing_timeout=0)
