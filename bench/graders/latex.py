"""What the re-implemented graders share: LaTeX as plain text, and text as a sympy expression."""

from __future__ import annotations

import re
from typing import Any

_FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "ln",
    "log",
    "exp",
    "arcsin",
    "arccos",
    "arctan",
}
_SYMBOLS = {"cdot": "*", "times": "*", "pi": "pi", "infty": "inf", "cup": "U", "div": "/"}
_ARITHMETIC = re.compile(r"[0-9A-Za-z+\-*/().,!^ ]+")
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


def plain(text: str) -> str:
    """Write LaTeX as plain text, the way pylatexenc 2 does (not installed here).

    Known weaknesses are kept, because the graders have them: a fraction becomes ``a/b`` without
    brackets and the degree of a root is dropped. Unknown commands vanish.
    """
    for _ in range(6):
        text = re.sub(r"\\frac\s*" + _GROUP + r"\s*" + _GROUP, r"\1/\2", text)
        text = re.sub(r"\\sqrt\s*(?:\[[^\]]*\])?" + _GROUP, r"sqrt(\1)", text)
        text = re.sub(r"\\(?:text|mathrm|mathbf|mbox|textbf)\s*" + _GROUP, r"\1", text)
    text = re.sub(r"\\([A-Za-z]+)", _command, text)
    return re.sub(r"[{}\\]", "", text).strip()


def _command(match: re.Match[str]) -> str:
    name = match.group(1)
    return name if name in _FUNCTIONS else _SYMBOLS.get(name, "")


def from_python(text: str, implicit: bool = False) -> Any:
    """Read ``2*x**2`` with ``sympy.parse_expr``.

    ``parse_expr`` executes what it is given; the graders hand it everything. Here text with
    anything but arithmetic in it is refused.

    Raises:
        ValueError: it is not arithmetic. Whatever else sympy raises.
    """
    from sympy.parsing import sympy_parser as reader

    words = set(re.findall(r"[A-Za-z]{3,}", text))
    if not _ARITHMETIC.fullmatch(text) or not words <= _FUNCTIONS | {"sqrt", "inf"}:
        raise ValueError("not arithmetic")
    steps: tuple[Any, ...] = reader.standard_transformations
    if implicit:
        steps += (reader.implicit_multiplication_application,)
    return reader.parse_expr(text, transformations=steps)


def from_latex(text: str) -> Any:
    """Read LaTeX with latex2sympy2_extended: sympy's own reader needs another antlr4 than math-verify."""
    from latex2sympy2_extended import latex2sympy

    return latex2sympy(text)
