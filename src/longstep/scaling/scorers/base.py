"""What a scorer is: what a path is worth, computed from the stored tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from longstep.config import Strict
from longstep.scaling.tree import Trail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Scorer(Strict):
    """Base of all members; a higher score is a better path."""

    #: It can score a path whose answer is not over.
    partial: ClassVar[bool] = False
    #: It needs the log-probabilities of what was drawn.
    logprobs: ClassVar[bool] = False
    #: It knows the key: a bound, never a method.
    knows: ClassVar[bool] = False
    #: Its score of an answer depends on what the other answers are.
    compares: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What its scores are called in a segment."""
        return str(type(self).model_fields["kind"].default)

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """Score paths of one problem."""
        raise NotImplementedError

    def among_SN(self, class_SN: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of one that compares: scores of the answers of subsets, by their classes; -1 is without an answer."""
        raise NotImplementedError

    def weight(self, score: float) -> float:
        """What a score is worth in a weighted vote, at least 0."""
        return max(0.0, score)
