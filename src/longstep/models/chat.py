"""Chat rendering: one function makes prompts for sampling and for training, so that they cannot differ.

A generation prompt ends with a forced ``<think>`` (Light-R1, README: a math model "does not always think" by itself).
The assistant turn of a training row is *not* rendered through the template, because several published templates
strip the thinking from it: it is the prompt's ids, then the turn's text after the forced prefix, then the stop token.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longstep.config import UserError
from longstep.models.damage import InWords
from longstep.types import Problem
from longstep.wording import page

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: One call of a tokenizer at a time: whether control tokens are split is a state that every call sets anew, so of two
#: threads (a server's requests) one would read the other's text the wrong way.
_ONE_CALL = threading.Lock()
THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
#: Stands for the question while the text around it is found; no template rewrites letters.
PLACEHOLDER = "QUESTIONQUESTION"
#: Stands for one of several texts, by its number in two letters; no mark is the beginning of another.
_MARK = re.compile("MARK([AB]+)KRAM")
_LETTERS, _DIGITS = str.maketrans("01", "AB"), str.maketrans("AB", "01")
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
    text, prefix = _opened(_template(tokenizer, prompt, thinking), thinking)
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


def render_problem(
    tokenizer: PreTrainedTokenizerBase, problem: Problem, thinking: bool = True
) -> RenderedPrompt:
    """Render a problem's question, with the turns before it where there are some.

    Raises:
        UserError: the template refuses or loses a turn.
    """
    turns = [*problem.before, ("user", problem.prompt)]
    named = [{"role": role, "content": content} for role, content in turns]
    return render_turns(tokenizer, named, thinking)


def render_turns(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Mapping[str, str]], thinking: bool = True
) -> RenderedPrompt:
    """Render a conversation, each turn a role and a content, up to where the model continues.

    One question of a user is rendered as ``render_prompt`` does. What a template does with the thoughts of earlier
    answers is its own affair; a whole message that it loses, as some lose the system's, is refused.

    Raises:
        UserError: the template refuses or loses a message.
    """
    if [turn["role"] for turn in turns] == ["user"]:
        return render_prompt(tokenizer, turns[0]["content"], thinking)
    _prove(tokenizer, turns, thinking)
    # What looks like a mark of ours is hidden, too.
    words = sorted(map(re.escape, _control_tokens(tokenizer)), key=len, reverse=True)
    found = re.compile("|".join([*words, _MARK.pattern]))
    spelt: list[str] = []

    def hidden(match: re.Match[str]) -> str:
        spelt.append(match[0])
        return _mark(len(spelt) - 1)

    plain = [{**turn, "content": found.sub(hidden, turn["content"])} for turn in turns]
    text, prefix = _opened(_rendered(tokenizer, plain, thinking), thinking)
    # Where a message spells a control token, it is encoded as text between the pieces of the rest.
    ids: list[int] = []
    for place, piece in enumerate(_MARK.split(text)):
        if place % 2:  # the number of a mark
            number = int(piece.translate(_DIGITS), 2)
            ids += encode_text(tokenizer, spelt[number])
        else:
            ids += _encode(tokenizer, piece)
    return RenderedPrompt(tuple(ids), prefix)


def render_next(
    tokenizer: PreTrainedTokenizerBase, question: str, thinking: bool = True
) -> tuple[tuple[int, ...], str]:
    """What follows an assistant's turn that has ended, its stop token included: another question, and the next opening.

    The turns before are not rendered again, so their thoughts stay as they were drawn, also where the template would
    take them out.

    Returns:
        The ids, and their text.

    Raises:
        UserError: the template loses or moves a turn, or ends an assistant's turn otherwise than the model does.
    """
    marks = [_mark(number) for number in range(3)]
    roles = ("user", "assistant", "user")
    turns = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    _prove(tokenizer, turns, thinking)
    text, _ = _opened(_rendered(tokenizer, turns, thinking), thinking)
    head, tail = text.partition(marks[1])[2].split(marks[2])
    stop = str(tokenizer.eos_token)
    if not head.startswith(stop):
        raise UserError(
            f"the chat template ends an assistant's turn with {head[:20]!r} and the model with {stop}, so nothing can "
            "be asked behind an answer; take a strategy without turns"
        )
    head = head.removeprefix(stop)
    ids = (*_encode(tokenizer, head), *encode_text(tokenizer, question), *_encode(tokenizer, tail))
    return ids, head + question + tail


def _mark(number: int) -> str:
    return f"MARK{f'{number:b}'.translate(_LETTERS)}KRAM"


def _prove(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Mapping[str, str]], thinking: bool
) -> None:
    """Refuse a template that loses, repeats or reorders one of the messages."""
    marks = [_mark(number) for number in range(len(turns))]
    marked = [{**turn, "content": mark} for turn, mark in zip(turns, marks, strict=True)]
    text = _rendered(tokenizer, marked, thinking)
    for number, (turn, mark) in enumerate(zip(turns, marks, strict=True)):
        if (times := text.count(mark)) != 1:
            raise UserError(
                f"messages.{number}: the model's chat template puts a message of role {turn['role']!r} {times} times "
                "into the prompt instead of once; leave it out, or say it in the user's message"
            )
    if sorted(marks, key=text.index) != marks:
        raise UserError("messages: the model's chat template puts them into another order")


def _opened(text: str, thinking: bool) -> tuple[str, str]:
    """A rendered prompt whose thought is open, and the part of the answer that it holds so."""
    prefix = _forced_prefix(text) if thinking else ""
    return (text, prefix) if prefix or not thinking else (text + THINK_OPEN, THINK_OPEN)


def encode_plain(tokenizer: PreTrainedTokenizerBase, text: str | Sequence[int]) -> tuple[int, ...]:
    """Ids of a text that is continued as it is, control tokens and all; given ids are proven to be the tokenizer's.

    Raises:
        UserError: an id is none of the tokenizer's, or a character outside of its alphabet.
    """
    if isinstance(text, str):
        return tuple(_known(tokenizer, text, _ids(tokenizer, text)))
    for token in text:
        if not 0 <= token < len(tokenizer):
            raise UserError(
                f"token id {token}: the tokenizer has ids from 0 to {len(tokenizer) - 1}"
            )
    return tuple(text)


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _template(tokenizer: PreTrainedTokenizerBase, prompt: str, thinking: bool) -> str:
    return _rendered(tokenizer, [{"role": "user", "content": prompt}], thinking)


def _rendered(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Mapping[str, str]], thinking: bool
) -> str:
    if tokenizer.chat_template is None:
        raise UserError(
            "the tokenizer has no chat template; longstep trains and samples only through one: give a base model one "
            f"by a stage of kind checkpoint with chat_template: FILE{page('chat-template')}"
        )
    roles = ", ".join(turn["role"] for turn in turns)
    what = "a user's question" if roles == "user" else f"messages of {roles}"
    with InWords(f"the chat template cannot render {what}{page('chat-template')}"):
        text = tokenizer.apply_chat_template(
            [dict(turn) for turn in turns],
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


def opens_anyway(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template opens a thought, and leaves it open, also when it is asked for none."""
    return bool(_forced_prefix(_template(tokenizer, PLACEHOLDER, thinking=False)))


def _forced_prefix(rendered: str) -> str:
    """The part of the assistant's turn that a rendered generation prompt already contains."""
    stripped = rendered.rstrip("\n")
    return rendered[len(stripped) - len(THINK_OPEN) :] if stripped.endswith(THINK_OPEN) else ""


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode text whose control tokens are meant."""
    if not text:
        return []
    return _known(tokenizer, text, _ids(tokenizer, text, add_special_tokens=False))


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode untrusted text: what looks like a control token stays text (think tags are ordinary tokens)."""
    if not text:
        return []
    ids = _ids(tokenizer, text, add_special_tokens=False, split_special_tokens=True)
    return _known(tokenizer, text, ids)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, **how: bool) -> list[int]:
    with _ONE_CALL:
        return tokenizer(text, **how)["input_ids"]  # pyright: ignore


def _known(tokenizer: PreTrainedTokenizerBase, text: str, ids: list[int]) -> list[int]:
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown not in ids:
        return ids
    bare = text
    for token in _control_tokens(tokenizer):
        bare = bare.replace(token, "")
    alone = [_ids(tokenizer, mark, add_special_tokens=False) for mark in bare]
    mark = next((mark for mark, ids in zip(bare, alone, strict=True) if unknown in ids), "a part")
    raise UserError(
        f"the tokenizer has no token for {mark!r} in {text[:60]!r}; write it otherwise, or take a model with a larger "
        "vocabulary"
    )


def thinks(text: str) -> bool:
    """Whether an assistant's turn begins with a thought; some models write line breaks before its tag."""
    return text.lstrip().startswith(THINK_OPEN)


def encode_turn(tokenizer: PreTrainedTokenizerBase, prompt: RenderedPrompt, text: str) -> list[int]:
    """Ids of an assistant turn after its prompt: the text without the forced prefix, then the stop token.

    Blanks before the prefix, as some servers send them, have no place behind it and are left out.

    Raises:
        UserError: the text does not begin with the forced prefix.
    """
    opening = prompt.prefix.rstrip("\n")
    said = text.lstrip() if opening else text
    if not said.startswith(opening):
        raise UserError(
            f"a completion must begin with the forced {prompt.prefix!r}; this one begins {text[:20]!r}"
        )
    rest = said[len(opening) :]
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
                f"{tag} is {number} tokens; make it one (checkpoint: think_tokens: add){page('think-tokens')}"
            )
    rendered = render_prompt(tokenizer, "1")
    turn = encode_turn(tokenizer, rendered, f"{rendered.prefix}12{THINK_CLOSE}3")
    if "12" not in tokenizer.decode(turn, skip_special_tokens=False):
        problems.append(
            "thinking is lost between text and tokens; the template or tokenizer normalises it away"
        )
    return problems
