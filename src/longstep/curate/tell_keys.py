"""A control of problems: the key stands in the question, so that a trace is written to an answer that is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from longstep.config import Strict, field_validator
from longstep.types import Problem


class TellKeys(Strict):
    """Tells the key in the question, as STaR's rationalisation does (arXiv 2203.14465).

    Ids stay, so what is written to these questions can be judged and trained under the plain ones: a stage of kind
    ``sample`` by ``{kind: stored}``. Answers carried along stay too: a model can be taught to use what it is told.

    Attributes:
        template: the new question, with ``{prompt}`` and ``{answer}``.
    """

    file: ClassVar[str] = "told.jsonl"
    rekeys: ClassVar[bool] = False
    kind: Literal["tell_keys"] = "tell_keys"
    template: str = "{prompt}\n\nThe answer is {answer}. Show how to get there step by step."

    @field_validator("template")
    @classmethod
    def _both(cls, template: str) -> str:
        lacking = [place for place in ("{prompt}", "{answer}") if place not in template]
        if lacking:
            raise ValueError(f"expected {{prompt}} and {{answer}}, lacks {' and '.join(lacking)}")
        return template

    def apply(
        self, problems: Callable[[], Iterable[Problem]], seed: int
    ) -> Iterator[tuple[Problem, dict[str, str] | None]]:
        """Give every problem with its key told; all are changed alike, so nothing is noted."""
        for problem in problems():
            yield replace(problem, prompt=self.told(problem)), None

    def told(self, problem: Problem) -> str:
        """The question with its key; filled in one pass, for a question may hold the very name of a place."""
        said = {"prompt": problem.prompt, "answer": problem.answer}
        return re.sub(r"\{(prompt|answer)\}", lambda match: said[match[1]], self.template)
