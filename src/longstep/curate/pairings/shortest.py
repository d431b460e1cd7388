"""The shortest correct completion against a longer one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from longstep.config import Field
from longstep.curate.pairings.base import P, Pairing, SizedPlaces


class ShortestRight(Pairing):
    """Sky-T1-Flash: the shortest correct completion against the longest, so that a model learns to be brief.

    Its authors (NovaSky, SkyThought, recipes/sky-t1-flash) draw 8 answers to a question at temperature 1 and take one
    pair of it; a second pair here has the second shortest and the second longest, and so on. Both sides may be one
    artifact.

    Attributes:
        per_problem: most pairs of one problem; no completion is used twice.
        over: what is rejected: the longest ``right`` ones, as published, or the longest ``wrong`` ones.
        ratio: the rejected must be so many times as long, and longer.
    """

    kind: Literal["shortest"] = "shortest"
    over: Literal["right", "wrong"] = "right"
    ratio: float = Field(default=1.0, ge=1.0)

    @property
    def statuses(self) -> frozenset[str]:
        """Correct answers, or finished wrong ones."""
        return frozenset({"correct"} if self.over == "right" else {"incorrect", "unparseable"})

    @property
    def seeks(self) -> str:
        """One of each length."""
        return f"a correct completion and a longer {self.over} one"

    def pairs(
        self, goods: SizedPlaces[P], bads: SizedPlaces[P], rng: random.Random
    ) -> Iterator[tuple[P, P]]:
        """The shortest with the longest, until the two lengths meet; equal lengths in random order."""
        rng.shuffle(goods)
        rng.shuffle(bads)
        shortest = sorted(goods, key=lambda each: each[0])
        longest = sorted(bads, key=lambda each: -each[0])
        for (short, good), (long, bad) in zip(shortest, longest, strict=False):
            if long <= short or long < self.ratio * short:
                return
            yield good, bad
