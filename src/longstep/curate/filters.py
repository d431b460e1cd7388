"""Filters on one problem: ``(problem) -> (keep, reason when dropped)``.

Each is a config whose ``build(judge)`` gives the filter. ``judge`` says what the problem's own
verifier makes of its gold answer (``longstep.verify.judge_gold``); it is handed in because
leaves do not import each other.
"""

from __future__ import annotations

from typing import Annotated, Literal

from longstep.config import Field, Strict, model_validator
from longstep.curate.funnel import Filter, Judge
from longstep.types import Problem


class Length(Strict):
    """Prompts between two lengths in characters, both included; outer spaces do not count.

    Attributes:
        min_chars: of the prompt.
        max_chars: of the prompt.
    """

    kind: Literal["length"] = "length"
    min_chars: int = Field(1, ge=0)
    max_chars: int = Field(8000, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Length:
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is above max_chars {self.max_chars}")
        return self

    def build(self, judge: Judge) -> Filter:
        """Give the filter."""

        def keep(problem: Problem) -> tuple[bool, str]:
            length = len(problem.prompt.strip())
            if length < self.min_chars:
                return False, f"prompt too short: {length} characters"
            if length > self.max_chars:
                return False, f"prompt too long: {length} characters"
            return True, ""

        return keep


class HasAnswer(Strict):
    """Problems with a gold answer that is not blank."""

    kind: Literal["has_answer"] = "has_answer"

    def build(self, judge: Judge) -> Filter:
        """Give the filter."""
        return lambda problem: (True, "") if problem.answer.strip() else (False, "no gold answer")


class VerifiableGold(Strict):
    """Problems whose gold answer is correct in the eyes of their own verifier."""

    kind: Literal["verifiable_gold"] = "verifiable_gold"

    def build(self, judge: Judge) -> Filter:
        """Give the filter."""

        def keep(problem: Problem) -> tuple[bool, str]:
            verdict = judge(problem)
            if verdict.status == "correct":
                return True, ""
            return False, f"gold does not verify: {verdict.status}, {verdict.reason}"

        return keep


class Characters(Strict):
    """Prompts free of control and replacement characters and of the chat format's own tokens.

    Attributes:
        forbidden: texts that no prompt may hold.
    """

    kind: Literal["characters"] = "characters"
    forbidden: tuple[str, ...] = ("<|", "<think>", "</think>", "\ufffd")

    def build(self, judge: Judge) -> Filter:
        """Give the filter."""

        def keep(problem: Problem) -> tuple[bool, str]:
            for piece in self.forbidden:
                if piece in problem.prompt:
                    return False, f"forbidden text: {piece!r}"
            for letter in problem.prompt:
                if (letter < " " and letter not in "\n\t\r") or "\ud800" <= letter <= "\udfff":
                    return False, f"control character: {letter!r}"
            return True, ""

        return keep


AnyFilter = Annotated[Length | HasAnswer | VerifiableGold | Characters, Field(discriminator="kind")]
