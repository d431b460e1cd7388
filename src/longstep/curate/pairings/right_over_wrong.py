"""A correct completion against a wrong one.

Light-R1 (arXiv 2503.10460, section 3.2) takes the chosen from a stronger teacher and the rejected
from the model itself; here the two are simply two collections of verified completions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from longstep.config import Field
from longstep.curate.pairings.base import P, Pairing, SizedPlaces


class PairConfig(Pairing):
    """A correct completion against a wrong one of the same problem, at random or of like length.

    Attributes:
        per_problem: most pairs of one problem; no completion is used twice.
        length_ratio: longest allowed ratio between the lengths of the two sides, so that length
            does not tell them apart: the nearest wrong one is taken, and a right one without any
            inside the ratio gives no pair. ``None`` draws the rejected at random.
        rejected: ``finished`` wrong answers, or ``any``: truncated ones too. A model taught to
            dislike truncated traces learns to be brief as well as to be right.
    """

    kind: Literal["right-over-wrong"] = "right-over-wrong"
    length_ratio: float | None = Field(default=None, ge=1.0)
    rejected: Literal["finished", "any"] = "finished"

    @property
    def statuses(self) -> frozenset[str]:
        """Finished wrong answers, or truncated ones too."""
        finished = frozenset({"incorrect", "unparseable"})
        return finished if self.rejected == "finished" else finished | {"truncated"}

    @property
    def seeks(self) -> str:
        """One of each."""
        return "both a correct and a wrong completion"

    def pairs(
        self, goods: SizedPlaces[P], bads: SizedPlaces[P], rng: random.Random
    ) -> Iterator[tuple[P, P]]:
        """In random order."""
        rng.shuffle(goods)
        rng.shuffle(bads)
        for length, place in goods:
            index = _partner(length, bads, self.length_ratio)
            if index is not None:
                yield place, bads.pop(index)[1]


def _partner(length: int, bads: SizedPlaces[P], ratio: float | None) -> int | None:
    if not bads or ratio is None:
        return 0 if bads else None  # already shuffled
    index = min(range(len(bads)), key=lambda each: abs(bads[each][0] - length))
    low, high = sorted((length, bads[index][0]))
    return index if high <= ratio * low else None
