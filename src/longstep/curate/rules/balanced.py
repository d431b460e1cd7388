"""Equal shares of every kind of problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, Fact, SelectionRule
from longstep.curate.picking import grouped, rest, shuffled


class Balanced(SelectionRule, Strict):
    """Equal shares of every kind of problem: by domain, by length, or by both.

    Cells that hold fewer than their share give all they have, and the others share what is left.

    Attributes:
        by: what makes a cell. Length is cut into ``bins`` of equal numbers of candidates.
        bins: number of length bins.
        count: how many to pick, at random inside a cell.
    """

    kind: Literal["balanced"] = "balanced"
    by: tuple[Literal["domain", "length"], ...] = Field(default=("domain", "length"), min_length=1)
    bins: int = Field(default=4, ge=2)
    count: int = Field(ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        needs_length = "length" in self.by
        reasons = [
            "no trace length" if needs_length and c.length is None else "" for c in candidates
        ]
        left = [index for index, reason in enumerate(reasons) if not reason]
        left.sort(key=lambda index: shuffled(candidates[index], seed))
        bins = self._bins(candidates, left) if needs_length else dict.fromkeys(left, 0)
        domain = "domain" in self.by
        cells = grouped(
            left, lambda index: (candidates[index].domain if domain else "", bins[index])
        )
        shares = fill({cell: len(members) for cell, members in cells.items()}, self.count)
        picked = {index for cell, members in cells.items() for index in members[: shares[cell]]}
        return rest(reasons, left, picked)

    def reads(self) -> frozenset[Fact]:
        """What makes its cells."""
        return frozenset[Fact](self.by)

    def _bins(self, candidates: Sequence[Candidate], left: Sequence[int]) -> dict[int, int]:
        ordered = sorted(left, key=lambda index: candidates[index].length or 0)
        return {index: place * self.bins // len(ordered) for place, index in enumerate(ordered)}


def fill(available: Mapping[tuple[str, int], int], count: int) -> dict[tuple[str, int], int]:
    """Share ``count`` evenly over cells that hold only so many (water-filling); the order of cells breaks ties."""
    shares: dict[tuple[str, int], int] = {}
    # The smallest cells first: what they cannot give is shared by the larger ones.
    cells = sorted(available, key=lambda cell: (available[cell], cell))
    for place, cell in enumerate(cells):
        shares[cell] = min(available[cell], count // (len(cells) - place))
        count -= shares[cell]
    return shares
