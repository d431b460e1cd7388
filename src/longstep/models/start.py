"""Models before any stage runs: what the folder that a chain of stages starts at tells, read without its weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.models.chat import lint, render_prompt
from longstep.models.damage import InWords
from longstep.models.load import (
    load_tokenizer,
    located_before,
    pickles,
    refuse_foreign,
    refuse_unsafe,
)
from longstep.models.lora import Lora, saved_modules, target_layers
from longstep.models.think import add_tags

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Unopened:
    """Answers for model folders; what is read is kept as long as this lives, for folders may change later."""

    def __init__(self, ask: bool) -> None:
        """Begin anew; with ``ask`` the hub may be asked for what describes a model."""
        self.ask = ask
        self._tokenizer = cache(_tokenizer)
        self._config = cache(_config)
        self._skeleton = cache(_skeleton)

    def located(self, reference: str, revision: str | None) -> Path | None:
        """The folder of a model, perhaps without weights; ``None`` when only the hub knows."""
        return located_before(reference, revision, self.ask)

    def refuse(self, folder: Path, whole: bool) -> None:
        """Refuse a folder that no stage can use; a plan needs no weights in it."""
        (refuse_unsafe if whole and not self._described(folder) else refuse_foreign)(folder)
        self._config(folder)

    def _described(self, folder: Path) -> bool:
        """Whether a plan, which never asks, is made from the config of a model that is not here."""
        return not (self.ask or any(folder.glob("*.safetensors")) or pickles(folder))

    def _only_config(self, folder: Path) -> bool:
        return self._described(folder) and not any(folder.glob("tokenizer*"))

    def refuse_tokenizer(self, folder: Path, template: Path | None, tagged: bool) -> None:
        """Refuse a tokenizer that cannot be loaded, or not be given the template or the tags."""
        if not self._only_config(folder):
            self._tokenizer(folder, template, tagged)

    def refuse_prompts(
        self, folder: Path, template: Path | None, tagged: bool, thoughts: bool
    ) -> None:
        """Refuse a tokenizer that renders no prompt or, where rows hold ``thoughts``, can train no reasoner."""
        if self._only_config(folder):
            return
        tokenizer = self._tokenizer(folder, template, tagged)
        render_prompt(tokenizer, "1")  # refused without a chat template
        if thoughts and (problems := lint(tokenizer)):
            raise UserError("; ".join(problems))

    def refuse_adapters(self, folder: Path, lora: Lora) -> None:
        """Refuse adapters for layers that the model lacks."""
        try:
            target_layers(self._skeleton(folder), lora)
        except UserError as error:
            raise UserError(str(error).removeprefix("lora.targets: ")) from None

    def refuse_saved(self, folder: Path, lora: Lora) -> None:
        """Refuse modules to be trained whole that the model lacks, or whose weight is shared."""
        try:
            saved_modules(self._skeleton(folder), lora)
        except UserError as error:
            raise UserError(str(error).removeprefix("lora.modules_to_save: ")) from None

    def context(self, folder: Path) -> int:
        """Tokens the model was built for.

        Raises:
            UserError: its config cannot be read, or does not say.
        """
        config = self._config(folder)
        if not hasattr(config, "max_position_embeddings"):
            raise UserError(
                f"{folder}: config.json has no max_position_embeddings, so rows cannot be kept within the context; "
                "write the number into it"
            )
        return int(config.max_position_embeddings)


def _tokenizer(folder: Path, template: Path | None, tagged: bool) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(folder, template)
    if tagged:
        add_tags(tokenizer, folder)
    return tokenizer


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    with InWords(f"{folder / 'config.json'}: is no model that this transformers knows"):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _skeleton(folder: Path) -> Any:
    """The model without weights: its layers by name, in no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(folder)
    sentence = f"{folder / 'config.json'}: no language model can be built of it"
    with InWords(sentence), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
