"""How every stage that trains begins: tokenizer and float32 weights, adapters laid over them, and the trainer's job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.context import Context
from longstep.models.lora import Lora
from longstep.training.config import Training
from longstep.training.ranks import sharded
from longstep.training.trackers import Mirror

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from longstep.training.job import Job


def open_policy(folder: Path, lora: Lora | None, seed: int) -> tuple[PreTrainedTokenizerBase, Any]:
    """The tokenizer of a model folder and the model to train; ``seed`` is that of fresh adapters."""
    from longstep.models.account import refuse_rowless
    from longstep.models.load import load_model, load_tokenizer
    from longstep.models.lora import wrap
    from longstep.models.quantised import load_nf4

    tokenizer = load_tokenizer(folder)
    few_bits = lora is not None and lora.base == "nf4"
    model = load_nf4(folder) if few_bits else load_model(folder, "float32", sharded())
    refuse_rowless(model, tokenizer)
    return tokenizer, model if lora is None else wrap(model, lora, seed % 2**31)


def longest_row(training: Training, model: Any) -> int:
    """Tokens of the longest row that may be trained on: ``max_length``, but never more than the model's context.

    Beyond the context some models raise in the last stage and others train positions they will never be asked at.
    """
    from longstep.models.bounds import context_length

    return min(training.max_length, context_length(model))


def open_job(
    context: Context,
    training: Training,
    tokenizer: PreTrainedTokenizerBase,
    model: Any,
    steps: int,
) -> Job:
    """What a trainer needs to know of the stage that calls it."""
    from longstep.training.job import Job

    return Job(
        model=model,
        tokenizer=tokenizer,
        training=training,
        steps=steps,
        seed=context.seed % 2**31,
        folder=context.folder,
        progress=context.progress(context.name, steps, "step"),
        mirror=Mirror(context.trackers, context.folder),
    )
