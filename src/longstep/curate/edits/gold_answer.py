"""A wrong trace with the right answer behind it."""

from __future__ import annotations

import random
from typing import Literal

from longstep.curate.edits.base import Edit, Edited, FinishedTrace


class GoldAnswer(Edit):
    """The key in the box behind a thought that led elsewhere; traces that were right already are left out."""

    kind: Literal["gold-answer"] = "gold-answer"

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """The thought as it was."""
        if trace.answer == trace.gold:
            return None
        return Edited(trace.thought, trace.gold, trace.answer)
