"""Rendered prompts, and the engine over a loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longstep.generate import (
    Prompt,
)
from longstep.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from longstep.generate.engine import TransformersEngine


def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TransformersEngine:
    """The in-process engine over a loaded model."""
    from longstep.generate.engine import TransformersEngine
    from longstep.models.account import refuse_rowless
    from longstep.models.load import copy_weights, stop_ids, unknown_ids

    refuse_rowless(model, tokenizer)
    stops, unknown = stop_ids(model, tokenizer), unknown_ids(model, tokenizer)
    return TransformersEngine(model, tokenizer, stops, copy_weights, unknown)


def as_text(problems: Sequence[Problem]) -> list[Prompt]:
    """Problems for a generator that renders chats itself, or needs no rendering."""
    return [Prompt(problem.id, text=problem.prompt) for problem in problems]


def prompts_for(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], thinking: bool = True
) -> list[Prompt]:
    """Render problems once, the forced prefix noted."""
    from longstep.models.chat import render_prompt

    prompts: list[Prompt] = []
    for problem in problems:
        rendered = render_prompt(tokenizer, problem.prompt, thinking)
        prompts.append(Prompt(problem.id, rendered.ids, rendered.prefix, problem.prompt))
    return prompts
