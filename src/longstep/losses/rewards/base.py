"""What a reward is asked: one answer and what is known of it, to one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from longstep.config import Strict


@dataclass(frozen=True, slots=True)
class Graded:
    """One completion as rewards see it.

    Attributes:
        correctness: 1 or 0, or ``None`` for a verdict that says nothing about the model.
        length: its tokens.
        longest: tokens it may have.
        text: the whole turn, a forced ``<think>`` included; only for rewards with ``texts``.
        thinking: whether its prompt opened a thought, or asked for an answer without one.
    """

    correctness: float | None
    length: int
    longest: int
    text: str = ""
    thinking: bool = True


class Reward(Strict):
    """One term of the shaped reward.

    Attributes:
        texts: whether it reads what the answer says: each process is then told the words of all others' answers.
    """

    texts: ClassVar[bool] = False

    def score(self, answer: Graded) -> float | None:
        """The reward; ``None`` where correctness is unknown: nothing is to be learned from such an answer."""
        return None if answer.correctness is None else self.known(answer, answer.correctness)

    def known(self, answer: Graded, correctness: float) -> float:
        """The reward of an answer that is known to be right (1) or wrong (0)."""
        raise NotImplementedError
