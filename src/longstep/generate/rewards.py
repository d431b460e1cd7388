"""Rewards of conversations from a server: vLLM's ``/pooling`` with ``messages``, one conversation a request."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longstep.config import UserError
from longstep.generate.answer import Barred, Malformed, Refused, quoted
from longstep.generate.lane import Busy, Failed, judge_status
from longstep.generate.transport import Address, Broken, Overdue, Transport, Unreachable

Conversation = Sequence[Mapping[str, str]]
PATH = "/pooling"
MOST_BYTES = 1 << 20
#: Numbers in one answer; more are no rewards of steps.
MOST_NUMBERS = 10_000
BACKOFF, LONGEST_WAIT = 0.5, 30.0  # seconds


@dataclass(frozen=True)
class RewardServer:
    """A server that rates conversations.

    Attributes:
        address: its base, to which ``/pooling`` is added, and the name of its model.
        timeout: seconds for a request.
        concurrency: requests at once.
        max_retries: more tries after one that failed in a way that may pass.
    """

    address: Address
    timeout: float
    concurrency: int
    max_retries: int

    def rewards(self, asked: Sequence[Conversation]) -> list[list[float]]:
        """Numbers of each conversation: one for a whole answer, or one a step.

        Raises:
            UserError: the server refuses, does not answer, or answers with something else.
        """
        return asyncio.run(self._rewards(asked))

    async def _rewards(self, asked: Sequence[Conversation]) -> list[list[float]]:
        transport = Transport(self.address, self.timeout, MOST_BYTES)
        free = asyncio.Semaphore(self.concurrency)

        async def one(conversation: Conversation) -> list[float]:
            async with free:
                return await self._tried(transport, conversation)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(each)) for each in asked]
        except* UserError as several:
            raise _first(several) from None
        finally:
            await transport.close()
        return [task.result() for task in tasks]

    async def _tried(self, transport: Transport, conversation: Conversation) -> list[float]:
        """Ask until it answers, or until nothing is left to hope for."""
        url, said, wait = self.address.url + PATH, "", None
        for tries in range(self.max_retries + 1):
            if tries:
                await asyncio.sleep(min(wait or BACKOFF * 2 ** (tries - 1), LONGEST_WAIT))
            try:
                body = {"model": self.address.model, "messages": [dict(m) for m in conversation]}
                reply = await transport.post(PATH, body)
                judge_status(url, reply, served=False)
                return parse_rewards(reply.content, transport)
            except (Busy, Failed) as failure:
                said, wait = str(failure), failure.wait
            except (Unreachable, Overdue, Broken) as failure:
                said, wait = str(failure), None
            except (Barred, Refused, Malformed) as failure:
                said = str(failure)
                break
        raise UserError(
            f"{url}: gave no reward: {said.removeprefix(f'{url}: ')}; expected vLLM's pooling API of a reward model "
            "that takes messages"
        )


def parse_rewards(content: bytes, transport: Transport) -> list[float]:
    """Read ``data[0].data``: one number, or a row of numbers a step, whose last is that of a right step.

    Raises:
        Malformed: it is something else, or not finite.
    """
    try:
        reply: Any = json.loads(content)
        rows = reply["data"][0]["data"]
        single = len(rows) == 1 and not isinstance(rows[0], list)
        values = rows if single else [row[-1] for row in rows]
        plain = all(type(value) in (int, float) for value in values)
        numbers = [float(value) for value in values] if plain else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        numbers = []
    if not 0 < len(numbers) <= MOST_NUMBERS or not all(map(math.isfinite, numbers)):
        words = quoted(content.decode("utf-8", "replace"), transport.scrub)
        raise Malformed(f"it answered {words!r}")
    return numbers


def _first(several: BaseExceptionGroup[UserError]) -> UserError:
    found: BaseException = several
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, UserError)
    return found
