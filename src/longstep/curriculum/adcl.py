"""ADCL: easy to hard, and each batch is rated anew and sorted just before its turn (arXiv 2505.08364).

    order once by the difficulty of the start model; cut into K batches
    before batch k + 1: difficulty <- 1 - pass rate of the policy now, of that batch alone; sort inside of it
    NIR = pairs of the batch that changed their order / (n (n - 1) / 2)

NIR 0 says that the old ratings still order the batch, 1 that they order it the wrong way round. Only the abstract and
notes could be read: K and the number of samples are ours, and so are these rules. A batch is rated in the last step
before the first of its problems is asked, one update early; what a refill takes from it before that keeps the old
order. A problem whose rating could not be scored keeps its old difficulty. Two problems that one of the ratings finds
equally hard are in no order, so they change none. At the end of the pool it begins again with the batches as they are.

The ratings cost one more pass over the pool, charged as probes. Like every order from easy to hard it must be given
enough steps to reach the hard end: a run that ends before asks only for easy problems.
"""

from __future__ import annotations

import random
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum.base import Ask, Horizon, Outcome, difficulties
from longstep.types import Problem


class ADCL(Strict):
    """From easy to hard in batches, each sorted by what the policy can do when its turn comes.

    Attributes:
        batches: how many the pool is cut into.
        samples: answers that rate a problem.
    """

    kind: Literal["adcl"] = "adcl"
    batches: int = Field(8, ge=2)
    samples: int = Field(8, ge=2)

    def wants(self) -> frozenset[str]:
        """What it looks at in problems."""
        return frozenset({"pass_rate"})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> RatedOrder:
        """Give the order over these problems."""
        return RatedOrder(self, difficulties(problems, "pass_rate"), horizon)


class RatedOrder:
    """A row of batches, walked through again and again; those ahead are sorted as ratings come in."""

    def __init__(self, config: ADCL, difficulty_P: list[float], horizon: Horizon) -> None:
        """Start at the easiest; the first batch is ordered by the ratings that are there, equal ones by chance."""
        if not difficulty_P:
            raise ValueError("a curriculum needs at least one problem")
        count = len(difficulty_P)
        self.config, self.horizon, self.difficulty_P = config, horizon, difficulty_P
        order = list(range(count))
        random.Random(horizon.seed).shuffle(order)
        self.order = sorted(order, key=difficulty_P.__getitem__)
        self.bounds = [count * k // config.batches for k in range(config.batches + 1)]
        self.position, self.next_rated, self.nir = 0, 1, 0.0
        self._awaited: list[tuple[int, int]] = []  # batches asked to be rated in this step

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for the next ``n``, and for ratings of the batches that the next step will reach."""
        trained = [self._at(place) for place in range(self.position, self.position + n)]
        self.position += n
        named = set(trained)
        due = self._due() if step < self.horizon.last else ()
        rated = [index for index in due if index not in named]
        asks = [Ask(index, "rate", self.config.samples) for index in rated]
        return [*map(Ask, trained), *asks]

    def _due(self) -> Iterator[int]:
        """Problems of each batch that the next step reaches and nobody has asked to rate; those asked already apart."""
        count = len(self.order)
        end = self.position + min(self.horizon.groups, count)
        while self._batch(self.next_rated)[0] < end:
            start, stop = self._batch(self.next_rated)
            self.next_rated += 1
            start = max(start, self.position)
            if start < stop <= self.position + count:
                self._awaited.append((start, stop))
                yield from (self._at(place) for place in range(start, stop))

    def _batch(self, number: int) -> tuple[int, int]:
        """Places of a batch in the endless row."""
        lap, k = divmod(number, self.config.batches)
        return lap * len(self.order) + self.bounds[k], lap * len(self.order) + self.bounds[k + 1]

    def _at(self, place: int) -> int:
        return self.order[place % len(self.order)]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Sort what was rated and is still ahead."""
        rates = {
            outcome.index: 1.0 - sum(outcome.known_G) / len(outcome.known_G)
            for outcome in outcomes
            if outcome.use == "rate" and outcome.signal != "unscorable"
        }
        for start, stop in self._awaited:
            self._sort(max(start, self.position), stop, rates)
        self._awaited = []

    def _sort(self, start: int, stop: int, rates: dict[int, float]) -> None:
        if start >= stop:
            return
        lap = start - start % len(self.order)
        ahead = self.order[start - lap : stop - lap]
        old = [self.difficulty_P[index] for index in ahead]
        for index in ahead:
            self.difficulty_P[index] = rates.get(index, self.difficulty_P[index])
        new = [self.difficulty_P[index] for index in ahead]
        if len(ahead) > 1:
            pairs = len(ahead) * (len(ahead) - 1) / 2
            self.nir = inversions(zip(old, new, strict=True)) / pairs
        self.order[start - lap : stop - lap] = sorted(ahead, key=self.difficulty_P.__getitem__)

    def metrics(self) -> dict[str, float]:
        """Give the NIR of the batch rated last, and how often the pool was gone through."""
        return {"nir": self.nir, "epochs": self.position / len(self.order)}

    def state(self) -> dict[str, Any]:
        """Give order, ratings and position."""
        return {
            "order": list(self.order),
            "difficulty": list(self.difficulty_P),
            "position": self.position,
            "next_rated": self.next_rated,
            "nir": self.nir,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.order, self.difficulty_P = list(state["order"]), list(state["difficulty"])
        self.position, self.next_rated = state["position"], state["next_rated"]
        self.nir = state["nir"]


def inversions(pairs: Iterable[tuple[float, float]]) -> int:
    """How many pairs stand in one order by their first numbers and in the other by their second."""
    seen: list[float] = []
    found = 0
    for _, alike in groupby(sorted(pairs), key=itemgetter(0)):
        seconds = [second for _, second in alike]
        found += sum(len(seen) - bisect_right(seen, second) for second in seconds)
        for second in seconds:
            insort(seen, second)
    return found
