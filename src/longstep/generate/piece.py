"""A piece of an answer from a server: what is asked, what comes, and whether it can be what was asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longstep.generate.answer import (
    Answer,
    Malformed,
    Refused,
    Scrub,
    check_text,
    other_name,
    quoted,
)
from longstep.generate.base import Continuation, Continued, Sampling
from longstep.generate.lane import Body, Channel
from longstep.generate.noise import row_key
from longstep.types import SegmentFinish


@dataclass(frozen=True)
class Vocabulary:
    """What is known here of the tokens of the model behind a server.

    Attributes:
        decode: text of ids, control tokens and all.
        stop_ids: ids that end a turn.
        size: ids are below it.
    """

    decode: Callable[[Sequence[int]], str]
    stop_ids: frozenset[int]
    size: int


def piece_body(prompt: Sequence[int], tokens: Vocabulary) -> dict[str, Any]:
    """What every request for a piece says, in vLLM's words."""
    return {
        "prompt": list(prompt),
        "return_token_ids": True,
        "skip_special_tokens": False,
        "stop_token_ids": sorted(tokens.stop_ids),
    }


def body_of(ask: Continuation, how: Sampling, tokens: Vocabulary, named: bool) -> dict[str, Any]:
    """A request for one piece; with ``named`` its noise is named, too, for a server that knows that word."""
    (name, index), at = ask.noise, len(ask.ids)
    body = piece_body((*ask.prompt.prompt_ids, *ask.ids), tokens) | {
        "temperature": how.temperature,
        "top_p": how.top_p,
        "max_tokens": ask.most,
        # A server begins its noise anew at every request, so every place of a stream has a seed of its own; a whole
        # answer has that of a plain draw. 31 bits: some servers read the seed as a signed 32-bit number.
        "seed": row_key(how.seed, f"{name}\0@{at}" if at else name, index) & 0x7FFFFFFF,
    }
    if how.top_k is not None:
        body["top_k"] = how.top_k
    if ask.after:
        body |= stop_at(ask.after)
    if how.logprobs:
        body["logprobs"] = 1
    if named:
        body["noise"] = {"seed": how.seed, "name": name, "index": index, "at": at}
    return body


def stop_at(texts: Sequence[str]) -> dict[str, Any]:
    """The part of a request that ends a piece behind one of some texts."""
    return {"stop": list(texts), "include_stop_str_in_output": True}


def way_of(tokens: Vocabulary) -> Channel:
    """Pieces are asked for here; what cannot be one is as if it were torn, and asked for again."""

    def read(content: bytes, scrub: Scrub, model: str, body: Body) -> Answer:
        answer = parse_piece(content, scrub, model)
        if fault := fault_of(answer, body, tokens):
            raise Malformed(fault)
        return answer

    return Channel("/completions", read)


def parse_piece(content: bytes, scrub: Scrub, asked: str) -> Answer:
    """Read the first choice of a response to a request for token ids.

    Raises:
        Malformed: it is torn, of another form, or tells no ids.
        Refused: a filter withheld the answer.
    """
    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        text, reason, ids = choice["text"], choice["finish_reason"], choice.get("token_ids")
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        words = quoted(content.decode("utf-8", "replace"), scrub)
        raise Malformed(f"not a completion: {words!r}") from None
    if reason == "content_filter":
        raise Refused("finish_reason 'content_filter'")
    if reason not in ("stop", "length") or not isinstance(text, str):
        raise Malformed(
            f"finish_reason {quoted(str(reason), scrub)!r}, expected 'stop' or 'length', with text"
        )
    check_text(text)
    if not isinstance(ids, list) or any(type(each) is not int for each in ids):
        raise Malformed("it tells no token_ids of its answer (return_token_ids is not honoured)")
    other = other_name(reply, scrub, asked)
    return Answer(text, reason, len(ids), other, tuple(ids), _numbers(logprobs))


def _numbers(given: Any) -> tuple[float, ...] | None:
    """Log-probabilities, when all of them are."""
    if not isinstance(given, list):
        return None
    sound = all(
        type(each) in (int, float) and math.isfinite(each) and each < 1e-3 for each in given
    )
    return tuple(map(float, given)) if sound else None


def fault_of(answer: Answer, body: Mapping[str, Any], tokens: Vocabulary) -> str:
    """Why an answer cannot be what was asked for; empty when it can."""
    ids, most = answer.ids, body["max_tokens"]
    if len(ids) > most:
        return f"it sent {len(ids)} tokens where {most} were asked for at most"
    if fault := strange_id(answer, tokens):
        return fault
    if not tokens.stop_ids.isdisjoint(ids[:-1]):
        return "it wrote on behind the end of its turn"
    stops = body.get("stop", ())
    before = tokens.decode(ids[:-1]) if stops else ""
    if over := [text for text in stops if text in before]:
        return f"it wrote on behind {over[0]!r}, where it was asked to stop"
    ended = bool(ids) and ids[-1] in tokens.stop_ids
    if answer.finish_reason == "length" and len(ids) < most and not ended:
        return (
            f"it stopped after {len(ids)} of {most} tokens without an end: its context may be full"
        )
    if "logprobs" in body and (answer.logprobs is None or len(answer.logprobs) != len(ids)):
        return "it sent no log-probability for each of its tokens"
    return ""


def strange_id(answer: Answer, tokens: Vocabulary) -> str:
    """What is wrong with an answer that holds an id which nobody knows; empty when it holds none."""
    for each in answer.ids:
        if not 0 <= each < tokens.size:
            return f"it sent token id {each}, and the tokenizer has ids from 0 to {tokens.size - 1}"
    return ""


def continued(ask: Continuation, answer: Answer, tokens: Vocabulary) -> Continued:
    """What a sound answer adds; its text is read from the ids, here."""
    ids, decode = answer.ids, tokens.decode
    finish: SegmentFinish = "cut"
    shown = ids
    if ids and ids[-1] in tokens.stop_ids:
        finish, shown = "stop", ids[:-1]
    elif any(text in decode(ids) for text in ask.after):
        finish = "after"
    elif answer.finish_reason == "stop":
        finish = "stop"  # the server keeps the token that ended the turn to itself
    before, whole = decode(ask.ids), decode((*ask.ids, *shown))
    # A character of several tokens may be cut at the border; then the piece is read by itself.
    text = whole[len(before) :] if whole.startswith(before) else decode(shown)
    return Continued(ids, text, finish, answer.logprobs)
