"""Time to think and nothing to say."""

from __future__ import annotations

import random
from typing import Literal

from longstep.config import Field
from longstep.curate.edits.base import Edited, FinishedTrace, Marked


class PauseMarks(Marked):
    """So many pauses in the place of the thought, and the key behind them (arXiv 2310.02226 appends 10).

    Unlike ``filler``, whose length a model would have to guess, it can learn when to stop.

    Attributes:
        count: how many.
        mark: one of them.
    """

    kind: Literal["pauses"] = "pauses"
    count: int = Field(default=10, ge=1)

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """So many marks."""
        return Edited(self.mark * self.count, trace.gold)
