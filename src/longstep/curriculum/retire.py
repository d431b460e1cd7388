"""No-positive-resampling: a problem that is solved nearly always is asked no more (arXiv 2510.13786, section 3).

A problem is retired once its pass rate reaches ``at``: that of all its answers in the run so far (ScaleRL, 0.9), or
that of its last group alone (OLMo 3's ``no_resampling_pass_rate``, 0.875: ``{at: 0.875, over: group}``).

It never starves: while a problem is left that is neither retired nor asked in this step, it comes before all others;
when none is left, all retired problems come back with their counts forgotten, and ``returns`` counts how often that
happened. In both sources retirement is for good, and the run ends short of problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem


class Retire(Strict):
    """Shuffled epochs without the problems that are solved by now.

    Attributes:
        at: pass rate that retires a problem.
        over: what the rate is of: all answers of the run (``history``), or the last ``group``.
    """

    kind: Literal["retire"] = "retire"
    at: float = Field(0.9, gt=0.0, le=1.0)
    over: Literal["history", "group"] = "history"

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> RetiringOrder:
        """Give the order over these problems."""
        return RetiringOrder(self, len(problems), horizon.seed)


class RetiringOrder:
    """Walks through shuffled epochs of what is not retired."""

    def __init__(self, config: Retire, count: int, seed: int) -> None:
        """Nothing is retired yet."""
        self.config, self.count = config, count
        self.kept = 1.0 if config.over == "history" else 0.0  # of a problem's earlier counts
        self.tally: dict[int, tuple[float, float]] = {}  # right and scorable answers
        self.retired: set[int] = set()
        self.returns = 0
        self._asks = StepAsks(count, seed)
        self._walk = Walk(range(count), str(seed))

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the next ``n`` that are not retired."""
        self._asks.begin(step)
        return [Ask(self._next()) for _ in range(n)]

    def _next(self) -> int:
        if len(self.retired) + len(self._asks.asked - self.retired) == self.count:
            for index in self.retired:
                self.tally.pop(index, None)
            self.retired.clear()
            self.returns += 1
        while (index := self._walk.next(self._asks.asked)) in self.retired:
            pass
        self._asks.add(index)
        return index

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Count right answers, and retire who has enough of them."""
        for outcome in outcomes:
            if outcome.signal == "unscorable":
                continue
            right, scored = self.tally.get(outcome.index, (0.0, 0.0))
            right = self.kept * right + sum(outcome.known_G)
            scored = self.kept * scored + len(outcome.known_G)
            self.tally[outcome.index] = right, scored
            if right / scored >= self.config.at:
                self.retired.add(outcome.index)

    def metrics(self) -> dict[str, float]:
        """Give the share of problems that are retired, and how often all of them came back."""
        return {
            "retired": len(self.retired) / self.count,
            "returns": float(self.returns),
            "epochs": self._walk.epochs,
        }

    def state(self) -> dict[str, Any]:
        """Give the counts and the place in the row."""
        return {
            "tally": [[index, right, scored] for index, (right, scored) in self.tally.items()],
            "retired": sorted(self.retired),
            "returns": self.returns,
            "walk": self._walk.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.tally = {index: (right, scored) for index, right, scored in state["tally"]}
        self.retired = set(state["retired"])
        self.returns = state["returns"]
        self._walk.restore(state["walk"])
