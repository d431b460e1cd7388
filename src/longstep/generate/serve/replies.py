"""What an answer, or a refusal, looks like."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from longstep.generate.serve.asked import ChatRequest, Settings, TextRequest
from longstep.types import Completion


def chat_reply(request: ChatRequest, choices: Sequence[Completion]) -> dict[str, Any]:
    """Answers to a conversation."""
    said = [{"message": {"role": "assistant", "content": row.text}} for row in choices]
    return _reply(request, "chat.completion", "chatcmpl", choices, said)


def text_reply(request: TextRequest, choices: Sequence[Completion]) -> dict[str, Any]:
    """Continuations, those of the first text first."""
    said = [{"text": row.text, "logprobs": None} for row in choices]
    return _reply(request, "text_completion", "cmpl", choices, said)


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
    count = sum(len(row.token_ids) for row in rows)
    return {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}
