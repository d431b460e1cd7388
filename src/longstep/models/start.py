"""What is known of a model before any stage runs: the folder its chain of stages starts at, read without weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.models.chat import lint, render_prompt
from longstep.models.load import load_tokenizer, refuse_foreign, refuse_unsafe
from longstep.models.lora import Lora, target_layers
from longstep.models.think import add_tags

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Start:
    """Where a model's weights come from, and what stages do to its tokenizer on the way; training leaves that alone.

    Attributes:
        folder: the Hugging Face folder that is there before the run.
        template: a chat template that replaces the folder's own.
        tagged: think tags are added.
        whole: its weights are there too; not of a model that is still to be fetched.
        made_by: the last stage that changes the weights; empty while they are the folder's.
    """

    folder: Path
    template: Path | None = None
    tagged: bool = False
    whole: bool = True
    made_by: str = ""

    def after(self, stage: str) -> Start:
        """The model that a stage makes of this one."""
        return replace(self, made_by=stage)

    def differs(self, other: Start) -> bool:
        """Whether this is certainly another model, by its weights."""
        return (self.folder, self.made_by) != (other.folder, other.made_by)

    def faults(self) -> Iterator[str]:
        """Why neither this folder nor a model made of it can be used, as far as that shows without its weights."""
        (refuse_unsafe if self.whole else refuse_foreign)(self.folder)
        _config(self.folder)
        yield from ()

    def tokenizer_faults(self, trains: bool = False) -> Iterator[str]:
        """Why no prompt can be rendered for this model or, when it ``trains``, no reasoner be made of it."""
        tokenizer = tokenizer_of(self)
        render_prompt(tokenizer, "1")  # refused without a chat template
        if trains and (problems := lint(tokenizer)):
            yield "; ".join(problems)

    def lora_faults(self, lora: Lora) -> Iterator[str]:
        """Why adapters cannot be laid over this model."""
        try:
            target_layers(_skeleton(self.folder), lora)
        except UserError as error:
            yield str(error).removeprefix("lora.targets: ")

    def context(self) -> int | None:
        """Tokens it was built for.

        Raises:
            UserError: its config cannot be read, or does not say.
        """
        config = _config(self.folder)
        if not hasattr(config, "max_position_embeddings"):
            raise UserError(
                f"{self.folder}: config.json has no max_position_embeddings, so rows cannot be kept within the "
                "context; write the number into it"
            )
        return int(config.max_position_embeddings)

    def longest(self, prompts: Sequence[str], thinking: bool) -> int:
        """Tokens of the longest of these questions as this model is asked them."""
        tokenizer = tokenizer_of(self)
        return max(len(render_prompt(tokenizer, each, thinking).ids) for each in prompts)


def look_again() -> None:
    """Forget what was read: folders may have changed since."""
    for remembered in (tokenizer_of, _config, _skeleton):
        remembered.cache_clear()


@cache
def tokenizer_of(start: Start) -> PreTrainedTokenizerBase:
    """The tokenizer as the stages after it will find it.

    Raises:
        UserError: it cannot be loaded, its template is refused, or the tags cannot be added.
    """
    tokenizer = load_tokenizer(start.folder, start.template)
    if start.tagged:
        add_tags(tokenizer, start.folder)
    return tokenizer


@cache
def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{folder / 'config.json'}: is no model that this transformers knows ({type(error).__name__}: {first}); "
            "take another model, or a newer release"
        ) from None


@cache
def _skeleton(folder: Path) -> Any:
    """The model without weights: its layers by name, in no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(folder)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{folder / 'config.json'}: no language model can be built of it ({type(error).__name__}: {first})"
        ) from None
