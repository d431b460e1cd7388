"""s1's selection as one rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, Fact, SelectionRule
from longstep.curate.picking import left, rest
from longstep.curate.rules.domain_length import DomainLength
from longstep.curate.rules.unsolved import Unsolved


class S1(SelectionRule, Strict):
    """s1: ``unsolved``, then ``domain-length``. Its quality filter is curation's work here.

    Attributes:
        raters: none of these may ever have solved it; empty skips the test.
        count: how many to draw.
    """

    kind: Literal["s1"] = "s1"
    raters: tuple[str, ...] = ("",)
    count: int = Field(default=1000, ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        solved = self._test().pick(candidates, seed) if self.raters else [""] * len(candidates)
        reasons = [
            said or ("" if each.length is not None else "no trace length")
            for said, each in zip(solved, candidates, strict=True)
        ]
        unsolved = left(reasons)
        return rest(reasons, unsolved, self._draw().drawn(candidates, unsolved, seed))

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, where that is asked for."""
        return self._test().wants() if self.raters else frozenset()

    def asked(self) -> tuple[str, ...]:
        """Those that may never have solved it."""
        return self._test().asked() if self.raters else ()

    def reads(self) -> frozenset[Fact]:
        """Subject and length."""
        return self._draw().reads()

    def _test(self) -> Unsolved:
        return Unsolved(raters=self.raters)

    def _draw(self) -> DomainLength:
        return DomainLength(count=self.count)
