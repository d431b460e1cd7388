"""A tool from outside of the package: any class with ``answer(call) -> str``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal, Protocol

from longstep.config import Field, UserError, lookup
from longstep.scaling.toolbox.base import Tool, refusal

#: What foreign code may raise; the call is refused, and the answer goes on.
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Answers(Protocol):
    """What a tool from outside has."""

    def answer(self, call: str) -> str:
        """What comes of a call, always the same of the same."""
        ...


class OutsideTool(Tool):
    """A tool of your own; it runs in this process and is trusted with what the model wrote.

    Attributes:
        tool: ``module:Class``; it is made without arguments, once.
    """

    kind: Literal["outside"] = "outside"
    tool: str = Field(min_length=1)

    def check(self) -> Iterator[str]:
        """What is no such class, or cannot be made. Foreign code runs here."""
        try:
            made: object = _made(self.tool)
        except UserError as error:
            yield f"tool: {error}"
        except FAULTS as error:
            yield f"tool: making {self.tool} raised {type(error).__name__}: {error}; mend it"
        else:
            if not hasattr(made, "answer"):
                yield f"tool: {self.tool} has no answer(call) -> str; write one"

    def answer(self, call: str) -> str:
        """What the class answers; what it raises, or anything but text, is a refusal."""
        try:
            found: object = _made(self.tool).answer(call)
        except FAULTS as error:
            return refusal(type(error).__name__)
        return found if isinstance(found, str) else refusal("no text")


@cache
def _made(spec: str) -> Answers:
    return lookup(spec)()
