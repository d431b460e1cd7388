"""Controls: what is done to clean problems on purpose, to see what a method makes of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from longstep.config import Field, Strict, UserError
from longstep.curate.tell_keys import TellKeys
from longstep.types import Problem


class SpoilKeys(Strict):
    """Gives a share of the problems another problem's answer; the right ones are kept in ``spoiled.jsonl``.

    In memory: the different answers, and the numbers of the spoilt problems.

    Attributes:
        share: how many of the problems.
    """

    file: ClassVar[str] = "spoiled.jsonl"
    rekeys: ClassVar[bool] = True
    kind: Literal["spoil_keys"] = "spoil_keys"
    share: float = Field(gt=0, lt=1)

    def apply(
        self, problems: Callable[[], Iterable[Problem]], seed: int
    ) -> Iterator[tuple[Problem, dict[str, str] | None]]:
        """Give every problem, and a note where it was changed.

        Args:
            problems: gives them from the start, each time it is called.
            seed: decides which are spoilt, and how.

        Raises:
            UserError: there is no wrong answer to give.
        """
        count, known = 0, set[str]()
        for problem in problems():
            count += 1
            known.add(problem.answer)
        if len(known) < 2:
            raise UserError("spoil_keys: all problems have the same answer, so none can be wrong")
        answers = sorted(known)
        rng = random.Random(f"{seed}:spoil")
        chosen = set(rng.sample(range(count), round(self.share * count)))
        for number, problem in enumerate(problems()):
            if number not in chosen:
                yield problem, None
                continue
            wrong = next(a for a in rng.sample(answers, len(answers)) if a != problem.answer)
            note = {"id": problem.id, "right": problem.answer, "wrong": wrong}
            yield replace(problem, answer=wrong), note


AnyControl = Annotated[SpoilKeys | TellKeys, Field(discriminator="kind")]
