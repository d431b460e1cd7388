"""Completions from an OpenAI-compatible endpoint: one seeded request each, retried, in order."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from longstep.config import Field, Strict, UserError, field_validator
from longstep.generate.base import Prompt, Sampling
from longstep.generate.batches import Row, plan_batches
from longstep.generate.noise import row_key
from longstep.types import Completion, FinishReason

if TYPE_CHECKING:
    import httpx

AHEAD = 4  # requests kept in flight or waiting their turn, times the concurrency
LONGEST_WAIT = 60.0  # seconds


class Endpoint(Strict):
    """Where completions come from.

    Attributes:
        url: base of the API, such as ``http://host:8000/v1``.
        model: the name the server knows the model by.
        api_key_env: environment variable holding the key; the key itself is never written anywhere.
        concurrency: requests in flight.
        timeout: seconds to wait for the server between bytes.
        max_retries: further tries after a failure that may pass.
        backoff: seconds before the first retry, doubled each time, unless the server says how long.
        max_response_bytes: a longer response is refused.
    """

    url: str
    model: str
    api_key_env: str | None = None
    concurrency: int = Field(default=16, ge=1)
    timeout: float = Field(default=600.0, gt=0)
    max_retries: int = Field(default=6, ge=0)
    backoff: float = Field(default=1.0, ge=0)
    max_response_bytes: int = Field(default=16_000_000, ge=1)

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("expected http(s)://host/v1 without a name or key in it")
        return url.rstrip("/")


class _Passing(Exception):
    """A failure that may pass; ``wait`` is what the server asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class EndpointGenerator:
    """Draws completions over HTTP; ids stay empty, for a server gives text. See ``Generator``."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Read the key from the environment."""
        self.endpoint = endpoint
        self._key = ""
        if endpoint.api_key_env:
            self._key = os.environ.get(endpoint.api_key_env, "")
            if not self._key:
                raise UserError(
                    f"environment variable {endpoint.api_key_env} is not set;"
                    f" {endpoint.url} needs the key it should hold"
                )

    def describe(self) -> dict[str, Any]:
        """Name the endpoint and the model it serves."""
        return {"engine": "endpoint", "url": self.endpoint.url, "model": self.endpoint.model}

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        """Ask for all completions and give them in canonical order, whatever order they arrive in.

        Requests advance on their own event loop while the caller waits for the next completion.
        """
        if sampling.logprobs:
            raise UserError("an endpoint gives no log-probabilities; leave 'logprobs' false")
        rows = [row for batch in plan_batches(prompts, sampling) for row in batch.rows]
        for row in rows:
            if not row.prompt.text:
                raise UserError(f"problem {row.prompt.problem_id!r} has no text to send")
        return self._stream(rows, sampling)

    def _stream(self, rows: list[Row], sampling: Sampling) -> Iterator[Completion]:
        with asyncio.Runner() as runner:
            session = runner.run(_open(self, sampling))
            waiting: deque[asyncio.Task[Completion]] = deque()
            upcoming = iter(rows)
            try:
                while True:
                    while len(waiting) < AHEAD * self.endpoint.concurrency:
                        if (row := next(upcoming, None)) is None:
                            break
                        waiting.append(runner.get_loop().create_task(session.complete(row)))
                    if not waiting:
                        return
                    yield runner.run(_result(waiting[0]))
                    waiting.popleft()
            finally:
                runner.run(session.close(waiting))


class _Session:
    """One client, its limit on concurrent requests, and how one completion is asked for."""

    def __init__(self, generator: EndpointGenerator, sampling: Sampling) -> None:
        import httpx

        self.endpoint = generator.endpoint
        self.sampling = sampling
        self.key = generator._key
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # Redirects are not followed: key and prompts go to the configured host only.
        self.client = httpx.AsyncClient(
            timeout=self.endpoint.timeout, headers=headers, follow_redirects=False
        )
        self.turn = asyncio.Semaphore(self.endpoint.concurrency)

    async def close(self, tasks: Sequence[asyncio.Task[Completion]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.aclose()

    async def complete(self, row: Row) -> Completion:
        """Ask until an answer comes, the tries are used up, or the server refuses for good."""
        body = self._body(row)
        problem = f"problem {row.prompt.problem_id!r}, sample {row.sample_index}"
        where = f"{self.endpoint.url}, {problem}"
        async with self.turn:
            for attempt in range(self.endpoint.max_retries + 1):
                try:
                    return _completion(row, _parse(await self._post(body, where)))
                except _Passing as failure:
                    if attempt == self.endpoint.max_retries:
                        raise UserError(
                            f"{where}: gave up after {attempt + 1} tries: {failure};"
                            " check the server, then run again: finished work is kept"
                        ) from None
                    wait = (
                        self.endpoint.backoff * 2**attempt if failure.wait is None else failure.wait
                    )
                    await asyncio.sleep(min(wait, LONGEST_WAIT))
        raise AssertionError("unreachable: every try returns or raises")

    def _body(self, row: Row) -> dict[str, Any]:
        sampling = self.sampling
        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": row.prompt.text}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            # 31 bits: some servers read the seed as a signed 32-bit number
            "seed": row_key(sampling.seed, row.prompt.problem_id, row.sample_index) & 0x7FFFFFFF,
        }
        return body if sampling.top_k is None else body | {"top_k": sampling.top_k}

    async def _post(self, body: dict[str, Any], where: str) -> bytes:
        import httpx

        url = f"{self.endpoint.url}/chat/completions"
        try:
            async with self.client.stream("POST", url, json=body) as response:
                content = await self._read(response, where)
        except httpx.TransportError as error:
            raise _Passing(f"{type(error).__name__} {error}".rstrip()) from None
        status = response.status_code
        if status == 200:
            return content
        said = content[:500].decode("utf-8", "replace")
        if self.key:
            said = said.replace(self.key, "***")
        if status in (408, 429) or status >= 500:
            raise _Passing(f"status {status}: {said}", _retry_after(response))
        if 300 <= status < 400:
            said = f"it points to {response.headers.get('location')!r}; redirects are not followed"
        raise UserError(f"{where}: the server refused with status {status}: {said}")

    async def _read(self, response: httpx.Response, where: str) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > self.endpoint.max_response_bytes:
                raise UserError(
                    f"{where}: the response exceeds max_response_bytes"
                    f" {self.endpoint.max_response_bytes}; lower max_tokens or raise the limit"
                )
        return bytes(content)


async def _open(generator: EndpointGenerator, sampling: Sampling) -> _Session:
    return _Session(generator, sampling)


async def _result(task: asyncio.Task[Completion]) -> Completion:
    return await task


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds the server asks for; the header's other form, a date, is left to the backoff."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _parse(content: bytes) -> tuple[str, FinishReason]:
    """Give the assistant turn and its finish reason; a malformed answer may pass."""
    try:
        choice = json.loads(content)["choices"][0]
        message, reason = choice["message"], choice["finish_reason"]
        answer = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _Passing(f"not a chat completion: {content[:200]!r}") from None
    if (
        reason not in ("stop", "length")
        or not isinstance(answer, str)
        or not isinstance(thought, str)
    ):
        raise _Passing(f"finish_reason {reason!r}, expected 'stop' or 'length', with text")
    return _turn(thought, answer, reason), reason


def _turn(thought: str, answer: str, reason: FinishReason) -> str:
    """Put a thought that came apart, or without its opening tag, back in front of the answer."""
    if thought:
        cut = reason == "length" and not answer
        return f"<think>{thought}" if cut else f"<think>{thought}</think>{answer}"
    if "</think>" in answer and "<think>" not in answer:
        return f"<think>{answer}"
    return answer


def _completion(row: Row, parsed: tuple[str, FinishReason]) -> Completion:
    text, reason = parsed
    return Completion(row.prompt.problem_id, row.sample_index, (), (), text, reason)
