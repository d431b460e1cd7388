"""PODS (arXiv 2504.13818): many answers are drawn and judged, and those that differ most are trained on.

Of the n answers of a problem the m with the largest variance of rewards are the k best and the m - k worst for some
k. Correctness is 0 or 1, so k is the number of right ones that is nearest to half of m. Decoding is cheap beside an
update; here it is the update that is saved.

The mean of what is trained on is no longer the pass rate: an answer in 32 that is right is one of 8, and a problem
that is nearly solved looks as hard as one that is nearly hopeless, as far as there are 4 of the rarer kind. The
curriculum sees all answers. That 32 are drawn and 8 trained on is longstep's choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from longstep.config import Field
from longstep.curriculum.base import Horizon
from longstep.curriculum.gates.all import OpenGate
from longstep.curriculum.gates.base import Chosen, GateConfig
from longstep.curriculum.groups import DrawnGroup, DrawnRow


class Spread(GateConfig):
    """PODS: draws more answers of each problem than ``group``, and trains on right and wrong ones in equal parts.

    Attributes:
        drawn: answers of each problem.
    """

    kind: Literal["spread"] = "spread"
    drawn: int = Field(default=32, ge=3)

    def fits(self, group: int) -> Iterator[str]:
        """There must be something to choose from."""
        if self.drawn <= group:
            yield f"drawn: {self.drawn} answers leave nothing to choose for a group of {group}; draw more"

    def answers(self, group: int) -> int:
        """All that are drawn."""
        return self.drawn

    def build(self, group: int, horizon: Horizon) -> SpreadGate:
        """Give the gate for groups of this size."""
        return SpreadGate(self.drawn, group)


class SpreadGate(OpenGate):
    """Lets every group through, with the answers that differ most."""

    def __init__(self, drawn: int, group: int) -> None:
        """Draw all answers in one round."""
        super().__init__((drawn,))
        self.group = group

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Take all groups, thinned out."""
        return Chosen([replace(each, rows=spread_rows(each.rows, self.group)) for each in groups])


def spread_rows(rows: Sequence[DrawnRow], count: int) -> tuple[DrawnRow, ...]:
    """The rows whose correctness varies most, the first of each kind, in the order drawn.

    One half right, one half wrong, as far as there are so many; an odd one is wrong. What cannot be scored is taken
    only where there is not enough else.
    """
    right, wrong, unknown = (
        [i for i, row in enumerate(rows) if row.correctness == value] for value in (1.0, 0.0, None)
    )
    take = min(len(right), max(count // 2, count - len(wrong)))
    picked = [*right[:take], *wrong[: count - take]]
    return tuple(rows[i] for i in sorted([*picked, *unknown[: count - len(picked)]]))
