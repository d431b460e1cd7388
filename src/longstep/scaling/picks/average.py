"""Any of the answers: what a single one is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.picks.base import Pick
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer


class AnyAnswer(Pick):
    """An answer at random: the model's accuracy without any choice (avg@n)."""

    chooses: ClassVar[bool] = False
    kind: Literal["average"] = "average"

    def pick(self, leaves: Sequence[Trail], same: SameAnswer) -> list[float]:
        """Each as likely; one that was cut is a wrong answer like others."""
        return [1 / len(leaves)] * len(leaves)

    def at(self, ballot: Ballot, n: int) -> float | None:
        """The same for every n."""
        whole = ballot.whole()
        return whole.value(self.chosen_SN(ballot, whole))
