"""Where a loaded model ends: ids that end a turn, ids that nobody knows, and its longest sequence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from longstep.config import UserError
from longstep.models.load import model_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every id that ends a turn: the tokenizer's EOS and those of the generation config.

    Raises:
        UserError: there is none, or one that the model could never draw.
    """
    configured = model.generation_config
    rows = cast("Any", model.get_output_embeddings()).weight.shape[0]
    return _ends(configured and configured.eos_token_id, tokenizer, rows)


def turn_ends(folder: Path, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The same of a folder whose weights are not read.

    Raises:
        UserError: as above, where the rows of the output layer are those that config.json names.
    """
    config, path = model_json(folder / "config.json"), folder / "generation_config.json"
    configured = (model_json(path) if path.is_file() else config).get("eos_token_id")
    rows = config.get("vocab_size")
    return _ends(configured, tokenizer, rows if isinstance(rows, int) else len(tokenizer))


def _ends(configured: Any, tokenizer: PreTrainedTokenizerBase, rows: int) -> frozenset[int]:
    found: set[int] = set()
    for value in (tokenizer.eos_token_id, configured):
        ids: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
        for each in ids:
            if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < rows:
                raise UserError(
                    f"the model's end of a turn is {each!r} (eos_token_id of generation_config.json or of its "
                    f"tokenizer), expected an id below {rows}, the rows of its output layer; mend it there"
                )
        found.update(ids)
    if not found:
        raise UserError(
            "the model has no end-of-turn token: neither its tokenizer nor generation_config.json names one"
        )
    return frozenset(found)


def unknown_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that the output layer has and the tokenizer has not: rows that pad the vocabulary."""
    rows = cast("Any", model.get_output_embeddings()).weight.shape[0]
    return frozenset(range(rows)).difference(tokenizer.get_vocab().values())


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence the model was built for.

    Raises:
        UserError: its config does not say.
    """
    if not hasattr(model.config, "max_position_embeddings"):
        raise UserError(
            f"{type(model).__name__}: config.json has no max_position_embeddings, so rows cannot be kept within the "
            "context; write the number into it"
        )
    longest: object = model.config.max_position_embeddings
    if not isinstance(longest, int) or longest < 1:
        raise UserError(
            f"{type(model).__name__}: max_position_embeddings of config.json is {longest!r}, expected the tokens of "
            "its longest sequence; write the number into it"
        )
    return longest
