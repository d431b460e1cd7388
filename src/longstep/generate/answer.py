"""What a chat completion says: the assistant turn as one text, how it ended, how long it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from longstep.types import FinishReason

BYTES_PER_TOKEN = 4  # of an estimate, when a server does not count
SHOWN = 200  # characters of a server's words, in a message

Scrub = Callable[[str], str]


class Malformed(Exception):
    """Not a chat completion; the next try may give one."""


class Refused(Exception):
    """The server will not answer this request, however often it is asked; others it may."""


class Barred(Exception):
    """The server takes no request of ours, whatever is asked: its key, address, model or certificate is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One assistant turn.

    Attributes:
        text: thought and answer in one text, as a local model would have written it.
        finish_reason: how it ended.
        tokens: completion tokens as the server counted them, or ``None``.
        model: what the server calls itself, when that is not what it was asked for.
        ids: token ids, where they were asked for.
        logprobs: log-probability of each, where they were asked for.
    """

    text: str
    finish_reason: FinishReason
    tokens: int | None = None
    model: str | None = None
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None

    @property
    def by_ids(self) -> bool:
        """Whether more is known of its tokens than how many they are."""
        return bool(self.ids) or self.logprobs is not None

    @property
    def size(self) -> int:
        """Tokens, estimated from the bytes when the server did not count."""
        if self.tokens is not None:
            return self.tokens
        return math.ceil(len(self.text.encode()) / BYTES_PER_TOKEN)


def parse(content: bytes, scrub: Scrub, asked: str) -> Answer:
    """Read the first choice of a response.

    Args:
        content: the body, as it came.
        scrub: takes our key out of words that go into a message.
        asked: the model that was asked for.

    Raises:
        Malformed: it is torn, empty, in another encoding or of another form.
        Refused: a filter withheld the answer.
    """
    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        message, reason = choice["message"], choice["finish_reason"]
        answer = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        words = quoted(content.decode("utf-8", "replace"), scrub)
        raise Malformed(f"not a chat completion: {words!r}") from None
    if reason == "content_filter":
        raise Refused("finish_reason 'content_filter'")
    plain = isinstance(answer, str) and isinstance(thought, str)
    if reason not in ("stop", "length") or not plain:
        given = quoted(str(reason), scrub)
        raise Malformed(f"finish_reason {given!r}, expected 'stop' or 'length', with text")
    text = turn(thought, answer, reason)
    check_text(text)
    return Answer(text, reason, _counted(reply.get("usage")), other_name(reply, scrub, asked))


def check_text(text: str) -> None:
    """Refuse a text that is none.

    Raises:
        Malformed: it cannot be encoded.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed("the text holds half of a surrogate pair") from None


def other_name(reply: Mapping[str, Any], scrub: Scrub, asked: str) -> str | None:
    """What a server calls the model in its reply, when that is not what it was asked for."""
    named = reply.get("model")
    usual = named in (None, asked, f"{asked}@main")  # as transformers serve calls it
    return None if usual else quoted(str(named), scrub)


def quoted(words: str, scrub: Scrub) -> str:
    """The beginning of a server's words for a message: the key goes first, or a cut key would stay."""
    shown = scrub(words)[:SHOWN]
    return "".join(each if each.isprintable() else " " for each in shown)  # no terminal codes


def turn(thought: str, answer: str, reason: FinishReason) -> str:
    """Put a thought that came apart, or without its opening tag, back in front of the answer.

    A thought that was cut is not closed: an answer of blanks behind it is none.
    """
    if thought and not (answer.lstrip().startswith("<think>") and thought.strip() in answer):
        opened = thought if thought.lstrip().startswith("<think>") else f"<think>{thought}"
        if reason == "length" and not answer.strip():
            return opened
        closed = opened.rstrip().endswith("</think>")
        return f"{opened}{answer}" if closed else f"{opened}</think>{answer}"
    before, closing, _ = answer.partition("</think>")
    if closing and "<think>" not in before:
        return f"<think>{answer}"
    return answer


def _counted(usage: Any) -> int | None:
    number = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return number if type(number) is int and 0 <= number < 2**31 else None
