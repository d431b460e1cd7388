"""Llama-Nemotron's reward of the form: a thought where one was asked for, and none where none was."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from longstep.config import model_validator
from longstep.losses.rewards.base import Graded, Reward

_OPEN, _CLOSE = "<think>", "</think>"


class Format(Reward):
    """Think tags: each once and in order where the prompt opens a thought, none at all where it does not.

    Llama-Nemotron (arXiv 2505.00949, section 5) rewards so both modes of its toggle, beside accuracy; it gives no
    numbers, so the two here are ours. An opening tag that the template forces counts as said, because the text of an
    answer holds it; a rule that looks for it among the drawn tokens would find none in any answer. Which mode an answer
    was asked in is told by its prompt (``unthinking`` of the stage).

    Attributes:
        kept: for an answer that keeps the form.
        broken: for one that breaks it.
    """

    texts: ClassVar[bool] = True
    kind: Literal["format"] = "format"
    kept: float = 1.0
    broken: float = 0.0

    @model_validator(mode="after")
    def _worth_keeping(self) -> Self:
        if self.kept <= self.broken:
            raise ValueError(
                f"kept {self.kept:g} must be above broken {self.broken:g}, or nothing is gained by the form"
            )
        return self

    def known(self, answer: Graded, correctness: float) -> float:
        """One of the two."""
        return self.kept if well_formed(answer.text, answer.thinking) else self.broken


def well_formed(text: str, thinking: bool) -> bool:
    """Whether a turn has the tags that its mode asks for; text before the thought is no part of the form."""
    counts = text.count(_OPEN), text.count(_CLOSE)
    if not thinking:
        return counts == (0, 0)
    return counts == (1, 1) and text.lstrip().startswith(_OPEN)
