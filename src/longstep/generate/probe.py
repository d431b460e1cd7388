"""What a server honours: some answer 200 while ignoring ``n``, ``logprobs`` or ``seed``, so they are asked once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

from longstep.config import Strict
from longstep.generate.answer import Malformed, Refused, parse
from longstep.generate.lane import SECONDS, TOKENS, Busy, Failed, Lane, send
from longstep.generate.parameters import left_out
from longstep.generate.transport import Broken, Overdue, Unreachable

Honour = Literal["honoured", "ignored", "refused", "unknown"]


class Features(Strict):
    """What one server was seen to do.

    Attributes:
        n: several choices to one request; longstep never needs it.
        logprobs: log-probabilities of the tokens.
        seed: the same seed gave the same text twice. A server that always says the same passes too.
        usage: it counts its tokens.
        answers_as: the model name in its answers, when it is another than was asked for.
        trouble: why it could not be asked.
    """

    n: Honour = "unknown"
    logprobs: Honour = "unknown"
    seed: Honour = "unknown"
    usage: Honour = "unknown"
    answers_as: str | None = None
    trouble: str | None = None


async def probe(lane: Lane, question: str) -> Features:
    """Ask for the beginning of an answer twice, the same in all, and plainly if the server refuses the extras.

    Args:
        lane: the server.
        question: one of those that will be asked: some servers know no others.

    Raises:
        Barred: the server refuses every request: its key, address, model or certificate is wrong.
    """
    plain = {
        "messages": [{"role": "user", "content": question}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": TOKENS,
        "seed": 1,
    }
    try:
        async with asyncio.timeout(SECONDS):
            extras, first, again = await _twice(lane, plain)
        scrub = lane.transport.scrub
        told = parse(again, scrub, lane.model)
        same = parse(first, scrub, lane.model).text == told.text
    except TimeoutError:
        return Features(trouble=f"it did not answer within {SECONDS:g} s")
    except (Unreachable, Overdue, Broken, Busy, Failed, Malformed, Refused) as failure:
        return Features(trouble=str(failure))
    said = json.loads(first)
    seen: dict[str, Honour] = {
        "n": "honoured" if len(said["choices"]) == 2 else extras,
        "logprobs": "honoured" if _has_logprobs(said["choices"][0]) else extras,
        "seed": "honoured" if same else "ignored",
    }
    for name in seen.keys() & left_out(lane.parameters):
        seen[name] = "unknown"  # it was not asked
    return Features(
        **seen,
        usage="ignored" if told.tokens is None else "honoured",
        answers_as=told.model,
    )


async def _twice(lane: Lane, plain: dict[str, Any]) -> tuple[Honour, bytes, bytes]:
    """What becomes of extras that are not honoured, and two responses to one request."""
    extended = {**plain, "n": 2, "logprobs": True}
    try:
        return "ignored", await send(lane, extended), await send(lane, extended)
    except Refused:
        return "refused", await send(lane, plain), await send(lane, plain)


def _has_logprobs(choice: dict[str, Any]) -> bool:
    found = choice.get("logprobs")
    return isinstance(found, dict) and bool(found.get("content"))


def warnings(lane: Lane, features: Features) -> Iterator[str]:
    """One sentence for each thing that a user should know before spending."""
    url = lane.address.url
    if features.trouble:
        yield f"{url}: could not be probed: {features.trouble}"
    if features.seed == "ignored":
        yield f"{url}: ignores 'seed' (one seed gave two texts), so its samples cannot be drawn again"
    if features.answers_as:
        yield f"{url}: asked for model {lane.model!r}, it answers as {features.answers_as!r}"
