"""The control of every selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, SelectionRule
from longstep.curate.picking import rest, shuffled


class AtRandom(SelectionRule, Strict):
    """The control of every selection: so many, drawn evenly.

    Attributes:
        count: so many.
    """

    kind: Literal["random"] = "random"
    count: int = Field(ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        order = sorted(range(len(candidates)), key=lambda i: shuffled(candidates[i], seed))
        return rest([""] * len(candidates), order, set(order[: self.count]))
