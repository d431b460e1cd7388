"""VCRL's memory: problems whose answers varied most when last drawn come again (arXiv 2509.19803).

    v = k (n - k) / (floor(n/2) ceil(n/2))        k right of n answers that can be scored
    a problem with v >= least is kept; below, it is forgotten

When a gate refuses groups (``variance`` is VCRL's own), what it asks for in their place comes from the memory, the
highest v first and, of equal ones, that which waits longest; when the memory has nothing left, from the shuffled pool.
The paper fills a batch in the same way, from a queue whose priority is a running mean; that mean and its constants
could not be read, so the order is ours. A ``share`` of each step's first problems comes from the memory, too, which is
not in the paper: without it the memory would do nothing under a gate that refuses no group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome, spread_of
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem


class Bank(Strict):
    """Shuffled epochs, and problems whose answers varied most again: in place of refused groups, and as a share.

    Attributes:
        least: smallest variance of a group's correctness for its problem to be kept, 1 for half right, half wrong.
        size: problems kept at most; those with the smallest variance, longest ago, are forgotten first.
        share: of a step's first problems that come from the memory; what it leaves of one counts in the next step.
    """

    kind: Literal["bank"] = "bank"
    least: float = Field(default=0.3, gt=0.0, le=1.0)
    size: int = Field(default=512, ge=1)
    share: float = Field(default=0.25, ge=0.0, le=1.0)

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> BankedOrder:
        """Give the order over these problems."""
        return BankedOrder(self, len(problems), horizon.seed)


class BankedOrder:
    """A walk through the pool, and a memory that comes first where it is asked."""

    def __init__(self, config: Bank, count: int, seed: int) -> None:
        """With nothing in the memory."""
        self.config = config
        self.kept: dict[int, tuple[float, int]] = {}  # problem -> variance, step it was drawn in
        self.again = self.picked = 0
        self._step, self._owed = -1, 0.0
        self._asks = StepAsks(count, seed)
        self._walk = Walk(range(count), str(seed))

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for ``n`` problems; a refill takes what the memory has."""
        first, self._step = step != self._step, step
        self._asks.begin(step)
        if first:
            self._owed += n * self.config.share
        wanted = int(self._owed) if first else n
        self._owed -= wanted if first else 0
        found = sorted(self.kept.keys() - self._asks.asked, key=self._order)[:wanted]
        for index in found:
            self._asks.add(index)
        self.again += len(found)
        self.picked += n
        while len(found) < n:
            index = self._walk.next(self._asks.asked)
            self._asks.add(index)
            found.append(index)
        return [Ask(index) for index in found]

    def _order(self, index: int) -> tuple[float, int, int]:
        variance, step = self.kept[index]
        return -variance, step, index

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what varied and forget what no longer does; a group that cannot be scored says nothing."""
        for outcome in outcomes:
            if outcome.signal == "unscorable":
                continue
            variance = spread_of(outcome.known_G)
            if variance >= self.config.least:
                self.kept[outcome.index] = variance, outcome.step
            else:
                self.kept.pop(outcome.index, None)
        if len(self.kept) > self.config.size:
            best = sorted(
                self.kept, key=lambda index: (-self.kept[index][0], -self.kept[index][1], index)
            )
            self.kept = {index: self.kept[index] for index in best[: self.config.size]}

    def metrics(self) -> dict[str, float]:
        """Give how many problems are kept, and the share of all asked so far that came from there."""
        return {"kept": float(len(self.kept)), "from_memory": self.again / max(1, self.picked)}

    def state(self) -> dict[str, Any]:
        """Give the memory, the counts and the place in the pool."""
        return {
            "kept": [[index, variance, step] for index, (variance, step) in self.kept.items()],
            "again": self.again,
            "picked": self.picked,
            "owed": self._owed,
            "walk": self._walk.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.kept = {index: (variance, step) for index, variance, step in state["kept"]}
        self.again, self.picked = state["again"], state["picked"]
        self._owed = state.get("owed", 0.0)  # runs begun before it was counted
        self._walk.restore(state["walk"])
