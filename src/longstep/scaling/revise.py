"""Self-correction: the model is asked to look at its own answer again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Insert, Play, SeenSegment, Strategy
from longstep.scaling.votes import SameAnswer


class SelfRevision(Strategy):
    """An answer, a request to review it, another answer, until two in a row are equal (Self-Refine, arXiv 2303.17651).

    The review is a turn of the user in the model's own chat format; the thoughts of earlier turns stay, for their
    caches are held. The last answer is the one that is given, and the earlier ones are judged and stored as well: the
    model is never told whether it was right (Huang et al. 2023, arXiv 2310.01798, found such reviews to harm). All
    turns share the room of one answer. ``rounds + 1`` samples and a vote cost as many tokens: its control.

    Attributes:
        rounds: reviews at most.
        review: what the user says.
    """

    turns: ClassVar[bool] = True
    kind: Literal["revise"] = "revise"
    rounds: int = Field(default=2, ge=1)
    review: str = Field(
        default="Check your answer step by step. If you find a mistake, correct it. Then give the final answer again.",
        min_length=1,
    )

    def play(self, same: SameAnswer) -> Play:
        """Answer, review, answer; one that was cut has no room for another."""
        (seen,) = yield [Extend(ROOT)]
        for _ in range(self.rounds):
            if seen.finish == "length":
                return
            before = seen
            (asked,) = yield [Insert(before.node, self.review, turn=True)]
            (seen,) = yield [Extend(asked.node)]
            if unchanged(before, seen, same):
                return

    def writes(self) -> Iterator[str]:
        """What the user says."""
        yield self.review

    def cramped(self, longest: int, length: Callable[[str], int]) -> Iterator[str]:
        """All turns share the room of one answer."""
        if length(self.review) >= longest:
            yield (
                f"review: takes {length(self.review)} tokens, and all turns share {longest}; allow longer answers, or "
                "shorten it"
            )

    @property
    def rows(self) -> int:
        """One."""
        return 1

    def answers(self, mean: float) -> float:
        """The first and one for each review, where all differ."""
        return 1 + self.rounds


def unchanged(before: SeenSegment, after: SeenSegment, same: SameAnswer) -> bool:
    """Whether two answers are there and are one."""
    if before.answer is None or after.answer is None:
        return False
    return same(before.answer, after.answer)
