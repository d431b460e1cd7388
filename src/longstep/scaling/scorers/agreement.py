"""How many of the other answers say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from longstep.scaling.scorers.base import Scorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import classes
from longstep.verify.keys import same_answer


class AgreementScorer(Scorer):
    """Share of all answers of the problem that equal this one; one without an answer gets 0."""

    kind: Literal["agreement"] = "agreement"

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """Count by classes of equal answers."""
        found = [0.0] * len(trails)
        for group in classes([trail.answer for trail in trails], same_answer):
            for place in group:
                found[place] = len(group) / len(trails)
        return found
