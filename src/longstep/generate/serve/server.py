"""HTTP: connections, keys, statuses; a refusal is one sentence in JSON, and the connection says if it stays open."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from longstep.config import UserError
from longstep.generate.serve.asked import Refusal, chat_request, text_request
from longstep.generate.serve.replies import chat_reply, error_reply, text_reply
from longstep.generate.serve.worker import Served, Worker

MAX_BODY = 4_000_000
IDLE_SECONDS = 60.0  # a connection that says nothing this long is closed


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
        self._respond(lambda body: self._get())

    def do_POST(self) -> None:
        """Completions."""
        self._respond(self._post)

    def _respond(self, act: Callable[[bytes], dict[str, Any]]) -> None:
        """Read the whole request whatever becomes of it, so that the connection can carry the next one."""
        try:
            status, content = 200, act(self._body())
        except Refusal as refusal:
            status, content = refusal.status, error_reply(refusal.status, str(refusal))
        self._send(status, content)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses: a method or a request that is none; the rest of it is not read."""
        self.close_connection = True
        self._send(code, error_reply(code, message or self.responses.get(code, ("refused",))[0]))

    def _get(self) -> dict[str, Any]:
        place = self._place()
        if place == "/health":
            return {"status": "ok"}
        self._check_key()
        name = self.server.source.model
        served = {"id": name, "object": "model", "owned_by": "longstep"}
        if place == "/v1/models":
            return {"object": "list", "data": [served]}
        if place == f"/v1/models/{name}":
            return served
        raise Refusal(404, f"nothing is served at {place}")

    def _post(self, body: bytes) -> dict[str, Any]:
        self._check_key()
        place, worker = self._place(), self.server.worker
        if place == "/v1/chat/completions":
            asked = chat_request(body)
            self._check_model(asked.model)
            return chat_reply(asked, *worker.chat(asked))
        if place == "/v1/completions":
            text = text_request(body)
            self._check_model(text.model)
            return text_reply(text, worker.text(text), self.server.source.decode)
        raise Refusal(404, f"nothing is served at {place}")

    def _place(self) -> str:
        return self.path.partition("?")[0].rstrip("/")

    def _check_model(self, name: str) -> None:
        if name != self.server.source.model:
            raise Refusal(
                404, f"model {name!r} is not served here; {self.server.source.model!r} is"
            )

    def _check_key(self) -> None:
        given = self.headers.get("Authorization", "").encode()
        if self.server.key and not compare_digest(given, f"Bearer {self.server.key}".encode()):
            raise Refusal(401, "a key is needed")

    def _body(self) -> bytes:
        """The body; one that is refused unread ends the connection, for what follows in it could not be told apart."""
        length = self.headers.get("Content-Length")
        if length is None and self.command == "GET" and "Transfer-Encoding" not in self.headers:
            return b""
        self.close_connection, stays = True, self.close_connection
        if "Transfer-Encoding" in self.headers or not (
            length and length.isascii() and length.isdigit()
        ):
            raise Refusal(411, "Content-Length is needed")
        if int(length) > MAX_BODY:
            raise Refusal(413, f"a request may have {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        self.close_connection = stays
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: questions and keys belong in no log."""


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
