r"""How the answers of a problem are to be judged, written behind the verifier's name: ``math(tolerance=1%)``.

One line says it for a problem, for a column (``verifier:`` of a source) or for a benchmark, and travels with every row
to whatever prints a score:

* ``tolerance``: ``1%`` or ``0.01`` (relative to the key), ``+-0.05`` (absolute), ``3 digits`` (significant figures of
  the key), ``digits`` (as many as the key is written with). Exact when nothing is said.
* ``members``: what a key that is a list of answers means, ``any`` of them or ``all`` of them.
* ``kind``: what the key is (``longstep.verify.KINDS``), such as ``choice``.
* ``extract``: how the answer is found in a completion (``longstep.verify.protocols``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal, get_args

from longstep.config import UserError, nearest
from longstep.verify.ladder.tolerance import Tolerance

Kind = Literal["integer", "number", "expression", "set", "tuple", "interval", "choice", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Members = Literal["undeclared", "any", "all"]
Extraction = Literal["strict", "qwen-math", "harness-flexible"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is declared about the keys and answers of a problem.

    Attributes:
        tolerance: how far a number may lie from the key; ``None`` is exact.
        members: what a key that is a list of answers means.
        kind: what the key is; ``None`` infers it.
        extract: how the answer is found in a completion.
    """

    tolerance: Tolerance | None = None
    members: Members = "undeclared"
    kind: Kind | None = None
    extract: Extraction = "strict"


EXACT = Rule()
_CALL = re.compile(r"(\w+)\((.*)\)")
_DIGITS = re.compile(r"(?:([1-9][0-9]?) )?digits")
_NUMBER = re.compile(r"(\+-)?\s*([0-9]*\.?[0-9]+(?:e-?[0-9]{1,2})?)\s*(%?)")


def name_of(verifier: str) -> str:
    """Give the verifier's name without what is declared behind it."""
    return verifier.partition("(")[0]


@lru_cache(maxsize=256)
def rule_of(verifier: str) -> Rule:
    """Read what is declared behind a verifier's name.

    Raises:
        UserError: an option that there is not, or a value that it cannot have.
    """
    found = _CALL.fullmatch(verifier.strip())
    if found is None:
        if "(" in verifier:
            raise UserError(f"verifier {verifier!r}: expected name(option=value, ...)")
        return EXACT
    given: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in found[2].split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or name in given:
            raise UserError(f"verifier {verifier!r}: expected one {name}=value, got {part!r}")
        given[name] = value
    for name in given:
        if name not in _READERS:
            close = nearest(name, _READERS)
            hint = f"; did you mean {close!r}?" if close else ""
            raise UserError(
                f"verifier {verifier!r}: no option {name!r}{hint} (there are: {', '.join(_READERS)})"
            )
    try:
        return Rule(**{name: _READERS[name](value) for name, value in given.items()})
    except ValueError as error:
        raise UserError(f"verifier {verifier!r}: {error}") from None


def extraction_of(verifier: str) -> str:
    """Say how the answer is found that a verifier judges: a protocol, or ``its own`` for foreign code."""
    return "its own" if ":" in name_of(verifier) else rule_of(verifier).extract


def tolerance_of(text: str) -> Tolerance:
    """Read a tolerance: ``1%``, ``0.01``, ``+-0.05``, ``3 digits`` or ``digits``.

    Raises:
        ValueError: it is none of these.
    """
    if found := _DIGITS.fullmatch(text.strip()):
        return Tolerance("digits", Fraction(int(found[1] or 0)), text.strip())
    found = _NUMBER.fullmatch(text.strip())
    if found is None or (found[1] and found[3]):
        raise ValueError(
            f"tolerance is {text!r}, expected 1%, 0.01, +-0.05, '3 digits' or 'digits'"
        )
    size = Fraction(found[2]) / (100 if found[3] else 1)
    if not found[1] and size >= 1:
        raise ValueError(f"tolerance is {text!r}, expected a relative one below 1 (100 %)")
    return Tolerance("absolute" if found[1] else "relative", size, text.strip())


def _one_of(name: str, choices: tuple[str, ...]):
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
        return value

    return read


_READERS = {
    "tolerance": tolerance_of,
    "members": _one_of("members", get_args(Members)),
    "kind": _one_of("kind", KINDS),
    "extract": _one_of("extract", get_args(Extraction)),
}
