"""Component skills with direct answers: what a base model knows before it learns to reason step by step."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Literal

from longstep.config import Field, Strict
from longstep.problems.chain import Operators, apply
from longstep.problems.source import content_id, distinct, split_of
from longstep.types import Problem

Skill = Literal["fact", "lookup", "copy", "direct"]


class Skills(Strict):
    """Number facts, look-ups, copying and short chains, all answered at once: the solution (trace) is empty.

    * ``fact``: ``3+4,7-9?`` is ``3+4=7,7-9=8`` (modulo 10).
    * ``lookup``: ``a3b+4c-2;b?`` is ``+4``, the definition behind the name.
    * ``copy``: ``:b+4c-2?`` is ``b+4c-2``.
    * ``direct``: ``a3b+4?`` is 7, a chain without its steps.

    There is no held-out half: facts must all be known. Direct chains come from the train half of
    ``chain`` only.

    Attributes:
        count: tasks to produce.
        difficulty: fewest and most facts, definitions or copied pieces in one task.
        skills: kinds of task, drawn equally often; name one twice to draw it twice as often.
        direct_steps: longest chain that is answered directly.
        operators: what number facts and chains are made of.
    """

    kind: Literal["skills"] = "skills"
    count: int = Field(ge=1)
    difficulty: tuple[int, int] = (1, 6)
    skills: tuple[Skill, ...] = ("fact", "lookup", "copy", "direct")
    direct_steps: int = Field(default=2, ge=1)
    operators: Operators = "+-"

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct tasks, the same for the same seed."""
        return distinct(self.count, "skills", seed, self._draw)

    def _draw(self, rng: random.Random) -> Problem | None:
        skill = rng.choice(self.skills)
        size = (
            rng.randint(1, self.direct_steps)
            if skill == "direct"
            else rng.randint(*self.difficulty)
        )
        prompt, answer = TASKS[skill](size, self.operators, rng)
        if skill == "direct" and split_of("chain", f"10:{prompt[:-1]}") != "train":
            return None
        return Problem(
            id=content_id("skills", prompt),
            prompt=prompt,
            answer=answer,
            solution="",
            source=f"skills/{skill}",
            difficulty=float(size),
        )


def definitions(steps: int, operators: Operators, rng: random.Random) -> list[str]:
    """``["a3", "b+4", ...]``: a start value and ``steps`` operations."""
    names = string.ascii_lowercase[1 : steps + 1]
    return [f"a{rng.randrange(10)}"] + [
        f"{name}{rng.choice(operators)}{rng.randrange(10)}" for name in names
    ]


def _fact(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    facts = [(rng.randrange(10), rng.choice(operators), rng.randrange(10)) for _ in range(size)]
    prompt = ",".join(f"{left}{operator}{right}" for left, operator, right in facts)
    worked = (f"{left}{op}{right}={apply(op, left, right, 10)}" for left, op, right in facts)
    return f"{prompt}?", ",".join(worked)


def _lookup(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    pieces = definitions(size, operators, rng)
    wanted = rng.choice(pieces)
    return f"{''.join(pieces)};{wanted[0]}?", wanted[1:]


def _copy(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    text = "".join(definitions(size, operators, rng)[1:])
    return f":{text}?", text


def _direct(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    pieces = definitions(size, operators, rng)
    value = int(pieces[0][1:])
    for piece in pieces[1:]:
        value = apply(piece[1], value, int(piece[2:]), 10)
    return f"{''.join(pieces)}?", str(value)


TASKS = {"fact": _fact, "lookup": _lookup, "copy": _copy, "direct": _direct}
