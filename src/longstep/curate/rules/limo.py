"""LIMO's selection as one rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict, field_validator
from longstep.curate.candidates import Candidate, Fact, SelectionRule
from longstep.curate.difficulty import Band
from longstep.curate.picking import never
from longstep.curate.rules.band import band_reason
from longstep.curate.rules.best_chains import BestChains, best_chains


class Limo(SelectionRule, Strict):
    """LIMO: a weak model never solves it, a strong one seldom does, and the chain is among the best.

    The paper (arXiv 2502.03387): Qwen2.5-Math-7B fails four tries, R1-Distill-Qwen-32B solves 1 to 3 of 32; chains are
    scored by rules and the best 800 stay. It scores several chains of a problem; here each problem has one.

    Attributes:
        weak: rater that must never solve it.
        strong: rater that must solve it at a rate of ``solved``.
        solved: lowest and highest rate of the strong rater.
        count: how many of the best chains; ``null`` keeps all and scores none.
    """

    kind: Literal["limo"] = "limo"
    weak: str
    strong: str
    solved: tuple[float, float] = (1 / 32, 3 / 32)
    count: int | None = Field(default=800, ge=1)

    @field_validator("solved")
    @classmethod
    def _rates(cls, solved: tuple[float, float]) -> tuple[float, float]:
        low, high = solved
        if not 0 <= low <= high <= 1:
            raise ValueError("expected the lowest and the highest rate, within 0 and 1")
        return solved

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; equal scores are ordered by ``seed``."""
        band = Band(min=self.solved[0], max=self.solved[1])
        reasons = [
            never(each, self.weak) or band_reason(band, each.rate(self.strong), self.strong)
            for each in candidates
        ]
        if self.count is None:
            return reasons
        return best_chains(candidates, reasons, BestChains(count=self.count), seed)

    def asked(self) -> tuple[str, ...]:
        """The weak and the strong one."""
        return self.weak, self.strong

    def reads(self) -> frozenset[Fact]:
        """Chains, where they are scored."""
        return frozenset[Fact]() if self.count is None else frozenset[Fact]({"chain"})
