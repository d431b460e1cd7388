"""Rendered prompts, and the engine over a loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longstep.config import UserError
from longstep.generate import Prompt
from longstep.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from longstep.generate.engine import TransformersEngine


def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TransformersEngine:
    """The in-process engine over a loaded model."""
    from longstep.generate.engine import TransformersEngine
    from longstep.models.account import refuse_rowless
    from longstep.models.bounds import stop_ids, unknown_ids
    from longstep.models.load import copy_weights

    refuse_rowless(model, tokenizer)
    stops, unknown = stop_ids(model, tokenizer), unknown_ids(model, tokenizer)
    return TransformersEngine(model, tokenizer, stops, copy_weights, unknown)


def as_text(problems: Sequence[Problem]) -> list[Prompt]:
    """Problems for a generator that renders chats itself, or needs no rendering.

    Raises:
        UserError: a problem has turns before its question; such a generator is sent one text.
    """
    for problem in problems:
        if problem.before:
            raise UserError(
                f"problem {problem.id}: has {len(problem.before)} turns before its question, and this engine is sent "
                "one text; take an engine of kind model, or leave conversations out"
            )
    return [Prompt(problem.id, text=problem.prompt) for problem in problems]


def by_name(problems: Sequence[Problem]) -> list[Prompt]:
    """Problems for a generator that knows their answers already."""
    return [Prompt(problem.id, text=problem.asked) for problem in problems]


def prompts_for(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], thinking: bool = True
) -> list[Prompt]:
    """Render problems once, the forced prefix noted."""
    from longstep.models.chat import render_problem

    prompts: list[Prompt] = []
    for problem in problems:
        rendered = render_problem(tokenizer, problem, thinking)
        prompts.append(Prompt(problem.id, rendered.ids, rendered.prefix, problem.prompt))
    return prompts
