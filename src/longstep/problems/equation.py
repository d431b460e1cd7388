"""Linear equations in x, wrapped in operations to be undone one by one: ``2(3x+4)-1=37,x?``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from longstep.config import field_validator
from longstep.problems.source import Detours, Generated, content_id, distinct, split_of
from longstep.types import Problem

#: Deepest nesting: each multiplication makes the numbers up to five times larger.
DEEPEST = 12


class Equation(Generated):
    """Solve for an integer x between -9 and 9; the difficulty is the number of operations around x.

    The solution undoes the outermost operation in each step: ``2(3x+4)=38;3x+4=19;3x=15;x=5``. In
    style ``detour`` some steps first get a wrong right-hand side, are doubted (``~``) and done
    again: ``3x+4=17~3x+4=19;``.
    """

    kind: Literal["equation"] = "equation"

    @field_validator("difficulty")
    @classmethod
    def _bounded(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[1] > DEEPEST:
            raise ValueError(f"an equation has at most {DEEPEST} operations, not {value[1]}")
        return value

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct problems of the configured split, the same for the same seed."""
        return distinct(self.count, "equation", seed, self._draw)

    def _draw(self, rng: random.Random) -> Problem | None:
        depth = self.draw_difficulty(rng)
        x = rng.randint(-9, 9)
        side, value = "x", x
        equations = [f"x={x}"]
        for _ in range(depth):
            side, value = _wrap(side, value, rng)
            equations.append(f"{side}={value}")
        prompt = f"{equations.pop()},x?"
        if split_of("equation", prompt) != self.split:
            return None
        detours = self.detours(prompt)
        return Problem(
            id=content_id("equation", prompt),
            prompt=prompt,
            answer=str(x),
            solution=";".join(_step(each, detours) for each in reversed(equations)),
            source="equation",
            difficulty=float(depth),
        )


def _step(equation: str, detours: Detours) -> str:
    if not detours.taken():
        return equation
    if detours.confirms():
        return f"{equation}~{equation}"
    side, value = equation.split("=")
    return f"{side}={int(value) + detours.rng.choice([-3, -2, -1, 1, 2, 3])}~{equation}"


def _wrap(side: str, value: int, rng: random.Random) -> tuple[str, int]:
    """Put one more operation around the left side and apply it to its value."""
    multiply = side == "x" or (side[-1] != ")" and not side[-1].isalpha())
    if multiply and rng.random() < 0.5:
        factor = rng.randint(2, 5)
        return (f"{factor}x" if side == "x" else f"{factor}({side})"), factor * value
    number = rng.randint(1, 9)
    operator = rng.choice("+-")
    return f"{side}{operator}{number}", value + number if operator == "+" else value - number
