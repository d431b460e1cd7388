"""Groups of alike problems, dealt from by weights: levels of difficulty, bins of pass rates, categories."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any

from longstep.curriculum.walk import StepAsks, Walk


class Levels:
    """Deals problems level by level; inside of one, in shuffled epochs.

    Levels that cannot give their share leave it to the others, by the same weights.
    """

    def __init__(self, level_P: Sequence[int], seed: int, uses: float = math.inf) -> None:
        """Take each problem's level, of ``0..L-1`` and none empty.

        A level is asked for at most ``uses`` times its problems, as long as another can give what is missing.
        """
        self.level_P, self.uses = level_P, uses
        members: list[list[int]] = [[] for _ in range(max(level_P, default=-1) + 1)]
        for index, level in enumerate(level_P):
            members[level].append(index)
        self.walks = [Walk(each, f"{seed}:level:{level}") for level, each in enumerate(members)]
        self.dealt = [0] * len(members)

    def deal(
        self, n: int, score_L: Sequence[float], asks: StepAsks, draw: random.Random
    ) -> list[int]:
        """Give ``n`` problems, those of a level in proportion to the exponential of its score.

        They come in random order, because a gate that has enough takes the first: no level may stand at the end.
        """
        found: list[int] = []
        while len(found) < n:
            room_L = self._room(asks, self.uses)
            if not any(room_L):  # used up, or asked in this step: the weights alone
                room_L = self._room(asks, math.inf)
            counts_L = apportioned(n - len(found), softmax(score_L, room_L), draw)
            for level, count in enumerate(counts_L):
                for _ in range(min(count, room_L[level])):
                    index = self.walks[level].next(asks.asked)
                    asks.add(index)
                    found.append(index)
                    self.dealt[level] += 1
        draw.shuffle(found)
        return found

    def _room(self, asks: StepAsks, uses: float) -> list[int]:
        """How many problems each level can give now."""
        asked = Counter(self.level_P[index] for index in asks.asked)
        size_L = [len(walk.members) for walk in self.walks]
        return [
            int(max(0, min(size - asked[level], uses * size - self.dealt[level])))
            for level, size in enumerate(size_L)
        ]

    def state(self) -> dict[str, Any]:
        """Give the place in each level, ready for JSON."""
        return {"walks": [walk.state() for walk in self.walks], "dealt": list(self.dealt)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for walk, each in zip(self.walks, state["walks"], strict=True):
            walk.restore(each)
        self.dealt = list(state["dealt"])


def softmax(score_L: Sequence[float], room_L: Sequence[int]) -> list[float]:
    """Shares in proportion to the exponentials of the scores, among those with room; at least one must have some."""
    top = max(score for score, room in zip(score_L, room_L, strict=True) if room)
    weight_L = [
        math.exp(score - top) if room else 0.0 for score, room in zip(score_L, room_L, strict=True)
    ]
    total = sum(weight_L)
    return [weight / total for weight in weight_L]


def apportioned(n: int, share_L: Sequence[float], draw: random.Random) -> list[int]:
    """Split ``n`` by shares that sum to 1: each gets its part rounded down or up, and on average just its part.

    One random offset for all, so a refill of a single problem is not always of the largest share.
    """
    offset, upto, placed = draw.random(), 0.0, 0
    counts_L: list[int] = []
    for share in share_L:
        upto += n * share
        here = min(n, math.floor(upto + offset))
        counts_L.append(here - placed)
        placed = here
    counts_L[share_L.index(max(share_L))] += n - placed  # what rounding of the sum may leave
    return counts_L


def ranked(value_P: Sequence[float], count: int) -> list[int]:
    """Give each problem one of at most ``count`` equally large levels, in ascending order; equal values share one."""
    ordered = sorted(value_P)
    raw_P = [count * bisect_left(ordered, value) // len(ordered) for value in value_P]
    return numbered(raw_P)


def numbered(raw_P: Sequence[Any]) -> list[int]:
    """Number what occurs from 0 on, in ascending order."""
    place = {each: number for number, each in enumerate(sorted(set(raw_P)))}
    return [place[each] for each in raw_P]
