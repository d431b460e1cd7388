"""Stage ``checkpoint``: where a recipe's models come from: shipped, local or hub; checked before anything is spent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from longstep.config import UserError
from longstep.context import Artifact, Context
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import Flow
from longstep.foresight import Ahead, Foreseen
from longstep.models.chat import encode_text
from longstep.models.load import (
    Dtype,
    load_model,
    load_tokenizer,
    locate,
    refuse_unsafe,
    save_model,
)
from longstep.models.lora import refuse_no_adapter, with_adapter
from longstep.models.origin import write_origin
from longstep.models.pointer import point_at
from longstep.models.think import add_think_tokens
from longstep.stages.base import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Checkpoint(Stage):
    """An existing model.

    Attributes:
        path: a shipped name (``longstep-tiny``), a local folder, or a hub id.
        revision: of a hub id: a branch, tag or commit.
        think_tokens: ``add`` makes ``<think>`` and ``</think>`` ordinary single tokens of a model that lacks them, as
            Light-R1 did for Qwen2.5; ``keep`` leaves the vocabulary alone.
        chat_template: a file with the Jinja template to use instead of the model's own, or for a base that has none.
        adapter: a folder with a LoRA adapter of this model, as PEFT writes it, which is merged into it.
        dtype: of the written weights; given alone, it casts a model.

    A model that is changed is written anew; one that is not is only pointed at, unless it is small.
    """

    produces: ClassVar[Artifact] = "model"
    brings: ClassVar[bool] = True
    kind: Literal["checkpoint"] = "checkpoint"
    path: str
    revision: str | None = None
    think_tokens: Literal["keep", "add"] = "keep"
    chat_template: Path | None = None
    adapter: Path | None = None
    dtype: Dtype = "auto"

    def check(self) -> Iterator[str]:
        """Options that would have no effect."""
        if self.revision is not None and Path(self.path).is_dir():
            yield "revision: has no effect on a local folder; only a hub id has revisions"

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """A local folder is an input: its content enters the fingerprint."""
        if Path(self.path).is_dir():
            yield self.path, "model"
        if self.chat_template is not None:
            yield str(self.chat_template), "rows"
        if self.adapter is not None:
            yield str(self.adapter), "rows"

    def datasets(self) -> Iterator[str]:
        """None: a template is no data."""
        yield from ()

    def libraries(self) -> frozenset[str]:
        """Only a model that is changed is opened."""
        opened = ["torch", "transformers"] * self._changes()
        return frozenset([*opened, *["peft"] * (self.adapter is not None)])

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """The model, with its new tags or template."""
        start = ahead.start(self.path, self.revision)
        if start is None:
            return Foreseen()
        tagged = self.think_tokens == "add"
        made_by = ahead.name if self._changes() else ""
        return Foreseen(
            replace(
                start, template=self.chat_template, tagged=tagged, untaught=tagged, made_by=made_by
            )
        )

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """A model that is not there or not whole, and a template or tags that it cannot be given."""
        try:
            start = self.foreseen(ahead).start
        except UserError as error:
            yield f"path: {error}"
            return
        if start is not None:
            key = "chat_template" if self.chat_template is not None else "path"
            changed = "think_tokens" if start.tagged else key
            yield from ahead.whole("path", start) or ahead.loads(changed, start)
        if self.adapter is not None and self.adapter.exists():
            try:
                refuse_no_adapter(self.adapter)
            except UserError as error:
                yield f"adapter: {error}"

    def run(self, context: Context) -> None:
        """Find the model, refuse unsafe weights, and copy, extend or point at it."""
        source = locate(self.path, self.revision)
        refuse_unsafe(source)
        if self._changes():
            self._write_changed(source, context.fresh_out())
        elif sum(file.stat().st_size for file in source.iterdir() if file.is_file()) < 64 << 20:
            out = context.fresh_out()
            for file in filter(Path.is_file, source.iterdir()):
                shutil.copyfile(file, out / file.name)
        else:
            point_at(source, context.fresh_out())
        write_origin(context.out, source, self.path)

    def _changes(self) -> bool:
        given = self.chat_template is not None or self.adapter is not None
        return self.think_tokens == "add" or given or self.dtype != "auto"

    def _write_changed(self, source: Path, out: Path) -> None:
        tokenizer = load_tokenizer(source, self.chat_template)
        model = load_model(source, self.dtype)
        if self.adapter is not None:
            model = _with_adapter(model, tokenizer, self.adapter)
        if self.think_tokens == "add":
            add_think_tokens(tokenizer, model, source)
        save_model(model, tokenizer, out)
        load_tokenizer(out)  # what was written is proven too

    def estimate(self, given: Estimator) -> Estimate:
        """A model, for nothing."""
        shape = given.model(self.path)
        return Estimate(Flow(shape=shape), given.planned(Spent(shape.parameters)))


def _with_adapter(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Any:
    import torch

    probe = torch.tensor([encode_text(tokenizer, "1")], device=model.device)
    return with_adapter(model, folder, probe)
