"""What strategies waited for and never came: a search without steps, waits without thoughts, no answer at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from longstep.scaling.base import Strategy
from longstep.types import Segment, SegmentFinish


@dataclass
class Remarks:
    """Counts, of one strategy after the other, how segments ended and which problems have no answer."""

    said: list[str] = field(default_factory=list)
    _ends: Counter[SegmentFinish] = field(default_factory=Counter)
    _problems: int = 0
    _unanswered: int = 0

    def add(self, tree: Sequence[Segment], answers: int) -> None:
        """Take a problem."""
        self._ends.update(each.finish for each in tree)
        self._problems += 1
        self._unanswered += not answers

    def close(self, name: str, strategy: Strategy) -> None:
        """Say what there is to say of the strategy whose problems these were."""
        if unmet := strategy.unmet(self._ends):
            self.said.append(f"{name}: {unmet}")
        if self._unanswered:
            self.said.append(
                f"{name}: no answer to {self._unanswered} of {self._problems} problems came to an end, which counts as "
                "wrong; allow more rounds or longer steps"
            )
        self._ends, self._problems, self._unanswered = Counter(), 0, 0
