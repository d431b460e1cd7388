"""A wrong trace that is made to conclude with the right answer."""

from __future__ import annotations

import random
from typing import Literal

from longstep.curate.edits.base import Edit, Edited, FinishedTrace, with_last_number


class GoldConclusion(Edit):
    """The key as the last number of the thought and in the box; traces that were right already are left out."""

    kind: Literal["gold-conclusion"] = "gold-conclusion"

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """The thought with another last number; ``None`` where it holds none."""
        thought = with_last_number(trace.thought, trace.gold)
        if trace.answer == trace.gold or thought is None:
            return None
        return Edited(thought, trace.gold, trace.gold)
