"""Somebody else's thought."""

from __future__ import annotations

import random
from typing import Literal

from longstep.curate.edits.base import Edit, Edited, FinishedTrace


class SwapThought(Edit):
    """The thought that was written to another problem, which came to another answer."""

    kind: Literal["swap"] = "swap"

    @property
    def swaps(self) -> bool:
        """It needs a donor."""
        return True

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """The donor's thought; ``None`` where there is none, or both came to one answer."""
        if donor is None or donor.answer == trace.answer:
            return None
        return Edited(donor.thought, donor.answer, donor.answer)
