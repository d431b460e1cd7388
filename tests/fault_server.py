"""An OpenAI-compatible server on 127.0.0.1 that answers right, or does to the client what a script says.

``python fault_server.py PORT_FILE LOG [SECONDS]`` runs an honest one in a process of its own that appends each seed it
was asked for to LOG before answering, so that a test may kill it, or its client.
"""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Act = Callable[[socket.socket], None]
Script = Callable[[dict[str, Any], int], Act]
#: Settings of an endpoint that suit servers on this machine.
QUICK = {"backoff": 0.01, "max_retries": 2, "timeout": 5}


def reply(status: int, content: bytes = b"", **headers: str) -> Act:
    """A whole response; ``Retry_After="1"`` becomes the header Retry-After."""
    lines = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    data = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
    return lambda connection: connection.sendall(data)


def completion(
    text: str | None, reason: str = "stop", usage: int | None = None, **message: str
) -> bytes:
    """The body of a chat completion with one choice."""
    choice = {"index": 0, "message": {"content": text, **message}, "finish_reason": reason}
    body: dict[str, Any] = {"choices": [choice]}
    if usage is not None:
        body["usage"] = {"completion_tokens": usage}
    return json.dumps(body).encode()


def chat(text: str | None, reason: str = "stop", usage: int | None = None, **message: str) -> Act:
    """A chat completion."""
    return reply(200, completion(text, reason, usage, **message))


def echo(body: dict[str, Any], *_: object) -> Act:
    """What an honest server says: a function of the question and the seed alone."""
    return chat(f"<think>{body['messages'][-1]['content']}</think>{body['seed']}", usage=7)


def hang(seconds: float) -> Act:
    """Say nothing."""
    return lambda connection: time.sleep(seconds)


def drip(content: bytes, gap: float) -> Act:
    """One byte at a time, for ever if need be: never silent, never done."""

    def act(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 X\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(gap)

    return act


def reset(content: bytes) -> Act:
    """Half of a response, then a TCP reset."""

    def act(connection: socket.socket) -> None:
        head = f"HTTP/1.1 200 X\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        connection.sendall(head + content[: len(content) // 2])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # before the handler could say goodbye

    return act


def flood(total: int, sent: list[int]) -> Act:
    """A response of ``total`` bytes without a length; ``sent`` takes how many went out before the client left."""

    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        block, count = b" " * 65536, 0
        try:
            while count < total:
                connection.sendall(block)
                count += len(block)
        finally:
            sent.append(count)

    return act


class FaultServer:
    """Answers each request by ``script(body, times this very request came before)``.

    ``probe`` answers the tiny questions of the capability probe, apart from the script.
    """

    def __init__(self, script: Script = echo, port: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    got = outer._receive(self.rfile)
                    act = reply(200, b"{}") if got is None else script(*got)  # GET: yes, it is up
                    act(self.connection)
                except OSError:
                    pass  # the client left, as some tests mean it to

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def _receive(self, stream: Any) -> tuple[dict[str, Any], int] | None:
        first = stream.readline()
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        if not first.startswith(b"POST"):
            return None
        body = json.loads(stream.read(int(headers["content-length"])))
        with self._lock:
            before = self.asked.count(body)
            self.asked.append(body)
            self.headers.append(headers)
        return body, before

    def stop(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._server.server_close()


def _main(port_file: Path, log: Path, seconds: float) -> None:
    def script(body: dict[str, Any], before: int) -> Act:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{body['seed']}\n")
        time.sleep(seconds)
        return echo(body)

    server = FaultServer(script)
    port_file.with_suffix(".new").write_text(server.url, encoding="utf-8")
    port_file.with_suffix(".new").rename(port_file)
    time.sleep(120)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
