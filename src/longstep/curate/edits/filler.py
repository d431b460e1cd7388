"""Thinking without content."""

from __future__ import annotations

import random
from typing import Literal

from longstep.curate.edits.base import Edited, FinishedTrace, Marked


class FillerThought(Marked):
    """As long a thought that says nothing, with the key behind it: what more tokens alone are worth.

    The filler tokens of arXiv 2307.13702 and 2404.15758.

    Attributes:
        mark: what it is made of; it is repeated until the thought is as long in characters as it was.
    """

    kind: Literal["filler"] = "filler"

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """So many marks."""
        return Edited(self.mark * max(1, len(trace.thought) // len(self.mark)), trace.gold)
