"""Domains drawn evenly, and inside a domain the longest traces most likely."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import Candidate, Fact, SelectionRule
from longstep.curate.picking import grouped, left, longest_first, rest


class DomainLength(SelectionRule, Strict):
    """s1's draw for diversity: a domain at random, and a problem in it that is the likelier the longer its trace.

    The paper (arXiv 2501.19393, section 2.2) draws a domain uniformly and a problem in it with weight 2^-rank, the
    longest trace of what is left first, until it has 1,000 in 50 domains.

    Attributes:
        count: how many to draw.
    """

    kind: Literal["domain-length"] = "domain-length"
    count: int = Field(default=1000, ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        reasons = ["" if each.length is not None else "no trace length" for each in candidates]
        with_length = left(reasons)
        return rest(reasons, with_length, self.drawn(candidates, with_length, seed))

    def drawn(self, candidates: Sequence[Candidate], among: Sequence[int], seed: int) -> set[int]:
        """Places of the drawn, of those that it may draw from."""
        rng = random.Random(f"{seed}:s1")
        domains = grouped(among, lambda index: candidates[index].domain)
        longest = {
            domain: sorted(members, key=lambda i: longest_first(candidates[i], seed))
            for domain, members in sorted(domains.items())
        }
        picked: set[int] = set()
        while longest and len(picked) < self.count:
            domain = rng.choice(list(longest))
            members = longest[domain]
            picked.add(members.pop(halving_rank(rng.random(), len(members))))
            if not members:
                del longest[domain]
        return picked

    def reads(self) -> frozenset[Fact]:
        """Subject and length."""
        return frozenset[Fact]({"domain", "length"})


def halving_rank(uniform: float, count: int) -> int:
    """Rank in 0 .. count-1 with probability proportional to 2^-rank, from a uniform number in [0, 1).

    The geometric distribution cut at ``count``, inverted: ranks below r have the chance
    (1 - 2^-r) / (1 - 2^-count).
    """
    left, rank = uniform * (1 - 2.0**-count), 0
    while rank < count - 1 and left >= 1 - 2.0 ** -(rank + 1):
        rank += 1
    return rank
