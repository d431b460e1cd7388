"""Chat rendering: one function makes prompts for sampling and for training, so that they cannot differ.

A generation prompt ends with a forced ``<think>`` (Light-R1, README: a math model "does not always think" by itself).
The assistant turn of a training row is *not* rendered through the template, because several published templates
strip the thinking from it: it is the prompt's ids, then the turn's text after the forced prefix, then the stop token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.models.damage import InWords

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
#: Stands for the question while the text around it is found; no template rewrites letters.
PLACEHOLDER = "QUESTIONQUESTION"
#: The tags that a prompt ends with.
_OPENING = re.compile(rf"(?:{THINK_OPEN}|{THINK_CLOSE}|\s)*\Z")


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as ids, and the text of the assistant turn that the prompt already contains."""

    ids: tuple[int, ...]
    prefix: str


def render_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: str, thinking: bool = True
) -> RenderedPrompt:
    """Render one user question up to where the model continues.

    Args:
        tokenizer: carries the chat template.
        prompt: the question, without markup; control tokens inside it are encoded as plain text.
        thinking: ``False`` asks the template for an empty think block (the reasoning toggle).
    """
    text = _template(tokenizer, prompt, thinking)
    prefix = _forced_prefix(text) if thinking else ""
    if thinking and not prefix:
        text, prefix = text + THINK_OPEN, THINK_OPEN
    if not any(token in prompt for token in _control_tokens(tokenizer)):
        return RenderedPrompt(tuple(_encode(tokenizer, text)), prefix)
    head, mark, tail = _template(tokenizer, PLACEHOLDER, thinking).partition(PLACEHOLDER)
    if not mark:
        raise UserError(
            "the chat template changes the user's text, so control tokens in it cannot be told apart"
        )
    tail += prefix if not _forced_prefix(tail) else ""
    ids = [*_encode(tokenizer, head), *encode_text(tokenizer, prompt), *_encode(tokenizer, tail)]
    return RenderedPrompt(tuple(ids), prefix)


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _template(tokenizer: PreTrainedTokenizerBase, prompt: str, thinking: bool) -> str:
    if tokenizer.chat_template is None:
        raise UserError(
            "the tokenizer has no chat template; longstep trains and samples only through one: give a base model one "
            "by a stage of kind checkpoint with chat_template: FILE"
        )
    with InWords("the chat template cannot render a user's question"):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
    assert isinstance(text, str)
    return text


def template_faults(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What a chat template does wrong, shown by a sentinel; empty when all is well, or when there is no template.

    A template made for another library, or one appended to nothing, renders prompts that lack the question; a model
    trained or scored on those looks merely bad.
    """
    if tokenizer.chat_template is None:
        return []
    faults: list[str] = []
    for thinking in (True, False):
        text = _template(tokenizer, PLACEHOLDER, thinking)
        times = text.count(PLACEHOLDER)
        if times != 1:
            faults.append(f"it puts the question {times} times into the prompt instead of once")
        # Only where the answer begins: published templates speak of the tags in their instructions, too.
        opened = _OPENING.findall(text)[0].count(THINK_OPEN)
        if opened > 1:
            faults.append(f"it opens {opened} thoughts in one prompt")
    return list(dict.fromkeys(faults))


def forces_thought(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template itself opens the thought, as some published ones do."""
    return bool(_forced_prefix(_template(tokenizer, PLACEHOLDER, thinking=True)))


def _forced_prefix(rendered: str) -> str:
    """The part of the assistant's turn that a rendered generation prompt already contains."""
    stripped = rendered.rstrip("\n")
    return rendered[len(stripped) - len(THINK_OPEN) :] if stripped.endswith(THINK_OPEN) else ""


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode text whose control tokens are meant."""
    if not text:
        return []
    return _known(tokenizer, text, tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode untrusted text: what looks like a control token stays text (think tags are ordinary tokens)."""
    if not text:
        return []
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return _known(tokenizer, text, ids)


def _known(tokenizer: PreTrainedTokenizerBase, text: str, ids: Any) -> list[int]:
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown not in ids:
        return ids
    bare = text
    for token in _control_tokens(tokenizer):
        bare = bare.replace(token, "")
    alone: Any = (tokenizer(mark, add_special_tokens=False)["input_ids"] for mark in bare)
    mark = next((mark for mark, ids in zip(bare, alone, strict=True) if unknown in ids), "a part")
    raise UserError(
        f"the tokenizer has no token for {mark!r} in {text[:60]!r}; write it otherwise, or take a model with a larger "
        "vocabulary"
    )


def encode_turn(tokenizer: PreTrainedTokenizerBase, prompt: RenderedPrompt, text: str) -> list[int]:
    """Ids of an assistant turn after its prompt: the text without the forced prefix, then the stop token.

    Raises:
        UserError: the text does not begin with the forced prefix.
    """
    if not text.startswith(prompt.prefix.rstrip("\n")):
        raise UserError(
            f"a completion must begin with the forced {prompt.prefix!r}; this one begins {text[:20]!r}"
        )
    rest = text[len(prompt.prefix.rstrip("\n")) :]
    if prompt.prefix.endswith("\n"):
        rest = rest.removeprefix("\n")
    return [*encode_text(tokenizer, rest), tokenizer.eos_token_id]  # pyright: ignore


def lint(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Check that a tokenizer can train a reasoner; one sentence per problem, empty when all is well.

    Checks: a stop token exists, think tags are ordinary single tokens, and thinking inside a training row survives
    encoding. Padding may be the stop token (as DeepSeek-R1-Distill has it): labels are masked by position, not by id.
    """
    problems: list[str] = []
    if tokenizer.eos_token_id is None:
        return ["the tokenizer has no end-of-turn token, so a trained model would never stop"]
    for tag in (THINK_OPEN, THINK_CLOSE):
        number = len(encode_text(tokenizer, tag))
        if tag in tokenizer.all_special_tokens:
            problems.append(
                f"{tag} is a special token, so decoding may drop it; add it as an ordinary one"
            )
        elif number != 1:
            problems.append(
                f"{tag} is {number} tokens; make it one (checkpoint: think_tokens: add)"
            )
    rendered = render_prompt(tokenizer, "1")
    turn = encode_turn(tokenizer, rendered, f"{rendered.prefix}12{THINK_CLOSE}3")
    if "12" not in tokenizer.decode(turn, skip_special_tokens=False):
        problems.append(
            "thinking is lost between text and tokens; the template or tokenizer normalises it away"
        )
    return problems
