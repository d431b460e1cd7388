"""What an edit of a trace is: another thought in its place, and what the answer should then be."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from longstep.config import Field, Strict, field_validator

OPEN, CLOSE = "<think>", "</think>"
CONTROL = "<|"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class FinishedTrace:
    """A finished thought and the answer behind it.

    Attributes:
        thought: what stands between the think tags.
        answer: what was given as the answer.
        gold: the key.
    """

    thought: str
    answer: str
    gold: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A trace after an edit.

    Attributes:
        thought: the new one.
        answer: what is written behind it where the trace is to be trained on.
        points: the answer that the new thought leads to, where that can be told.
    """

    thought: str
    answer: str
    points: str | None = None

    @property
    def text(self) -> str:
        """As an assistant's turn whose answer is a box and nothing else."""
        return f"{OPEN}{self.thought}{CLOSE}\\boxed{{{self.answer}}}"


class Edit(Strict):
    """Base of all members."""

    @property
    def kept(self) -> float | None:
        """What share of the thought stays, where nothing else is done to it; else ``None``."""
        return None

    @property
    def swaps(self) -> bool:
        """Whether ``apply`` is handed a donor."""
        return False

    def writes(self) -> Iterator[str]:
        """Texts of its own that it puts into a thought."""
        yield from ()

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """The edited trace, or ``None`` where there is nothing to edit.

        Args:
            trace: the one to edit.
            rng: of this trace alone.
            donor: a trace of another problem.
        """
        raise NotImplementedError


class Marked(Edit):
    """Base of members that put marks in the place of the thought.

    Attributes:
        mark: one of them; it may stand in a thought.
    """

    mark: str = Field(default=".", min_length=1)

    @field_validator("mark")
    @classmethod
    def _no_tag(cls, mark: str) -> str:
        for tag in (OPEN, CLOSE, CONTROL):
            if tag in mark:
                raise ValueError(
                    f"holds {tag}, which would end the thought that it stands in, or begin another"
                )
        return mark

    def writes(self) -> Iterator[str]:
        """Its mark."""
        yield self.mark


def thought_of(text: str) -> str | None:
    """The thought of an assistant's turn that begins with one and ends it; ``None`` of any other.

    What spells a control token such as ``<|user|>`` was one when a model drew it; written again it would be plain text,
    which not every tokenizer has: such a thought counts as none.
    """
    head, close, _ = text.lstrip().rpartition(CLOSE)
    whole = close and head.startswith(OPEN) and CONTROL not in head
    return head[len(OPEN) :] if whole else None


def with_last_number(thought: str, number: str) -> str | None:
    """The thought with another number in the place of its last one; ``None`` where it holds none."""
    found = list(_NUMBER.finditer(thought))
    if not found:
        return None
    return f"{thought[: found[-1].start()]}{number}{thought[found[-1].end() :]}"


def last_number(thought: str) -> str | None:
    """The last number of a thought, as it is written."""
    found = _NUMBER.findall(thought)
    return found[-1] if found else None
