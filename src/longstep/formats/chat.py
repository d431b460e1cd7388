"""Conversations in a row: lists of messages with roles, and when two fields say the same."""

from __future__ import annotations

from typing import Any

from longstep.formats.faults import RowError, describe, suggest
from longstep.formats.record import Message, Record

#: Roles of a record's messages. ``function_call`` is ShareGPT's; others put calls into the assistant's message.
ROLES = ("system", "developer", "user", "assistant", "tool", "function_call")
#: Where servers and gpt-oss's data put a thought beside the assistant's content, which may then be null.
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
#: ShareGPT's names of them; Light-R1's files and others write ``user`` and ``assistant`` there.
SHAREGPT = {
    "system": "system",
    "user": "human",
    "assistant": "gpt",
    "tool": "observation",
    "function_call": "function_call",
}
_FROM_SHAREGPT = {
    **{theirs: ours for ours, theirs in SHAREGPT.items()},
    "user": "user",
    "assistant": "assistant",
}


def check_message(value: Any, place: str) -> Message:
    """A message with ``role`` and ``content``, unchanged but for parts of text, which are joined.

    Raises:
        RowError: it is none, or its role is unknown.
    """
    value = _joined(value, place)
    beside = ("tool_calls", *THOUGHT_FIELDS)
    calls = (
        isinstance(value, dict) and value.get("role") == "assistant" and any(map(value.get, beside))
    )
    role = _two(value, ("role", "content"), place, needs_text=not calls)[0]
    if role not in ROLES:
        raise RowError(_role_problem(role, ROLES), f"{place}.role")
    return value


def _joined(value: Any, place: str) -> Any:
    """A message whose content is one text, where it was a list of parts as OpenAI's interface takes them.

    Raises:
        RowError: a part is no text, such as a picture.
    """
    parts = value.get("content") if isinstance(value, dict) else None
    if not isinstance(parts, list):
        return value
    texts: list[str] = []
    for number, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str) or (
            isinstance(part, dict) and part.get("type", "text") != "text"
        ):
            kind = part.get("type") if isinstance(part, dict) else None
            got = f"a part of type {kind!r}" if kind else describe(part)
            raise RowError(f"got {got}, expected parts of text alone", f"{place}.content.{number}")
        texts.append(text)
    return {**value, "content": "".join(texts)}


def from_sharegpt(value: Any, place: str) -> Message:
    """A message from one with ``from`` and ``value``; other keys are kept."""
    theirs, content = _two(value, ("from", "value"), place)
    if theirs not in _FROM_SHAREGPT:
        raise RowError(_role_problem(theirs, _FROM_SHAREGPT), f"{place}.from")
    rest = {key: each for key, each in value.items() if key not in ("from", "value")}
    if clash := rest.keys() & {"role", "content"}:
        raise RowError(f"holds {sorted(clash)} beside from and value; which one is meant?", place)
    return {"role": _FROM_SHAREGPT[theirs], "content": content, **rest}


def to_sharegpt(message: Message, names: dict[str, str]) -> Message:
    """The same with ``from`` and ``value``.

    Raises:
        RowError: ShareGPT has no such role.
    """
    if message["role"] not in names:
        raise RowError(f"ShareGPT has no role {message['role']!r}", "messages")
    rest = {key: each for key, each in message.items() if key not in ("role", "content")}
    return {"from": names[message["role"]], "value": message["content"], **rest}


def _two(value: Any, keys: tuple[str, str], place: str, needs_text: bool = True) -> tuple[str, Any]:
    """The role and the content of a message; the content must be text unless a call of a tool stands for it."""
    if not isinstance(value, dict):
        raise RowError(
            f"got {describe(value)}, expected a mapping with {' and '.join(keys)}", place
        )
    for key in keys if needs_text else keys[:1]:
        if key not in value:
            present = ", ".join(value)
            raise RowError(
                f"is missing{suggest(key, value)} (present: {present[:200]})", f"{place}.{key}"
            )
        if not isinstance(value[key], str):
            raise RowError(f"got {describe(value[key])}, expected text", f"{place}.{key}")
    return value[keys[0]], value.get(keys[1])


def _role_problem(role: str, known: Any) -> str:
    aliases = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
    close = suggest(role, known) or (
        f"; did you mean {aliases[role]!r}?" if role in aliases else ""
    )
    return f"got role {role!r}, expected one of {', '.join(known)}{close}"


def conversation(messages: list[Message], place: str) -> dict[str, Any]:
    """A record's ``prompt``, ``completion`` and ``messages``: the last is empty when the others say it all.

    Raises:
        RowError: no message of the user is there, or the one that asks is blank.
    """
    asked = [m["content"] for m in messages if m["role"] == "user"]
    if not asked or not str(asked[-1]).strip():
        raise RowError("holds no question of the user", place)
    last = messages[-1]
    answered = last["role"] == "assistant" and isinstance(last.get("content"), str)
    completion = last["content"] if answered else None
    found = {"prompt": asked[-1], "completion": completion}
    return found if simple(**found) == messages else {**found, "messages": tuple(messages)}


def simple(prompt: str, completion: str | None) -> list[Message]:
    """One question and perhaps its answer as messages."""
    question: list[Message] = [{"role": "user", "content": prompt}]
    return (
        question
        if completion is None
        else [*question, {"role": "assistant", "content": completion}]
    )


def whole(record: Record) -> list[Message]:
    """A record's conversation, its answer included."""
    return list(record.messages) or simple(record.prompt, record.completion)


def parted(record: Record) -> tuple[list[Message], list[Message]]:
    """A record's conversation up to the last question, and the assistant's answer to it: one message or none."""
    messages = whole(record)
    cut = len(messages) - (messages[-1]["role"] == "assistant")
    return messages[:cut], messages[cut:]
