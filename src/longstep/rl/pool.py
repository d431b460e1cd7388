"""The problems of one training: those whose prompts leave room for an answer, and what is said of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from longstep.config import UserError
from longstep.draw.engines import Opened
from longstep.generate import Prompt
from longstep.types import Problem


@dataclass(frozen=True)
class Pool:
    """What may be asked.

    Attributes:
        problems: those that are asked, in the curriculum's numbering.
        prompts: rendered, in the same order.
        longest: tokens that a prompt may have.
        over: how many problems have a longer one, and are never asked.
    """

    problems: Sequence[Problem]
    prompts: Sequence[Prompt]
    longest: int
    over: int

    def facts(self) -> dict[str, object]:
        """For the card."""
        dropped = {f"prompts longer than {self.longest} tokens": self.over} if self.over else {}
        return {"problems": len(self.problems), **dropped}

    def warnings(self, groups: int) -> Iterator[tuple[str, str]]:
        """Cause and remedy of what a batch of so many groups did not get from it."""
        count = len(self.problems)
        if self.over:
            yield (
                f"{self.over} of {count + self.over} prompts are longer than the {self.longest} tokens that max_length "
                "(and the model's context) less max_tokens leaves, and were never asked",
                "raise max_length, or lower max_tokens",
            )
        if count < groups:
            yield (
                f"a batch asks for {groups} problems and there are {count}, so that every batch asks some of them "
                "again: their answers count as several groups and are one",
                "take more problems, or a smaller batch",
            )


def pooled(
    name: str, problems: Sequence[Problem], opened: Opened, length: int, answer: int
) -> Pool:
    """The problems that leave room for an answer.

    Args:
        name: of the stage.
        problems: inside of ``where``.
        opened: who draws.
        length: tokens of the longest row.
        answer: tokens of the longest answer.

    Raises:
        UserError: none does, or two problems have one id, which is what tells them apart in every record.
    """
    (twice, times), *_ = Counter(problem.id for problem in problems).most_common(1)
    if times > 1:
        raise UserError(
            f"{name}: {times} problems have the id {twice!r}, and records tell problems apart by their ids; give each "
            "its own, or drop those that are there twice"
        )
    room = min(length, opened.context or length)
    longest = room - answer
    rendered = zip(problems, opened.prompts(problems), strict=True)
    fitting = [(p, prompt) for p, prompt in rendered if len(prompt.prompt_ids) <= longest]
    if not fitting:
        raise UserError(
            f"{name}: no prompt fits: {room} tokens (max_length, and the model's context) less max_tokens {answer} "
            f"leave {longest}; raise max_length, or lower max_tokens"
        )
    asked, prompts = zip(*fitting, strict=True)
    return Pool(asked, prompts, longest, len(problems) - len(fitting))
