"""The tokenizer that a model folder says, which is not always the one that transformers makes of it.

For several model types (qwen2, gpt2, gpt_neox, cohere, ...) ``AutoTokenizer`` keeps the vocabulary of a folder's
``tokenizer.json`` and replaces how text is cut before it is looked up. A model trained with the file's own cutting then
reads other ids, and nobody is told: spaces may vanish, and two different questions become one prompt.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from longstep.config import UserError
from longstep.models.damage import InWords

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: What ways of cutting text disagree about: spaces, line ends, digits, accents, capitals, other scripts.
PROBE = (
    "Let f(x)=12345.678; we'll see  two spaces,\ttabs\n\nand 11 5 -> 1 15.\r\n"
    " \\boxed{\\frac{1}{2}} caf\u00e9 cafe\u0301 \u4f60\u597d \u00bd \ufb01 NaN I\u2019M def g():\n    return  0\n"
)


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder: what ``tokenizer.json`` says where there is one, proven on a text that tells.

    A folder without that file (SentencePiece, or vocabulary and merges) is left to transformers, which knows how its
    own classes read them.

    Raises:
        UserError: it is damaged, or its ids are not the file's.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    file = folder / "tokenizer.json"
    with InWords(f"{folder}: its tokenizer cannot be loaded"):
        if not file.is_file():
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        made = PreTrainedTokenizerFast.from_pretrained(folder)
        said = _ids_of_file(file, PROBE)
    if apart := _apart(said, _ids(made, PROBE)):
        raise UserError(
            f"{file}: {apart} once transformers has loaded it, so a model would read other tokens than it was made "
            "with; save the tokenizer again with the library that made it"
        )
    return made


def others_differ(folder: Path) -> str:
    """How ``AutoTokenizer``, which most other programs load with, departs from the folder's file; "" if it does not.

    Only characters that the tokenizer knows are looked at. Nothing in the folder can change it: transformers decides
    by the model type in config.json.
    """
    from transformers import AutoTokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        return ""
    own = open_tokenizer(folder)
    text = "".join(mark for mark in PROBE if own.unk_token_id not in _ids(own, mark))
    try:
        with InWords("AutoTokenizer cannot load it"):
            theirs = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UserError as error:
        return str(error)
    apart = _apart(_ids_of_file(file, text), _ids(theirs, text))
    return apart and f"{apart} when other programs load it with AutoTokenizer"


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore


def _ids_of_file(file: Path, text: str) -> list[int]:
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(file))
    own.no_truncation()
    own.no_padding()
    return list(own.encode(text, add_special_tokens=False).ids)


def _apart(said: list[int], ids: list[int]) -> str:
    """Where two ways of reading one text part; "" if they do not."""
    if said == ids:
        return ""
    pairs = zip(said, ids, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(said), len(ids)))
    return f"ids {said[place : place + 4]} become {ids[place : place + 4]} at position {place}"
