"""How many of the other answers say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.scaling.scorers.base import Scorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import class_of_each
from longstep.verify.keys import same_answer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AgreementScorer(Scorer):
    """Share of all answers of the problem that equal this one; one without an answer gets 0."""

    compares: ClassVar[bool] = True
    kind: Literal["agreement"] = "agreement"

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """Count by classes of equal answers."""
        found = class_of_each([trail.answer for trail in trails], same_answer)
        return [found.count(each) / len(found) if each >= 0 else 0.0 for each in found]

    def among_SW(self, counts_SW: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """Their share."""
        return counts_SW / n
