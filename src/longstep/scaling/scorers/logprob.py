"""The model's own opinion: how likely it found what it drew."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import ClassVar, Literal

from longstep.config import UserError
from longstep.scaling.scorers.base import Scorer
from longstep.scaling.tree import Trail


class LogProbScorer(Scorer):
    """Mean log-probability at temperature 1 of the tokens that the model drew; costs nothing more."""

    partial: ClassVar[bool] = True
    logprobs: ClassVar[bool] = True
    kind: Literal["logprob"] = "logprob"

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """One mean a path; 0, the best there is, where the model drew nothing.

        Raises:
            UserError: what was drawn has none.
        """
        for each in (each for trail in trails for each in trail.segments):
            if each.logprobs is None and each.token_ids and each.origin == "model":
                raise UserError(
                    f"scorer logprob: problem {each.problem_id} was drawn without log-probabilities, for nothing asked "
                    "for them; name a pick that does, such as weighted, in the stage and run it again"
                )
        return [_mean([p for each in t.segments for p in each.logprobs or ()]) for t in trails]

    def weight(self, score: float) -> float:
        """The geometric mean of the probabilities."""
        return exp(score)


def _mean(logps_T: Sequence[float]) -> float:
    return sum(logps_T) / len(logps_T) if logps_T else 0.0
