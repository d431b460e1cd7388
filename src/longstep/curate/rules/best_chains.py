"""The problems whose traces score best by a declared rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, Fact, SelectionRule
from longstep.curate.chains import LIMO, Trait, chain_scores
from longstep.curate.picking import left, shuffled


class BestChains(SelectionRule, Strict):
    """Those whose chains score best by traits that are declared here; LIMO's when nothing else is said.

    Attributes:
        count: how many.
        traits: what a chain is scored by, each against all the others.
    """

    kind: Literal["best-chains"] = "best-chains"
    count: int = Field(ge=1)
    traits: tuple[Trait, ...] = Field(default=LIMO, min_length=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; equal scores are ordered by ``seed``."""
        return best_chains(candidates, [""] * len(candidates), self, seed)

    def reads(self) -> frozenset[Fact]:
        """Chains."""
        return frozenset[Fact]({"chain"})


def best_chains(
    candidates: Sequence[Candidate], known: Sequence[str], rule: BestChains, seed: int
) -> list[str]:
    """Reasons after a rule's; those that something speaks against already are not scored."""
    reasons = [
        reason or ("" if each.chain is not None else "no chain: nothing to score")
        for reason, each in zip(known, candidates, strict=True)
    ]
    scored = left(reasons)
    scores = chain_scores([candidates[index].chain or "" for index in scored], rule.traits)
    ranked = sorted(
        zip(scores, scored, strict=True), key=lambda s: (-s[0], shuffled(candidates[s[1]], seed))
    )
    for score, index in ranked[rule.count :]:
        reasons[index] = f"chain not among the best {rule.count}: score {score:.3f}"
    return reasons
