"""How many of the other answers say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from longstep.scaling.scorers.base import Scorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import class_of_each
from longstep.verify.keys import same_answer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AgreementScorer(Scorer):
    """Share of all answers of the problem that equal this one; one without an answer gets 0."""

    compares: ClassVar[bool] = True
    kind: Literal["agreement"] = "agreement"

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """Count by classes of equal answers."""
        found = class_of_each([trail.answer for trail in trails], same_answer)
        return self.among_SN(np.array([found], dtype=np.int64))[0].tolist()

    def among_SN(self, class_SN: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count in every subset."""
        equal_SNN = (class_SN[:, :, None] == class_SN[:, None, :]) & (class_SN >= 0)[:, :, None]
        return equal_SNN.mean(-1)
