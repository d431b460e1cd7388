"""What a selection rule is given, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from longstep.types import Problem

NOT_PICKED = "not picked"
#: What a rule may ask of a candidate beside pass rates.
Fact = Literal["domain", "length", "chain"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A problem and what rules may ask about it.

    Attributes:
        problem: the problem.
        rates: pass rate by rater; the problem's own ``pass_rate`` is the rater ``""``.
        domain: its subject, such as ``geometry``.
        chain: the reasoning trace that would be trained on, if there is one.
        length: length of that trace in tokens where known, otherwise in characters; one unit for all candidates.
    """

    problem: Problem
    rates: Mapping[str, float] = field(default_factory=dict)
    domain: str = ""
    chain: str | None = None
    length: int | None = None

    def rate(self, rater: str) -> float | None:
        """Pass rate by that rater."""
        return self.problem.pass_rate if rater == "" else self.rates.get(rater)


class SelectionRule:
    """What every rule says of itself, so that callers look up only what is asked for."""

    def asked(self) -> tuple[str, ...]:
        """The raters it asks by name; the problem's own pass rate has none."""
        return ()

    def reads(self) -> frozenset[Fact]:
        """The facts it looks at."""
        return frozenset()
