"""Tool use: the model writes a call, a tool answers, the model reads the answer and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Insert, Play, Strategy
from longstep.scaling.budget import CLOSE, OPEN
from longstep.scaling.toolbox import AnyTool
from longstep.scaling.toolbox.base import refusal
from longstep.scaling.toolbox.calculator import Calculator
from longstep.scaling.votes import SameAnswer
from longstep.types import SegmentFinish

#: Stands for an answer that the model's tokenizer has no ids for.
UNWRITABLE = refusal("the answer cannot be written")


class ToolUse(Strategy):
    """One answer, in which a tool answers what stands between two marks (as in ToRA, arXiv 2309.17452).

    The model must have been taught to write the marks. What a tool answers is data: it is put in as text, and no
    control token that it spells is one.

    Attributes:
        tool: who answers.
        begin: what the model writes before a call.
        end: what it writes behind one.
        before: what is put before the tool's answer.
        behind: what is put behind it.
        calls: marks ``end`` that are looked at; what the model writes behind that many is its own.
        longest: characters of the tool's answer; a longer one is refused.
    """

    kind: Literal["tools"] = "tools"
    tool: AnyTool = Calculator()
    begin: str = Field(default="<tool>", min_length=1)
    end: str = Field(default="</tool>", min_length=1)
    before: str = ""
    behind: str = ""
    calls: int = Field(default=32, ge=1)
    longest: int = Field(default=256, ge=1)

    def check(self) -> Iterator[str]:
        """Marks that cannot be told apart, or that stand where no call ends."""
        if self.end in self.begin:
            yield "end: expected another mark than begin, and none inside of it: a call would end where it begins"
        if self.end in OPEN + CLOSE:
            yield f"end: {self.end!r} stands inside {CLOSE}, so the end of a thought would be a call; take another mark"

    def play(self, same: SameAnswer) -> Play:
        """To the end of a call, its answer, and on."""
        at = ROOT
        for _ in range(self.calls):
            (seen,) = yield [Extend(at, 1, (self.end,))]
            if seen.ended:
                return
            at = seen.node
            _, begun, call = seen.text.partition(self.end)[0].rpartition(self.begin)
            if begun:
                said = self._put(self.reply(call))
                (answer,) = yield [Insert(at, said, "tool", instead=self._put(UNWRITABLE))]
                at = answer.node
        yield [Extend(at)]

    def _put(self, answer: str) -> str:
        return self.before + answer + self.behind

    def writes(self) -> Iterator[str]:
        """What stands around an answer, and what stands for one that cannot be written."""
        yield self._put(UNWRITABLE)

    def unmet(self, ends: Mapping[SegmentFinish, int]) -> str:
        """No call."""
        if ends.get("given"):
            return ""
        return f"no tool was called, for the model never wrote {self.begin!r} and {self.end!r} behind it"

    def reply(self, call: str) -> str:
        """What the tool answers, if that is not too long and neither opens nor closes a thought."""
        found = self.tool.answer(call)
        if len(found) > self.longest:
            return refusal("the answer is too long")
        return refusal("the answer holds a think tag") if OPEN in found or CLOSE in found else found

    @property
    def rows(self) -> int:
        """One."""
        return 1

    def answers(self, mean: float) -> float:
        """One; what tools write is not drawn."""
        return 1
