"""SEC: a bandit over categories, paid in what their groups teach (arXiv 2505.14970, section 3).

    share(c) ~ exp(Q_c / temperature)
    Q_c <- rate * r_c + (1 - rate) Q_c,   r_c = mean |advantage| of the answers to c in this step

The advantage of a group with success rate p, divided by its standard deviation, has the mean absolute value
2 sqrt(p (1 - p)): most at 1/2. Differences from the paper: r is of correctness, whatever the algorithm makes of the
reward; a category whose groups could not be scored, or that was not asked, keeps its Q; fractions of a problem are
drawn by chance instead of the category of each; inside of a category every problem comes once an epoch instead of at
random, so that a small one repeats as little as it can.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from longstep.config import Field, Strict, UserError, model_validator
from longstep.curriculum.base import Ask, Horizon, Outcome, difficulties
from longstep.curriculum.levels import Levels, numbered, ranked
from longstep.curriculum.walk import StepAsks
from longstep.types import Problem


class SEC(Strict):
    """A bandit over categories: those whose groups are solved about half of the time come more often.

    Attributes:
        by: what the categories are: sources, or levels of a difficulty (the source's own, or one minus the pass rate).
        levels: how many, when they are levels; equally hard problems share one.
        rate: how fast a category's value follows what it taught last.
        temperature: low takes the best alone, high all alike; the paper takes 1, 0.4 or 0.2 by data set.
    """

    kind: Literal["sec"] = "sec"
    by: Literal["source", "difficulty", "pass_rate"] = "source"
    levels: int = Field(5, ge=2)
    rate: float = Field(0.5, gt=0.0, le=1.0)
    temperature: float = Field(1.0, gt=0.0)

    @model_validator(mode="after")
    def _effective(self) -> SEC:
        if self.by == "source" and "levels" in self.model_fields_set:
            raise ValueError(
                "levels: has no effect by source; leave it out, or name by: difficulty"
            )
        return self

    def wants(self) -> frozenset[str]:
        """What it looks at in problems."""
        return frozenset() if self.by == "source" else frozenset({self.by})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> CategoryBandit:
        """Give the bandit over these problems."""
        category_P = self._categories(problems)
        names = sorted(set(category_P))
        if len(names) < 2:
            raise UserError(
                f"curriculum sec needs at least two categories, and by {self.by} all {len(problems)} problems are in "
                f"one, {names[0] or 'without a name'}; name another by, or take shuffle"
            )
        return CategoryBandit(self, names, numbered(category_P), horizon.seed)

    def _categories(self, problems: Sequence[Problem]) -> list[str]:
        if self.by == "source":
            return [problem.source for problem in problems]
        width = len(str(self.levels))
        level_P = ranked(difficulties(problems, self.by), self.levels)
        return [f"level {level + 1:0{width}}" for level in level_P]


class CategoryBandit:
    """Deals by the values of categories."""

    def __init__(
        self, config: SEC, names: Sequence[str], category_P: Sequence[int], seed: int
    ) -> None:
        """All categories are worth the same."""
        self.config, self.names, self.category_P = config, names, category_P
        self.value_C = [0.0] * len(names)
        self._levels = Levels(category_P, seed)
        self._asks = StepAsks(len(category_P), seed)

    def pick(self, n: int, step: int) -> list[Ask]:
        """Deal ``n`` problems by the values."""
        draw = self._asks.begin(step)
        score_C = [value / self.config.temperature for value in self.value_C]
        return [Ask(index) for index in self._levels.deal(n, score_C, self._asks, draw)]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Move each value towards what its category taught in this step."""
        taught: defaultdict[int, list[float]] = defaultdict(list)
        for outcome in outcomes:
            if outcome.signal != "unscorable":
                p = sum(outcome.known_G) / len(outcome.known_G)
                taught[self.category_P[outcome.index]] += [2 * (p * (1 - p)) ** 0.5]
        for category, gains in taught.items():
            kept = (1.0 - self.config.rate) * self.value_C[category]
            self.value_C[category] = kept + self.config.rate * sum(gains) / len(gains)

    def metrics(self) -> dict[str, float]:
        """Give the value of each category."""
        return {
            f"value/{name or 'without a name'}": value
            for name, value in zip(self.names, self.value_C, strict=True)
        }

    def state(self) -> dict[str, Any]:
        """Give the values and the place in each category."""
        return {"values": list(self.value_C), **self._levels.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.value_C = list(state["values"])
        self._levels.restore(state)
