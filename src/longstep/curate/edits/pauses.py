"""Time to think and nothing to say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from longstep.config import Field, field_validator
from longstep.curate.edits.base import Edit, Edited, FinishedTrace, without_tags


class PauseMarks(Edit):
    """So many pauses in the place of the thought, and the key behind them (arXiv 2310.02226 appends 10).

    Unlike ``filler``, whose length a model would have to guess, it can learn when to stop.

    Attributes:
        count: how many.
        mark: one of them.
    """

    kind: Literal["pauses"] = "pauses"
    count: int = Field(default=10, ge=1)
    mark: str = Field(default=".", min_length=1)

    @field_validator("mark")
    @classmethod
    def _no_tag(cls, mark: str) -> str:
        return without_tags(mark)

    def writes(self) -> Iterator[str]:
        """Its mark."""
        yield self.mark

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """So many marks."""
        return Edited(self.mark * self.count, trace.gold)
