"""Budget forcing: a thought ends when its tokens are spent, and not before it was asked to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Insert, Play, Strategy
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer
from longstep.types import SegmentFinish
from longstep.verify import extract

OPEN, CLOSE = "<think>", "</think>"


class BudgetForcing(Strategy):
    """Bounds the thought from above and from below (s1, Muennighoff et al. 2025, arXiv 2501.19393, section 3.1).

    Above: a thought of ``most`` tokens is closed and the answer asked for. Below: where the model would close its
    thought, ``wait`` is written instead, ``waits`` times. What is forced counts towards ``most``; the closing tag and
    the answer do not.

    Attributes:
        most: tokens of the thought; ``null`` is no bound.
        waits: how often the thought is made to go on.
        wait: what is written then.
        answer: what the answer begins with; it is written only where the thought was closed for the model.
    """

    kind: Literal["budget"] = "budget"
    most: int | None = Field(default=None, ge=1)
    waits: int = Field(default=0, ge=0)
    wait: str = Field(default="\nWait", min_length=1)
    answer: str = ""

    def check(self) -> Iterator[str]:
        """Settings without effect."""
        if self.most is None and not self.waits:
            yield "most: without it and without waits nothing is forced; set one of them"
        if "wait" in self.model_fields_set and not self.waits:
            yield "wait: has no effect without waits"
        if self.answer and self.most is None:
            yield "answer: has no effect without most, for no thought is closed for the model"
        for key, text in (("wait", self.wait), ("answer", self.answer)):
            if OPEN in text or CLOSE in text:
                yield f"{key}: holds {OPEN} or {CLOSE}, which the strategy writes itself; leave it out"
        if extract(CLOSE + self.answer) is not None:
            yield f"answer: {self.answer!r} is a whole answer, so the model gives none; end it where the model goes on"

    def play(self, same: SameAnswer) -> Play:
        """The thought piece by piece, then the answer."""
        spent, waits, at = 0, self.waits, ROOT
        while True:
            left = None if self.most is None else self.most - spent
            body, *tag = yield [Extend(at, 1, (CLOSE,), left, apart=True)]
            spent, at = spent + body.tokens, body.node
            if body.ended:  # it never closed its thought, or had no room for it
                return
            end = tag[0] if tag else body
            if end.finish == "cut":
                break
            if not (tag and waits):
                yield [Extend(end.node)]
                return
            (forced,) = yield [Insert(body.node, self.wait)]
            spent, at, waits = spent + forced.tokens, forced.node, waits - 1
            if self.most is not None and spent >= self.most:
                break
        (closed,) = yield [Insert(at, CLOSE + self.answer)]
        yield [Extend(closed.node)]

    def writes(self) -> Iterator[str]:
        """What makes a thought go on, and what ends it."""
        if self.waits:
            yield self.wait
        if self.most is not None:
            yield CLOSE + self.answer

    def cramped(self, longest: int, length: Callable[[str], int]) -> Iterator[str]:
        """No room for an answer behind the longest thought, or for a wait in it."""
        if self.most is None:
            return
        if self.most + length(CLOSE + self.answer) >= longest:
            yield (
                f"most: a thought of {self.most} tokens leaves no room for an answer within {longest} of both; allow "
                "longer ones, or lower it"
            )
        if self.waits and length(self.wait) >= self.most:
            yield f"wait: takes {length(self.wait)} tokens, and the whole thought may have {self.most}; raise most"

    def unmet(self, ends: Mapping[SegmentFinish, int]) -> str:
        """No thought was closed by the model, which is where a wait stands."""
        if ends.get("after") or not self.waits:
            return ""
        return f"the model never wrote {CLOSE} by itself, so no thought was made to go on"

    def tags(self) -> Iterator[str]:
        """The end of a thought."""
        yield CLOSE

    def keeps(self, leaf: Trail) -> bool | None:
        """Whether the thought has no more tokens than ``most``; a wait that stands over the edge is too many."""
        return None if self.most is None else thought_tokens(leaf) <= self.most

    @property
    def rows(self) -> int:
        """One."""
        return 1

    def answers(self, mean: float) -> float:
        """A thought may be written anew after every wait, and is never longer than ``most``."""
        long = mean * (1 + self.waits)
        return (long if self.most is None else min(long, self.most + mean)) / mean


def thought_tokens(leaf: Trail) -> int:
    """Tokens of the thought of an answer of this strategy, forced ones included, its closing tag not."""
    count = 0
    for each in leaf.segments:
        if each.text.startswith(CLOSE):
            break
        count += len(each.token_ids)
    return count
