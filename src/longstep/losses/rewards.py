"""Shaped rewards: numbers for the trainer, made from correctness and length.

Correctness (1, 0, or ``None`` for a verdict that says nothing) stays a column of its own: pass
rates, curricula and dynamic sampling read that, never these. ``None`` in gives ``None`` out,
whatever the length: an unscorable sample must not train on its length alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from longstep.config import Field, Strict

__all__ = [
    "AnyReward",
    "ClippedCosine",
    "Correctness",
    "Cosine",
    "SoftOverlong",
    "cosine_length_reward",
    "shaped_reward",
    "soft_overlong_punishment",
]


def cosine_length_reward(length: int, max_length: int, at_zero: float, at_max: float) -> float:
    """Half a cosine wave from ``at_zero`` (no tokens) to ``at_max`` (``max_length`` or more).

    Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373, section
        4).

    ``at_max + (at_zero - at_max) / 2 * (1 + cos(pi * min(length / max_length, 1)))``
    """
    progress = min(length / max_length, 1.0)
    return at_max + 0.5 * (at_zero - at_max) * (1 + math.cos(math.pi * progress))


def soft_overlong_punishment(length: int, max_length: int, cache: int) -> float:
    """0 up to ``max_length - cache``, a straight line to -1 at ``max_length``, -1 beyond.

    Source: DAPO (arXiv 2503.14476, equation 13), with its constants 20,480 and 4,096.
    """
    if length > max_length:
        return -1.0
    return min(0.0, (max_length - cache - length) / cache) if cache else 0.0


class Correctness(Strict):
    """One number for right, one for wrong.

    Attributes:
        right: for a right answer.
        wrong: for a wrong one.
    """

    kind: Literal["correctness"] = "correctness"
    right: float = 1.0
    wrong: float = 0.0

    def score(self, correctness: float | None, length: int, max_length: int) -> float | None:
        """The reward; the lengths are not used."""
        if correctness is None:
            return None
        return self.right if correctness >= 1.0 else self.wrong


class _Bounds(Strict):
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

    def score(self, correctness: float | None, length: int, max_length: int) -> float | None:
        """The reward of an answer of ``length`` tokens when ``max_length`` are allowed."""
        if correctness is None:
            return None
        if correctness >= 1.0:
            return cosine_length_reward(length, max_length, self.right_short, self.right_long)
        return cosine_length_reward(length, max_length, self.wrong_short, self.wrong_long)


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

    def score(self, correctness: float | None, length: int, max_length: int) -> float | None:
        """The reward; a correct answer below the floor is scored as one at the floor."""
        if correctness is not None and correctness >= 1.0:
            length = max(length, math.ceil(self.floor * max_length))
        return super().score(correctness, length, max_length)


class SoftOverlong(Strict):
    """DAPO's soft punishment of overlong answers, right or wrong; add it to ``correctness``.

    Attributes:
        cache: share of the longest allowed answer in which the punishment grows: DAPO's 4,096 of 20,480.
    """

    kind: Literal["soft-overlong"] = "soft-overlong"
    cache: float = Field(default=0.2, ge=0, le=1)

    def score(self, correctness: float | None, length: int, max_length: int) -> float | None:
        """Between -1 and 0."""
        if correctness is None:
            return None
        return soft_overlong_punishment(length, max_length, round(self.cache * max_length))


AnyReward = Annotated[
    ClippedCosine | Correctness | Cosine | SoftOverlong, Field(discriminator="kind")
]


def shaped_reward(
    rewards: Iterable[ClippedCosine | Correctness | Cosine | SoftOverlong],
    correctness: float | None,
    length: int,
    max_length: int,
) -> float | None:
    """Sum of the rewards, or ``None`` when correctness is unknown."""
    scores = [reward.score(correctness, length, max_length) for reward in rewards]
    known = [score for score in scores if score is not None]
    return sum(known) if len(known) == len(scores) else None
