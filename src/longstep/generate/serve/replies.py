"""What an answer, or a refusal, looks like."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from longstep.generate.serve.asked import ChatRequest, Settings, TextRequest
from longstep.generate.serve.worker import PickedAnswer
from longstep.generate.stops import Decode
from longstep.types import Completion


def chat_reply(
    request: ChatRequest, choices: Sequence[Completion], chosen: PickedAnswer | None = None
) -> dict[str, Any]:
    """Answers to a conversation; of one that was chosen ``usage`` counts what all the others took, too."""
    said = [{"message": {"role": "assistant", "content": row.text}} for row in choices]
    reply = _reply(request, "chat.completion", "chatcmpl", choices, said)
    if chosen is None:
        return reply
    asked = len(chosen.completion.prompt_ids)
    usage = _counts(asked, chosen.tokens)
    return {**reply, "usage": {**usage, "completion_tokens_details": dict(chosen.details)}}


def text_reply(
    request: TextRequest, choices: Sequence[Completion], decode: Decode | None
) -> dict[str, Any]:
    """Continuations, those of the first text first; ids, as vLLM names them, where they are asked for."""
    said = [{"text": row.text, "logprobs": _logprobs(row, decode)} for row in choices]
    if request.return_token_ids:
        for words, row in zip(said, choices, strict=True):
            words |= {"token_ids": row.token_ids, "prompt_token_ids": row.prompt_ids}
    return _reply(request, "text_completion", "cmpl", choices, said)


def _logprobs(row: Completion, decode: Decode | None) -> dict[str, Any] | None:
    if row.logprobs is None or decode is None:
        return None
    tokens = [decode([token]) for token in row.token_ids]
    return {"tokens": tokens, "token_logprobs": row.logprobs, "top_logprobs": None}


def error_reply(status: int, message: str) -> dict[str, Any]:
    """A refusal, in the form that OpenAI's clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _reply(
    request: Settings,
    what: str,
    letters: str,
    rows: Sequence[Completion],
    said: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    choices = [
        {"index": number, **words, "finish_reason": row.finish_reason}
        for number, (row, words) in enumerate(zip(rows, said, strict=True))
    ]
    reply = {
        "id": f"{letters}-{secrets.token_hex(8)}",
        "object": what,
        "created": int(time.time()),
        "model": request.model,
        "choices": choices,
    }
    # Without ids nobody counted: no usage is said, rather than a wrong one.
    counted = any(row.token_ids for row in rows)
    return {**reply, "usage": _usage(rows, request.n)} if counted else reply


def _usage(rows: Sequence[Completion], choices: int) -> dict[str, int]:
    """Tokens; a prompt is counted once, however many choices it has."""
    asked = sum(len(row.prompt_ids) for row in rows[::choices])
    return _counts(asked, sum(len(row.token_ids) for row in rows))


def _counts(asked: int, count: int) -> dict[str, int]:
    return {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}
