"""What a pairing is: which completions of one problem are preferred to which."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeVar

from longstep.config import Field, Strict

#: Where a completion can be read again, such as its place in a file.
P = TypeVar("P")
#: Length and place of each completion of a side.
SizedPlaces = list[tuple[int, P]]


class Pairing(Strict):
    """Base of all members.

    Attributes:
        per_problem: most pairs of one problem; no completion is used twice.
    """

    per_problem: int = Field(default=1, ge=1)

    @property
    def statuses(self) -> frozenset[str]:
        """Verdicts on what may be rejected; what is chosen is correct."""
        raise NotImplementedError

    @property
    def seeks(self) -> str:
        """What it needs of a problem, for a sentence."""
        raise NotImplementedError

    def pairs(
        self, goods: SizedPlaces[P], bads: SizedPlaces[P], rng: random.Random
    ) -> Iterator[tuple[P, P]]:
        """Places of a chosen and a rejected completion, as many as there are.

        Args:
            goods: the correct ones of the chosen side, in their order.
            bads: those of the other side with one of ``statuses``.
            rng: of this problem alone.
        """
        raise NotImplementedError
