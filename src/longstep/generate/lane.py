"""One endpoint: its state, one request to it, and what its answer means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from longstep.generate.answer import Answer, Barred, Malformed, Refused, Scrub, parse
from longstep.generate.breaker import Breaker
from longstep.generate.parameters import Names, as_sent
from longstep.generate.transport import Address, Overdue, Reply, Transport
from longstep.generate.window import Window

TOKENS, SECONDS = 16, 60.0  # of a request that only finds out whether the endpoint answers
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Channel:
    """What is asked of an endpoint, and how it answers.

    Attributes:
        path: behind the base of the API.
        read: an answer from the bytes that came, what takes our key out of words, the model and the body that were
            asked.
    """

    path: str
    read: Callable[[bytes, Scrub, str, Body], Answer]


CHAT = Channel(
    "/chat/completions", lambda content, scrub, model, body: parse(content, scrub, model)
)


class _Later(Exception):
    """The endpoint did not answer; ``wait`` is how many seconds it asks for, if it does."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


class Busy(_Later):
    """It turned us away (429)."""


class Failed(_Later):
    """It failed inside (5xx)."""


@dataclass
class Lane:
    """One endpoint and its state; times are those of ``time.monotonic``.

    Attributes:
        address: where it is.
        model: its name for the model.
        transport: sends requests.
        breaker: whether it rests after failures.
        window: how many requests it is sent at once.
        paused_until: it asked not to be asked before.
        turned_away: overloads in a row.
        silent_since: since when it has been down or taken no requests.
        answered: answers.
        failed: failures, refusals and overloads apart.
        last: what it said when it last took no request.
        barred: why it is not asked again in this run; empty while it is.
        overdue: what it was asked when it last gave no answer in time; ``None`` once it speaks again.
        served: whether it ever answered, if only when it was probed.
        parameters: what it calls those of a request.
        names: what it called itself, when not as it was asked for; ``None`` stands for the right name.
        way: what it is asked.
    """

    address: Address
    model: str
    transport: Transport
    breaker: Breaker
    window: Window
    paused_until: float = 0.0
    turned_away: int = 0
    silent_since: float | None = None
    answered: int = 0
    failed: int = 0
    last: str = ""
    barred: str = ""
    overdue: Body | None = None
    served: bool = False
    parameters: Names = field(default_factory=dict)
    names: set[str | None] = field(default_factory=lambda: {None})
    way: Channel = CHAT

    def ready(self, now: float) -> bool:
        """Whether it may be asked."""
        free = self.window.free and not self.barred
        return free and now >= self.paused_until and self.breaker.allows(now)

    def wakes(self, now: float) -> float:
        """Seconds until a rest or pause ends; infinite when neither is on."""
        ends = max(self.paused_until, self.breaker.opens_at or 0.0)
        return ends - now if ends > now else float("inf")

    def pause(self, now: float, seconds: float | None) -> None:
        """Do not ask it for so long; a longer pause that is on stays."""
        self.paused_until = max(self.paused_until, now + (seconds or 0.0))

    def spoke(self) -> None:
        """It answered, if only to refuse: it is there and takes requests."""
        self.breaker.succeeded()
        self.silent_since, self.turned_away, self.overdue = None, 0, None


async def ask(lane: Lane, body: Body) -> Answer:
    """Send one request and read the answer, or say what its failure means."""
    answer = lane.way.read(await send(lane, body), lane.transport.scrub, lane.model, body)
    return replace(answer, text=lane.transport.scrub_answer(answer.text))


async def send(lane: Lane, body: Body) -> bytes:
    """Send one request in the words of this endpoint; gives what it answers, or says what its failure means."""
    asked = {"model": lane.model, **as_sent(body, lane.parameters)}
    reply = await lane.transport.post(lane.way.path, asked)
    judge_status(lane.address.url, reply, lane.served)
    return reply.content


async def check_up(lane: Lane, body: Body) -> None:
    """Ask an endpoint that rests for the first few tokens: a request that takes too long may be alone in that.

    Raises:
        Overdue: not even these come.
    """
    try:
        async with asyncio.timeout(SECONDS):
            await ask(lane, {**body, "max_tokens": TOKENS})
    except TimeoutError:
        raise Overdue(f"no answer of {TOKENS} tokens within {SECONDS:g} s") from None
    except (Refused, Malformed):
        return  # it speaks


def judge_status(url: str, reply: Reply, served: bool) -> None:
    """Pass a 200; anything else is an exception that says whose fault it is.

    Args:
        url: of the endpoint, for messages.
        reply: what it answered.
        served: whether it answered before: then a 403 may be about this prompt, and a 404 may pass.

    Raises:
        Busy: 429. Failed: 5xx and 408.
        Refused: 400 and others that are about one request.
        Barred: what concerns all requests: key, model, address, redirect.
    """
    status, words = reply.status, f"status {reply.status}: {reply.said}"
    if status == 200:
        return
    if status == 429:
        raise Busy(words, reply.retry_after)
    if status in (408, 425) or status >= 500 or (served and status in (403, 404)):
        raise Failed(words, reply.retry_after)
    if 300 <= status < 400:
        raise Barred(
            f"{url}: it points to {reply.location!r} (status {status}); redirects are not followed,"
            " so that key and prompts go nowhere else: give the final address"
        )
    if status in (401, 402, 403, 404, 405, 407):
        raise Barred(f"{url}: the server refused with {words}")
    raise Refused(words)
