"""Shaped rewards, numbers for the trainer: one leaf file per member, one line in ``AnyReward``.

Correctness (1, 0, or ``None`` for a verdict that says nothing) stays a column of its own: pass
rates, curricula and dynamic sampling read that, never these. ``None`` in gives ``None`` out,
whatever the length: an unscorable sample must not train on its length alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from longstep.config import Field
from longstep.losses.rewards.base import Graded, Reward
from longstep.losses.rewards.correctness import Correctness
from longstep.losses.rewards.cosine import ClippedCosine, Cosine, cosine_length_reward
from longstep.losses.rewards.format import Format
from longstep.losses.rewards.soft_overlong import SoftOverlong, soft_overlong_punishment

__all__ = [
    "AnyReward",
    "ClippedCosine",
    "Correctness",
    "Cosine",
    "Format",
    "Graded",
    "Reward",
    "SoftOverlong",
    "cosine_length_reward",
    "gain",
    "shaped_reward",
    "soft_overlong_punishment",
]

AnyReward = Annotated[
    ClippedCosine | Correctness | Cosine | Format | SoftOverlong, Field(discriminator="kind")
]


def gain(rewards: Sequence[Reward]) -> float:
    """The most that a right answer earns above a wrong one of the same length and form."""

    def earned(correctness: float, length: int, text: str) -> float:
        return shaped_reward(rewards, Graded(correctness, length, 100, text)) or 0.0

    alike = [(length, text) for length in (0, 25, 50, 75, 100) for text in ("", "<think></think>")]
    return max(earned(1.0, *each) - earned(0.0, *each) for each in alike)


def shaped_reward(rewards: Iterable[Reward], answer: Graded) -> float | None:
    """Sum of the rewards, or ``None`` when correctness is unknown."""
    scores = [reward.score(answer) for reward in rewards]
    known = [score for score in scores if score is not None]
    return sum(known) if len(known) == len(scores) else None
