"""A budget of drawn tokens: what two methods are compared on, because one step costs one of them twice the other's."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.until.base import History, Until


class Tokens(Until):
    """The policy has written as many tokens as it may: trained on or dropped, ratings and guided answers included.

    A step is finished that began within the budget, so the stage may end above it by what one step draws.

    Attributes:
        most: the budget.
    """

    kind: Literal["tokens"] = "tokens"
    most: int = Field(ge=1)

    def reason(self, history: History) -> str | None:
        """When so many were drawn."""
        if history[-1].tokens < self.most:
            return None
        return f"{history[-1].tokens:,} tokens were drawn (most {self.most:,})"
