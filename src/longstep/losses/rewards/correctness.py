"""What most methods reward: the answer is right."""

from __future__ import annotations

from typing import Literal

from longstep.losses.rewards.base import Graded, Reward


class Correctness(Reward):
    """One number for right, one for wrong.

    Attributes:
        right: for a right answer.
        wrong: for a wrong one.
    """

    kind: Literal["correctness"] = "correctness"
    right: float = 1.0
    wrong: float = 0.0

    def known(self, answer: Graded, correctness: float) -> float:
        """One of the two."""
        return self.right if correctness >= 1.0 else self.wrong
