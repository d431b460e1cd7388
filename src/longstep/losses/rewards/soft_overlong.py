"""DAPO's punishment of answers that come near their limit."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.losses.rewards.base import Graded, Reward


def soft_overlong_punishment(length: int, max_length: int, cache: int) -> float:
    """0 up to ``max_length - cache``, a straight line to -1 at ``max_length``, -1 beyond.

    Source: DAPO (arXiv 2503.14476, equation 13), with its constants 20,480 and 4,096.
    """
    if length > max_length:
        return -1.0
    return min(0.0, (max_length - cache - length) / cache) if cache else 0.0


class SoftOverlong(Reward):
    """DAPO's soft punishment of overlong answers, right or wrong; add it to ``correctness``.

    Attributes:
        cache: share of the longest allowed answer in which the punishment grows, of one token at least: DAPO's 4,096 of
            20,480.
    """

    kind: Literal["soft-overlong"] = "soft-overlong"
    cache: float = Field(default=0.2, gt=0, le=1)

    def known(self, answer: Graded, correctness: float) -> float:
        """Between -1 and 0."""
        cache = max(1, round(self.cache * answer.longest))
        return soft_overlong_punishment(answer.length, answer.longest, cache)
