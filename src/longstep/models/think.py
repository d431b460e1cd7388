"""Think tags as ordinary single tokens of a model that lacks them, as Light-R1 added them to Qwen2.5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.models.chat import THINK_CLOSE, THINK_OPEN, encode_text, forces_thought

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Appended to a chat template, so that every server that uses it forces the thought that training forced.
FORCED_THINKING = (
    "{%- if add_generation_prompt -%}{{- '<think>' -}}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{- '</think>' -}}{%- endif -%}"
    "{%- endif -%}"
)


def add_think_tokens(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, source: Path
) -> None:
    """Add the tags that are missing, give them rows that mean something, and let the template force a thought.

    Rows are only appended when no spare row is left: Qwen2.5 has 151,936 rows for 151,665 tokens, so there the weights
    keep their shape. A spare row is near zero and equal to every other spare row, and adapters never move it, so a new
    tag's row is the mean of the rows of the pieces that spelt it before: different for each tag, and the same on every
    machine, which the library's own random rows are not.

    Raises:
        UserError: there is no template, or the tags are there already.
    """
    pieces = add_tags(tokenizer, source)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:  # pyright: ignore
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for rows_VH in _tables(model):
        for tag, ids in pieces.items():
            place: Any = tokenizer.convert_tokens_to_ids(tag)
            rows_VH[place] = rows_VH[ids].mean(dim=0)


def add_tags(tokenizer: PreTrainedTokenizerBase, source: Path) -> dict[str, list[int]]:
    """Add the missing tags to the tokenizer alone, and let its template force a thought; gives what spelt each before.

    Raises:
        UserError: as :func:`add_think_tokens` does.
    """
    from tokenizers import AddedToken

    if tokenizer.chat_template is None:
        raise UserError(
            f"{source}: has no chat template, so a forced thought has no place to stand; set chat_template: FILE"
        )
    known = tokenizer.get_vocab()
    tags = [tag for tag in (THINK_OPEN, THINK_CLOSE) if tag not in known]
    if not tags:
        raise UserError(f"{source}: already has <think> and </think>; set think_tokens: keep")
    pieces = {tag: encode_text(tokenizer, tag) for tag in tags}
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])  # pyright: ignore
    tokenizer.chat_template = _forcing(tokenizer, source)
    return pieces


def _tables(model: PreTrainedModel) -> list[Tensor]:
    """The rows of the embedding and, unless they are the same, of the output layer."""
    layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    tables = {layer.weight.data_ptr(): layer.weight.data for layer in layers if layer is not None}
    return list(tables.values())


def _forcing(tokenizer: PreTrainedTokenizerBase, source: Path) -> str:
    """The template, forcing a thought; some published ones already do."""
    template: object = tokenizer.chat_template
    if isinstance(template, dict):
        if "default" not in template:
            raise UserError(
                f"{source}: has chat templates named {', '.join(template)} and no default; set chat_template: FILE"
            )
        template = template["default"]
        tokenizer.chat_template = str(template)
    return str(template) if forces_thought(tokenizer) else f"{template}{FORCED_THINKING}"
