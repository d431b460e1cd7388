"""Stage ``checkpoint``: where a recipe's models come from: shipped, local or hub; checked before anything is spent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import sha256_file, write_json
from longstep.config import UserError
from longstep.context import POINTER, Artifact, Context
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import Flow
from longstep.models.load import (
    Dtype,
    load_model,
    load_tokenizer,
    locate,
    refuse_unsafe,
    save_model,
)
from longstep.stages.base import Stage

#: Appended to a chat template, so that every server that uses it forces the thought that training forced.
FORCED_THINKING = (
    "{%- if add_generation_prompt -%}{{- '<think>' -}}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{- '</think>' -}}{%- endif -%}"
    "{%- endif -%}"
)


class Checkpoint(Stage):
    """An existing model.

    Attributes:
        path: a shipped name (``longstep-tiny``), a local folder, or a hub id.
        revision: of a hub id: a branch, tag or commit.
        think_tokens: ``add`` makes ``<think>`` and ``</think>`` ordinary single tokens of a model that lacks them, as
            Light-R1 did for Qwen2.5, and writes a model folder; ``keep`` only points at the model.
        dtype: of the written weights, with ``think_tokens: add``.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["checkpoint"] = "checkpoint"
    path: str
    revision: str | None = None
    think_tokens: Literal["keep", "add"] = "keep"
    dtype: Dtype = "auto"

    def check(self) -> Iterator[str]:
        """Options that would have no effect."""
        if self.revision is not None and Path(self.path).is_dir():
            yield "revision: has no effect on a local folder; only a hub id has revisions"
        if self.dtype != "auto" and self.think_tokens == "keep":
            yield "dtype: has no effect with think_tokens: keep, which writes no weights"

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """A local folder is an input: its content enters the fingerprint."""
        if Path(self.path).is_dir():
            yield self.path, "model"

    def run(self, context: Context) -> None:
        """Find the model, refuse unsafe weights, and copy, extend or point at it."""
        source = locate(self.path, self.revision)
        refuse_unsafe(source)
        if self.think_tokens == "add":
            _with_think_tokens(source, context.fresh_out(), self.dtype)
        elif sum(file.stat().st_size for file in source.iterdir() if file.is_file()) < 64 << 20:
            out = context.fresh_out()
            for file in filter(Path.is_file, source.iterdir()):
                shutil.copyfile(file, out / file.name)
        else:
            weights = {p.name: sha256_file(p) for p in sorted(source.glob("*.safetensors"))}
            pointer = {"path": str(source.resolve()), "weights": weights}
            write_json(context.fresh_out() / POINTER, pointer)

    def estimate(self, given: Estimator) -> Estimate:
        """A model, for nothing."""
        shape = given.model(self.path)
        return Estimate(Flow(shape=shape), given.planned(Spent(shape.parameters)))


def _with_think_tokens(source: Path, out: Path, dtype: Dtype) -> None:
    """Add the think tags as ordinary tokens; embedding rows are only appended when no spare row is left.

    Qwen2.5 has 151,936 rows for 151,665 tokens, so there the weights keep their shape.
    """
    from tokenizers import AddedToken

    tokenizer, model = load_tokenizer(source), load_model(source, dtype)
    known = tokenizer.get_vocab()
    tags = [tag for tag in ("<think>", "</think>") if tag not in known]
    if not tags:
        raise UserError(f"{source}: already has <think> and </think>; set think_tokens: keep")
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])  # pyright: ignore
    tokenizer.chat_template = f"{tokenizer.chat_template}{FORCED_THINKING}"
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:  # pyright: ignore
        model.resize_token_embeddings(len(tokenizer))
    save_model(model, tokenizer, out)
