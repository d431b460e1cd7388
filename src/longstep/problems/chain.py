"""Variable chains: ``a3b+4c-2?`` means a = 3, b = a + 4, c = b - 2, and asks for the last variable."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Literal

from longstep.config import Field, field_validator
from longstep.problems.source import Generated, content_id, distinct, split_of
from longstep.types import Problem
from longstep.verify.chain_steps import apply

Operators = Literal["+", "-", "*", "+-", "+*", "-*", "+-*"]


class Chain(Generated):
    """Serial variable chains modulo a number; the difficulty is the number of steps.

    The solution names each variable and computes it: ``a3b+4=7c-2=5``. In style ``detour`` some
    steps first get a wrong value, are doubted (``~``) and done again: ``a3b+4=6~b+4=7c-2=5``. With
    ``calls`` it asks a calculator for every value: ``a31b[(31+55)%97]86``.

    Attributes:
        modulus: all values are taken modulo this number.
        operators: what a step may do.
        order: ``serial`` lists definitions in order, ``shuffled`` in random order.
        verifier: ``exact`` asks for the answer, which luck finds once in ``modulus`` times; ``chain-steps`` for every
            step to it, too.
        calls: what a solution writes before and behind a call of the calculator (the strategy ``tools``).
    """

    kind: Literal["chain"] = "chain"
    modulus: int = Field(default=10, ge=2, le=1000)
    operators: Operators = "+-"
    order: Literal["serial", "shuffled"] = "serial"
    verifier: Literal["exact", "chain-steps"] = "exact"
    calls: tuple[str, str] | None = None

    def model_post_init(self, context: object) -> None:
        """Refuse calls in solutions that take detours or are judged step by step: neither knows them."""
        super().model_post_init(context)
        if self.calls is not None and (self.style != "plain" or self.verifier != "exact"):
            raise ValueError("calls: expected style: plain and verifier: exact beside it")
        if self.calls is not None and not all(self.calls):
            raise ValueError("calls: an empty text marks no call")

    @field_validator("difficulty")
    @classmethod
    def _named(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[1] >= len(string.ascii_lowercase):
            raise ValueError("a chain has at most 25 steps: variables are single letters")
        return value

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct problems of the configured split, the same for the same seed."""
        return distinct(self.count, "chain", seed, self._draw)

    def _draw(self, rng: random.Random) -> Problem | None:
        steps = self.draw_difficulty(rng)
        value = rng.randrange(self.modulus)
        pieces, values = [f"a{value}"], [value]
        for name in string.ascii_lowercase[1 : steps + 1]:
            operator, number = rng.choice(self.operators), rng.randrange(self.modulus)
            pieces.append(f"{name}{operator}{number}")
            values.append(apply(operator, values[-1], number, self.modulus))
        if split_of("chain", f"{self.modulus}:{''.join(pieces)}") != self.split:
            return None
        shown = rng.sample(pieces, len(pieces)) if self.order == "shuffled" else pieces
        prompt = "".join(shown) + ("?" if self.modulus == 10 else f"%{self.modulus}?")
        return Problem(
            id=content_id("chain", prompt),
            prompt=prompt,
            answer=str(values[-1]),
            solution=self._solve(pieces, values, prompt),
            verifier=self.verifier,
            source="chain",
            difficulty=float(steps),
        )

    def _solve(self, pieces: list[str], values: list[int], prompt: str) -> str:
        if self.calls is not None:
            return self._asked(pieces, values, self.calls)
        trace, detours = pieces[0], self.detours(prompt)
        for piece, value in zip(pieces[1:], values[1:], strict=True):
            if detours.taken():
                off = 0 if detours.confirms() else detours.rng.randrange(1, self.modulus)
                trace += f"{piece}={(value + off) % self.modulus}~"
            trace += f"{piece}={value}"
        return trace

    def _asked(self, pieces: list[str], values: list[int], marks: tuple[str, str]) -> str:
        """Every value by a call: the name, the value before, the operation, and what came back."""
        trace = pieces[0]
        for piece, before, value in zip(pieces[1:], values, values[1:], strict=False):
            call = f"({before}{piece[1:]})%{self.modulus}"
            trace += f"{piece[0]}{marks[0]}{call}{marks[1]}{value}"
        return trace
