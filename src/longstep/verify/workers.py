r"""The last rung's door: what may go to Math-Verify, and this process's pool of workers for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from longstep.verify.ladder.reading import read
from longstep.verify.pool import Pool

MAX_CHARS = 160
MAX_COMMANDS = 24
#: Commands that may be there. Nothing that is summed, integrated or iterated is evaluated; lists, relations and words
#: are the ladder's alone, because the library accepts any overlap between them, and so are divisors and remainders,
#: because it takes the greatest common divisor of two letters for 1.
_ALLOWED = frozenset(
    [
        r"\frac",
        r"\dfrac",
        r"\tfrac",
        r"\sqrt",
        r"\pi",
        r"\cdot",
        r"\times",
        r"\div",
        r"\left",
        r"\right",
        r"\sin",
        r"\cos",
        r"\tan",
        r"\cot",
        r"\sec",
        r"\csc",
        r"\arcsin",
        r"\arccos",
        r"\arctan",
        r"\sinh",
        r"\cosh",
        r"\tanh",
        r"\ln",
        r"\log",
        r"\exp",
        r"\binom",
        r"\max",
        r"\min",
        r"\theta",
        r"\alpha",
        r"\beta",
        r"\gamma",
        r"\lambda",
        r"\mu",
        r"\phi",
        r"\omega",
        r"\lfloor",
        r"\rfloor",
        r"\lceil",
        r"\rceil",
        r"\lvert",
        r"\rvert",
        r"\operatorname",
    ]
)
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.|$)", re.DOTALL)
_REFUSED = re.compile(
    r"""[0-9]{13} | [0-9]_ | ! | \*\*
    | \^.*\^.*\^ | \^[^-+*/ ]{1,3}\^ | \^\s*\{[^}]*\^ | \^\s*\{?[^}]{0,2}[0-9]{3}  # powers of powers, long exponents
    | [^\x20-\x7e] | [=<>?;:\"'`~@\#&$%] | \.\. | (?<![\\A-Za-z])[A-Za-z]{4}""",
    re.VERBOSE,
)
_FUNCTION = "longstep.verify.symbolic:compare"
_pools: dict[int, Pool] = {}


def shared_pool() -> Pool:
    """Give this process's pool; it starts a worker at the first symbolic question, not before.

    By process id, because after a fork the parent's pipes are not ours to use; without a lock, which a
    fork could copy while it is held: ``setdefault`` is atomic and a pool that loses the race has started nothing.
    """
    process = os.getpid()
    return _pools.get(process) or _pools.setdefault(process, Pool(_FUNCTION))


def warm_for(golds: Iterable[str]) -> None:
    """Start workers in the background if one of the gold answers needs them whatever it is compared with."""
    if any(refusal(gold) is None and read(gold).foreign for gold in golds):
        shared_pool().warm()


def refusal(answer: str) -> str | None:
    """Say why an answer is not worth a worker, or ``None``.

    A screen on the text alone gives the same verdict on every machine, which a clock does not.
    """
    if len(answer) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    commands = _COMMAND.findall(answer)
    if len(commands) > MAX_COMMANDS or not _ALLOWED.issuperset(commands):
        return "commands that are not evaluated"
    if _REFUSED.search(answer):
        return "something that is not evaluated"
    return None
