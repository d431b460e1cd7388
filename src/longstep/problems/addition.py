"""Addition of two n-digit numbers: ``add 47+85?``, worked digit by digit from the right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from longstep.problems.source import Detours, Generated, content_id, distinct, split_of
from longstep.types import Problem


class Addition(Generated):
    """Two numbers of n digits each; the difficulty is n.

    One step of the solution adds two digits and the carry, ``7+5+0=12;``, and the last step reads
    the digits of the sum together. In style ``detour`` some steps first get a wrong sum, are
    doubted (``~``) and done again: ``7+5+0=13~7+5+0=12;``. ``3+4`` and ``4+3`` are always in the
    same split.
    """

    kind: Literal["addition"] = "addition"

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct problems of the configured split, the same for the same seed."""
        return distinct(self.count, "addition", seed, self._draw)

    def _draw(self, rng: random.Random) -> Problem | None:
        digits = self.draw_difficulty(rng)
        lowest = 10 ** (digits - 1) if digits > 1 else 0
        left, right = (rng.randrange(lowest, 10**digits) for _ in range(2))
        canonical = f"{min(left, right)}+{max(left, right)}"
        if split_of("addition", canonical) != self.split:
            return None
        prompt = f"add {left}+{right}?"
        return Problem(
            id=content_id("addition", prompt),
            prompt=prompt,
            answer=str(left + right),
            solution=_solve(left, right, self.detours(prompt)),
            source="addition",
            difficulty=float(digits),
        )


def _solve(left: int, right: int, detours: Detours) -> str:
    trace, carry = "", 0
    for a, b in zip(reversed(str(left)), reversed(str(right)), strict=True):
        total = int(a) + int(b) + carry
        step = f"{a}+{b}+{carry}="
        if detours.taken():
            off = 0 if detours.confirms() else detours.rng.randrange(1, 20)
            trace += f"{step}{(total + off) % 20}~"
        trace += f"{step}{total};"
        carry = total // 10
    return f"{trace}{left + right}"
