"""What a model can learn from a record: questions, each with its answers and the turns before it.

One record gives one exchange, or one for each of the assistant's turns. Earlier turns keep their answers and lose their
thoughts, as the templates of reasoning models and their makers' advice have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from longstep.formats import chat
from longstep.formats.faults import RowError
from longstep.formats.layout import Layout
from longstep.formats.record import Message, Record, as_key
from longstep.formats.thoughts import Reasoned, describes_marks, marked, parted

#: A turn of a conversation: role and content.
Turn = tuple[str, str]
TrainedTurns = Literal["last", "all"]
_TOOLS = ("tool", "function_call")
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: a reply, or why it is none; and what its publisher's verifier said of it."""

    reply: Reasoned | None
    fault: str = ""
    text: str = ""
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question after some turns, and its answers."""

    before: tuple[Turn, ...]
    prompt: str
    told: tuple[Told, ...]


@dataclass(slots=True)
class _Talk:
    """A conversation while it is read: the turns so far, and the exchanges found in them."""

    before: list[Turn] = field(default_factory=list)
    found: list[Exchange] = field(default_factory=list)


def exchanges(record: Record, layout: Layout, turns: TrainedTurns) -> list[Exchange]:
    """Every exchange of a record; none where it holds questions alone.

    Args:
        record: of a row.
        layout: says where the row's answers are.
        turns: the answer to the last question, or each of the assistant's.

    Raises:
        RowError: the conversation cannot be trained on.
    """
    if not record.messages:
        told = tuple(_told(each.text, each.right, each.fault) for each in layout.answers(record))
        return [Exchange((), record.prompt, told)] if told else []
    talk = _talk(record.messages)
    if turns == "last":
        return talk.found[-1:] if talk.before[-1:] and talk.before[-1][0] == "assistant" else []
    return talk.found


def asked(record: Record) -> tuple[tuple[Turn, ...], str]:
    """The question of a pair, and the turns before it.

    Raises:
        RowError: the conversation cannot be trained on, or ends with an answer.
    """
    if not record.messages:
        return (), record.prompt
    before = _talk(record.messages).before
    if not before or before[-1][0] != "user":
        raise RowError("ends with an answer, expected a question at the end", "messages")
    return tuple(before[:-1]), before[-1][1]


def side(text: str) -> Told:
    """One side of a pair."""
    return _told(text, None, "")


def key_of_messages(record: Record) -> str | None:
    """The key that AM-DeepSeek-R1-Distilled keeps beside a message."""
    for message in record.messages:
        info = message.get("info")
        found = as_key(info.get("reference_answer")) if isinstance(info, dict) else None
        if found and found.strip():
            return found
    return None


def _talk(messages: Sequence[Message]) -> _Talk:
    talk = _Talk()
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        role = message["role"]
        if role in _TOOLS or message.get("tool_calls"):
            raise RowError(
                "turns of tools: they are not trained on; leave such rows out",
                place,
            )
        if role in _SYSTEM:
            _begin(talk, str(message["content"]), place)
        elif role == "user":
            if talk.before and talk.before[-1][0] == "user":
                raise RowError("a second question in a row: expected an answer between", place)
            talk.before.append(("user", message["content"]))
        else:
            _answer(talk, message, place)
    return talk


def _begin(talk: _Talk, content: str, place: str) -> None:
    if talk.before:
        raise RowError("a system's turn in the middle: expected it at the beginning", place)
    # A text about marks that the replies no longer have would teach a format that never comes.
    if content.strip() and not describes_marks(content):
        talk.before.append(("system", content))


def _answer(talk: _Talk, message: Message, place: str) -> None:
    if not talk.before or talk.before[-1][0] != "user":
        raise RowError("an answer that no question stands before", place)
    if talk.found and talk.found[-1].told[0].reply is None:
        raise RowError(f"{talk.found[-1].told[0].fault}, in an earlier turn", "messages")
    prompt = talk.before[-1][1]
    told = _of_message(message)
    talk.found.append(Exchange(tuple(talk.before[:-1]), prompt, (told,)))
    talk.before.append(("assistant", told.reply.answer.strip() if told.reply else ""))


def _of_message(message: Message) -> Told:
    content = message.get("content")
    info = message.get("info") if isinstance(message.get("info"), dict) else {}
    thoughts: list[Any] = [message.get(name) for name in chat.THOUGHT_FIELDS]
    thought = next((each for each in thoughts if isinstance(each, str) and each.strip()), None)
    if not (content or "").strip() and isinstance(info, dict):
        content, thought = info.get("answer_content"), thought or info.get("think_content")
    if thought is None:
        return _told(content or "", None, "")
    try:
        return Told(parted(thought, content), text=content or thought)
    except RowError as error:
        return Told(None, error.reason, content or thought)


def _told(text: str, right: bool | None, fault: str) -> Told:
    if fault:
        return Told(None, fault, text, right)
    try:
        return Told(marked(text), text=text, right=right)
    except RowError as error:
        return Told(None, error.reason, text, right)
