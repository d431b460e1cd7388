"""Component skills with direct answers: what a base model knows before it learns to reason step by step."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from typing import Literal

from longstep.config import Field
from longstep.problems.chain import Operators
from longstep.problems.source import Source, content_id, distinct, split_of
from longstep.types import Problem
from longstep.verify.chain_steps import apply

Skill = Literal["fact", "step", "lookup", "copy", "direct"]


class Skills(Source):
    """Number facts, look-ups, copying and short chains, all answered at once: the solution (trace) is empty.

    * ``fact``: ``3+4,7-9?`` is ``3+4=7,7-9=8`` (modulo 10).
    * ``step``: ``3l+4,7m-9?`` is ``3l+4=7,7m-9=8``, a fact in the dress of a chain's step.
    * ``lookup``: ``k3l+4m-2;l?`` is ``+4``, the definition behind the name.
    * ``copy``: ``:l+4m-2?`` is ``l+4m-2``.
    * ``direct``: ``k3l+4?`` is 7, a chain without its steps.

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
    skills: tuple[Skill, ...] = ("fact", "step", "lookup", "copy", "direct")
    direct_steps: int = Field(default=1, ge=1)
    operators: Operators = "+-"

    def rows(self, known: Mapping[str, int]) -> int:
        """As many as asked for."""
        return self.count

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
    """``["k3", "l+4", ...]``: a start value and ``steps`` operations, named from any letter on.

    A chain begins with ``a``. Here it is any letter, so that a skill is not a table of a few prompts.
    """
    first = rng.randrange(len(string.ascii_lowercase) - steps)
    start, *names = string.ascii_lowercase[first : first + steps + 1]
    return [f"{start}{rng.randrange(10)}"] + [
        f"{name}{rng.choice(operators)}{rng.randrange(10)}" for name in names
    ]


def _fact(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    facts = [(rng.randrange(10), rng.choice(operators), rng.randrange(10)) for _ in range(size)]
    prompt = ",".join(f"{left}{operator}{right}" for left, operator, right in facts)
    worked = (f"{left}{op}{right}={apply(op, left, right, 10)}" for left, op, right in facts)
    return f"{prompt}?", ",".join(worked)


def _step(size: int, operators: Operators, rng: random.Random) -> tuple[str, str]:
    asked, worked = [], []
    for piece in definitions(size, operators, rng)[1:]:
        left = rng.randrange(10)
        asked.append(f"{left}{piece}")
        worked.append(f"{left}{piece}={apply(piece[1], left, int(piece[2:]), 10)}")
    return f"{','.join(asked)}?", ",".join(worked)


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


TASKS = {
    "fact": _fact,
    "step": _step,
    "lookup": _lookup,
    "copy": _copy,
    "direct": _direct,
}
