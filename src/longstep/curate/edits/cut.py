"""A thought that ends early."""

from __future__ import annotations

import random
from typing import Literal

from longstep.config import Field
from longstep.curate.edits.base import Edit, Edited, FinishedTrace


class CutShort(Edit):
    """The first part of the thought: early answering (Lanham et al. 2023, arXiv 2307.13702).

    The paper cuts between sentences; here a share of the characters is kept, and cut back to the end of a line or a
    word where there is one.

    Attributes:
        share: of the thought that is kept; 0 leaves an empty one, 1 all of it.
    """

    kind: Literal["cut"] = "cut"
    share: float = Field(ge=0, le=1)

    @property
    def kept(self) -> float:
        """As it says."""
        return self.share

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """Its beginning."""
        return Edited(beginning(trace.thought, self.share), trace.answer)


def beginning(thought: str, share: float) -> str:
    """The first ``share`` of a text, in [0, 1], cut back to the end of a line or a word where there is one."""
    size = int(share * len(thought))
    if size == len(thought):
        return thought
    part = thought[:size]
    end = max(part.rfind("\n"), part.rfind(" "))
    return part if end <= 0 else part[:end]
