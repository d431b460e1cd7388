"""Countdown: reach a target from given numbers, each used exactly once: ``3 5 8->34?``."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

from longstep.config import Field, field_validator
from longstep.problems.source import Detours, Generated, content_id, distinct, split_of
from longstep.types import Problem

#: Results of single steps stay in 1..LARGEST, so that no step is longer than the game itself.
LARGEST = 999
_OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Countdown(Generated):
    """Numbers and a target that they can reach; the difficulty is the number of operations.

    ``answer`` is one valid expression, not the only one: the verifier ``countdown`` accepts every one that
    uses each number exactly once and has the target's value. The solution combines two numbers per
    step and writes those that remain, ``3*8=24,5 24;5+24=29``. In style ``detour`` some steps first
    try another pair, see that it does not help (``~``) and go back: ``5-3=2~3*8=24,5 24;``.

    Attributes:
        largest: the given numbers are 1 to this.
    """

    kind: Literal["countdown"] = "countdown"
    largest: int = Field(default=12, ge=2, le=100)

    @field_validator("difficulty")
    @classmethod
    def _bounded(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[1] > 8:
            raise ValueError(f"countdown has at most 8 operations, not {value[1]}")
        return value

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct problems of the configured split, the same for the same seed."""
        return distinct(self.count, "countdown", seed, self._draw)

    def _draw(self, rng: random.Random) -> Problem | None:
        operations = self.draw_difficulty(rng)
        given = [rng.randint(1, self.largest) for _ in range(operations + 1)]
        games = [[(value, str(value)) for value in given]]
        steps = []
        while len(games[-1]) > 1:
            step, pool = _combine(games[-1], rng)
            steps.append(step)
            games.append(pool)
        target, expression = games[-1][0]
        if split_of("countdown", f"{sorted(given)}->{target}") != self.split:
            return None
        prompt = f"{' '.join(map(str, given))}->{target}?"
        return Problem(
            id=content_id("countdown", prompt),
            prompt=prompt,
            answer=expression[1:-1],
            solution=_solve(steps, games, self.detours(prompt)),
            verifier="countdown",
            source="countdown",
            difficulty=float(operations),
        )


def _solve(steps: list[str], games: list[list[tuple[int, str]]], detours: Detours) -> str:
    trace = ""
    for step, before, after in zip(steps, games, games[1:], strict=False):
        if detours.taken():
            tried = step if detours.confirms() else _combine(before, detours.rng)[0]
            trace += f"{tried}~"
        trace += f"{step},{' '.join(str(value) for value, _ in after)};" if len(after) > 1 else step
    return trace


def _combine(pool: list[tuple[int, str]], rng: random.Random) -> tuple[str, list[tuple[int, str]]]:
    """One random step on two of the numbers: how it reads, and the numbers afterwards."""
    while True:
        i, j = rng.sample(range(len(pool)), 2)
        (a, left), (b, right) = pool[i], pool[j]
        symbol = rng.choice("+-*/")
        if symbol == "/" and a % b:
            continue
        value = int(_OPERATIONS[symbol](Fraction(a), Fraction(b)))
        if 1 <= value <= LARGEST:
            rest = [pair for k, pair in enumerate(pool) if k not in (i, j)]
            return f"{a}{symbol}{b}={value}", [*rest, (value, f"({left}{symbol}{right})")]
