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
    here, there = _rotary(a, mine), _rotary(b, theirs)
    if here != there:
        raise UserError(
            f"{b / 'config.json'}: rotary positions are {there} and {here} in {a}; merge models of one architecture"
        )
    for key in _MUST_AGREE:
        if mine.get(key) != theirs.get(key):
            raise UserError(
                f"{b / 'config.json'}: {key} is {theirs.get(key)!r} and {mine.get(key)!r} in {a}; "
                "merge models of one architecture"
            )


def _rotary(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """How positions are turned, wherever a release of transformers wrote it.

    Until release 4 ``rope_theta`` stood at the top and only a stretching in ``rope_scaling``; since 5 both are in
    ``rope_parameters``. An absent base is the library's 10,000.
    """
    for name in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(name) or {}, dict):
            raise UserError(
                f"{folder / 'config.json'}: {name} is {config[name]!r}, expected a mapping; the folder is damaged"
            )
    given = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = given.pop("type", None)  # the name of rope_type before release 4.43
    base = given.pop("rope_theta", None) or config.get("rope_theta") or 10_000.0
    if not isinstance(base, int | float):
        raise UserError(
            f"{folder / 'config.json'}: rope_theta is {base!r}, expected a number; the folder is damaged"
        )
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
    path = folder / "tokenizer.json"
    data = model_json(path)
    try:
        vocabulary = data["model"]["vocab"]
        if isinstance(vocabulary, list):  # unigram models store [token, score] rows in id order
            vocabulary = {row[0]: index for index, row in enumerate(vocabulary)}
        added = {token["content"]: token["id"] for token in data.get("added_tokens", [])}
        return {**vocabulary, **added}
    except (KeyError, TypeError, IndexError):
        raise UserError(
            f"{path}: holds no vocabulary as tokenizers write it; the folder is damaged"
        ) from None
