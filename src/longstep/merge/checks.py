"""What must hold before any weight is read: one tokenizer, one architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.models.load import model_json

_MUST_AGREE = (
    "model_type",
    "architectures",
    "tie_word_embeddings",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rms_norm_eps",
    "hidden_act",
)


def check_configs(a: Path, b: Path) -> None:
    """Equal shapes still compute differently with another rotary base or number of heads."""
    mine, theirs = model_json(a / "config.json"), model_json(b / "config.json")
    if _rotary(mine) != _rotary(theirs):
        raise UserError(
            f"{b / 'config.json'}: rotary positions are {_rotary(theirs)} and {_rotary(mine)} in {a}; merge models of "
            "one architecture"
        )
    for key in _MUST_AGREE:
        if mine.get(key) != theirs.get(key):
            raise UserError(
                f"{b / 'config.json'}: {key} is {theirs.get(key)!r} and {mine.get(key)!r} in {a}; "
                "merge models of one architecture"
            )


def _rotary(config: dict[str, Any]) -> dict[str, Any]:
    """How positions are turned, wherever a release of transformers wrote it.

    Until release 4 ``rope_theta`` stood at the top and only a stretching in ``rope_scaling``; since 5 both are in
    ``rope_parameters``. An absent base is the library's 10,000.
    """
    given = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = given.pop("type", None)  # the name of rope_type before release 4.43
    base = given.pop("rope_theta", None) or config.get("rope_theta") or 10_000.0
    return {"rope_type": kind or "default", **given, "rope_theta": float(base)}


def check_tokenizers(a: Path, b: Path) -> None:
    """Refuse two model folders whose tokenizers give any token another id.

    The same ``vocab_size`` is not enough, and another number of padded embedding rows does not
    matter here.

    Raises:
        UserError: naming the first token that differs and both of its ids.
    """
    mine, theirs = _token_ids(a), _token_ids(b)
    different = [
        token for token in mine.keys() | theirs.keys() if mine.get(token) != theirs.get(token)
    ]
    if different:
        token = min(
            different,
            key=lambda t: (min(i for i in (mine.get(t), theirs.get(t)) if i is not None), t),
        )
        raise UserError(
            f"the tokenizers of {a} and {b} differ: {token!r} has id "
            f"{mine.get(token, 'none')} in the "
            f"first and {theirs.get(token, 'none')} in the second; use models with one tokenizer"
        )


def shared_token_ids(a: Path, b: Path) -> list[int]:
    """Ids that stand for the same token in both model folders, in ascending order.

    For families whose vocabularies agree but whose added tokens do not, such as Qwen2.5 and the
    models distilled from DeepSeek-R1 into it.

    Raises:
        UserError: fewer than 9 in 10 ids agree, so these are two vocabularies.
    """
    mine, theirs = _token_ids(a), _token_ids(b)
    shared = sorted(index for token, index in mine.items() if theirs.get(token) == index)
    if len(shared) < 0.9 * max(len(mine), len(theirs)):
        raise UserError(
            f"the tokenizers of {a} and {b} share {len(shared)} of {max(len(mine), len(theirs))} "
            "token ids only; use models of one family"
        )
    return shared


def _token_ids(folder: Path) -> dict[str, int]:
    data = model_json(folder / "tokenizer.json")
    vocabulary = data.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, list):  # unigram models store [token, score] rows in id order
        vocabulary = {row[0]: index for index, row in enumerate(vocabulary)}
    return {
        **vocabulary,
        **{token["content"]: token["id"] for token in data.get("added_tokens", [])},
    }
