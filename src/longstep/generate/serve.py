"""A small OpenAI-compatible server around any generator; what it does not support it refuses, never ignores."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import secrets
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from longstep.config import Field, Strict, UserError, ValidationError
from longstep.generate.base import Generator, Prompt, Sampling, canonical
from longstep.generate.batches import Batch, Batched
from longstep.types import Completion

MAX_BODY = 4_000_000
IDLE_SECONDS = 60.0  # a connection that says nothing this long is closed
BATCH = 64
_TOKEN = re.compile(r"\s*(?:</?\w+>|\\?[^\W\d_]+|\S)|\s+")


class Message(Strict):
    """The question."""

    role: Literal["user"]
    content: str


class Request(Strict):
    """What may be asked; any other field is refused.

    Attributes:
        messages: one question; a model trained by longstep knows no system prompt and no second turn.
        seed: with the question it fixes the answer; without one a number is drawn.
        max_completion_tokens: the new name of ``max_tokens``.
        n: one choice; ask again with another seed for another.
        logprobs: not given.
        stream: the answer comes whole.
    """

    model: str
    messages: tuple[Message] = Field(min_length=1, max_length=1)
    temperature: float = Field(default=1.0, ge=0, le=100)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    stream: Literal[False] | None = None


@dataclass
class Served:
    """What is served.

    Attributes:
        model: the name it is asked for by.
        generator: draws the answers.
        prompt: turns a question into what the generator continues, under a given id; a ``UserError`` refuses it.
            Its noise is named apart, by question and seed.
        context: tokens of question and answer together; an answer may fill it when a request sets no limit.
    """

    model: str
    generator: Generator
    prompt: Callable[[str, str], Prompt]
    context: int = 1_000_000


@dataclass
class _Waiting:
    """A request on its way through the worker."""

    prompt: Prompt
    sampling: Sampling
    done: threading.Event = field(default_factory=threading.Event)
    completion: Completion | None = None
    error: str = ""


class Refusal(Exception):
    """A request is refused with this status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Worker:
    """One thread that answers what waits, equal settings together in a batch.

    An answer depends on question, settings and seed; on the rest of its batch only in the last bits of a float, as
    padding moves them.
    """

    def __init__(self, source: Served) -> None:
        self._source = source
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def answer(self, request: Request) -> Completion:
        """Wait for the answer.

        Raises:
            Refusal: the generator refuses the request.
        """
        seed = secrets.randbits(31) if request.seed is None else request.seed
        question = request.messages[0].content
        name = hashlib.blake2b(question.encode(), digest_size=8).hexdigest()
        try:
            prompt = self._source.prompt(question, name)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        # The key carries the request's seed, because one batch has one sampling: noise follows from seed and key.
        prompt = replace(prompt, key=f"{seed}-{name}")
        room = max(1, self._source.context - len(prompt.prompt_ids))
        sampling = Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            max_tokens=request.max_completion_tokens or request.max_tokens or room,
            batch_size=BATCH,
        )
        return self._wait(_Waiting(prompt, sampling))

    def _wait(self, waiting: _Waiting) -> Completion:
        self._queue.put(waiting)
        while not waiting.done.wait(1.0):
            if not self._thread.is_alive():  # the generator raised; its traceback is in our log
                raise Refusal(500, "the generator failed")
        if waiting.completion is None:
            raise Refusal(400, waiting.error)
        return waiting.completion

    def close(self) -> None:
        """Finish what waits and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            groups: dict[Sampling, list[_Waiting]] = defaultdict(list)
            groups[first.sampling].append(first)
            ended = False
            while not self._queue.empty():
                if (more := self._queue.get()) is None:
                    ended = True
                    break
                groups[more.sampling].append(more)
            for group in groups.values():
                for start in range(0, len(group), BATCH):
                    self._answer(group[start : start + BATCH])
            if ended:
                return

    def _answer(self, group: Sequence[_Waiting]) -> None:
        """Answer a batch; if the generator refuses it, one by one, so that only the culprit is refused."""
        prompts = canonical({each.prompt.name: each.prompt for each in group}.values())
        try:
            drawn = self._source.generator.draw(prompts, group[0].sampling)
            by_name = dict(zip((prompt.name for prompt in prompts), drawn, strict=True))
        except UserError as error:
            if len(prompts) > 1:
                for each in group:
                    self._answer([each])
                return
            for each in group:
                each.error = str(error)
                each.done.set()
            return
        for each in group:
            each.completion = by_name[each.prompt.name]
            each.done.set()


class Server(ThreadingHTTPServer):
    """Serves one source; ``server_port`` is the port, also when 0 was asked for."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, source: Served, host: str, port: int, api_key_env: str | None = None
    ) -> None:
        """Bind.

        Raises:
            UserError: the address is in use, or the key's variable is not set.
        """
        self.source = source
        self.key = os.environ.get(api_key_env, "") if api_key_env else ""
        if api_key_env and not self.key:
            raise UserError(
                f"environment variable {api_key_env} is not set; it should hold the key"
            )
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UserError(f"{host}:{port}: cannot listen there: {error.strerror}") from None
        self.worker = Worker(source)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Health and the list of models."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """A chat completion."""
        self._respond(self._post)

    def _respond(self, act: Callable[[], dict[str, Any]]) -> None:
        try:
            status, content = 200, act()
        except Refusal as refusal:
            self.close_connection = True  # its body may not have been read
            status = refusal.status
            content = {"error": {"message": str(refusal), "type": "invalid_request_error"}}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _get(self) -> dict[str, Any]:
        if self.path == "/health":
            return {"status": "ok"}
        self._check_key()
        if self.path == "/v1/models":
            served = {"id": self.server.source.model, "object": "model", "owned_by": "longstep"}
            return {"object": "list", "data": [served]}
        raise Refusal(404, f"nothing is served at {self.path}")

    def _post(self) -> dict[str, Any]:
        self._check_key()
        if self.path != "/v1/chat/completions":
            raise Refusal(404, f"nothing is served at {self.path}")
        request = _understood(self._body())
        if request.model != self.server.source.model:
            raise Refusal(404, f"model {request.model!r} is not served here")
        return _reply(request, self.server.worker.answer(request))

    def _check_key(self) -> None:
        given = self.headers.get("Authorization", "").encode()
        if self.server.key and not compare_digest(given, f"Bearer {self.server.key}".encode()):
            raise Refusal(401, "a key is needed")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refusal(411, "Content-Length is needed")
        if int(length) > MAX_BODY:
            raise Refusal(413, f"a request may have {MAX_BODY} bytes")
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: questions and keys belong in no log."""


def _understood(body: bytes) -> Request:
    try:
        request = Request.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        unknown = first["type"] == "extra_forbidden"
        said = "is not supported here" if unknown else first["msg"]
        raise Refusal(400, f"{place}: {said}") from None
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise Refusal(400, "max_tokens and max_completion_tokens are one setting; send one")
    return request


def _reply(request: Request, completion: Completion) -> dict[str, Any]:
    count, asked = len(completion.token_ids), len(completion.prompt_ids)
    usage = {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}
    message = {"role": "assistant", "content": completion.text}
    choice = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
    reply = {
        "id": f"chatcmpl-{secrets.token_hex(8)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
    }
    # Without ids nobody counted: no usage is said, rather than a wrong one.
    return {**reply, "choices": [choice], **({"usage": usage} if count else {})}


class Worked(Batched):
    r"""A generator that knows its answers: text by question, cut after ``max_tokens``.

    Its tokens are tags, words, digits and signs, so that counts are near those of a real tokenizer.
    """

    def __init__(self, answers: dict[str, str]) -> None:
        """Take the answers."""
        self.answers = answers

    def prompt(self, question: str, name: str) -> Prompt:
        """Accept a question that has an answer.

        Raises:
            UserError: it has none.
        """
        if question not in self.answers:
            raise UserError(f"no worked solution is known to the question {question[:60]!r}")
        return Prompt(name, text=question)

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Give the answers; temperature and seed change nothing, for there is one answer."""
        rows: list[Completion] = []
        for row in batch.rows:
            tokens = _TOKEN.findall(self.answers[row.prompt.text])
            kept = tokens[: sampling.max_tokens]
            reason = "stop" if kept == tokens else "length"
            ids, text = tuple(range(len(kept))), "".join(kept)
            rows.append(Completion(row.prompt.problem_id, row.sample_index, (), ids, text, reason))
        return rows

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "worked"}


def serve(
    source: Served,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_env: str | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        source: what is served.
        host: where; other machines reach it only when this is changed.
        port: 0 takes a free one.
        api_key_env: environment variable with the key that requests must carry.
        ready: told the URL once it listens.

    Raises:
        UserError: the address is in use.
    """
    server = Server(source, host, port, api_key_env)
    ready(f"http://{host}:{server.server_port}/v1")
    try:
        server.serve_forever()
    finally:
        server.server_close()
        server.worker.close()
