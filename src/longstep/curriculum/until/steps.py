"""The plain bound: a stage ends at its own last step."""

from __future__ import annotations

from typing import Literal

from longstep.curriculum.until.base import History, Until


class Steps(Until):
    """Nothing ends the stage before its own ``steps`` or ``epochs``."""

    kind: Literal["steps"] = "steps"

    def reason(self, history: History) -> str | None:
        """None, ever."""
        return None

    def foretold(self) -> str:
        """Nothing is open."""
        return ""
