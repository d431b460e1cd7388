"""Rewards that fall or rise with length along half a cosine wave."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from longstep.config import Field
from longstep.losses.rewards.base import Graded, Reward


def cosine_length_reward(length: int, max_length: int, at_zero: float, at_max: float) -> float:
    """Half a cosine wave from ``at_zero`` (no tokens) to ``at_max`` (``max_length`` or more).

    Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373, section
        4).

    ``at_max + (at_zero - at_max) / 2 * (1 + cos(pi * min(length / max_length, 1)))``
    """
    progress = min(length / max_length, 1.0)
    return at_max + 0.5 * (at_zero - at_max) * (1 + math.cos(math.pi * progress))


class _Bounds(Reward):
    """What the cosine is stretched between.

    Attributes:
        right_short: for a right answer of no length.
        right_long: for a right answer of the longest length.
        wrong_short: for a wrong answer of no length.
        wrong_long: for a wrong answer of the longest length.
    """

    right_short: float = 1.0
    right_long: float = 0.5
    wrong_short: float = -1.0
    wrong_long: float = -0.5

    def known(self, answer: Graded, correctness: float) -> float:
        """By the share of the longest answer."""
        right = correctness >= 1.0
        at_zero = self.right_short if right else self.wrong_short
        at_max = self.right_long if right else self.wrong_long
        return cosine_length_reward(answer.length, answer.longest, at_zero, at_max)


class Cosine(_Bounds):
    """Cosine length reward: right and short is best, wrong and short is worst.

    The bounds are those of TRL's ``get_cosine_scaled_reward``. While answers are still growing, the
    bonus for brevity can make them collapse in length; ``clipped-cosine`` is the milder form.
    """

    kind: Literal["cosine"] = "cosine"


class ClippedCosine(_Bounds):
    """Cosine length reward whose bonus for short *correct* answers stops growing below a floor.

    Light-R1 (arXiv 2503.10460, section 4) clips that bonus against an early collapse of length and
    published neither formula nor constants: the floor (a share of the longest allowed answer) and
    the narrower bounds for correct answers are our choice.

    Attributes:
        right_long: for a right answer of the longest length.
        floor: share of the longest length below which shorter earns no more.
    """

    kind: Literal["clipped-cosine"] = "clipped-cosine"
    right_long: float = 0.8
    floor: float = Field(default=0.25, ge=0, le=1)

    def known(self, answer: Graded, correctness: float) -> float:
        """A right answer below the floor is scored as one at the floor."""
        if correctness >= 1.0:
            floor = math.ceil(self.floor * answer.longest)
            answer = replace(answer, length=max(answer.length, floor))
        return super().known(answer, correctness)
