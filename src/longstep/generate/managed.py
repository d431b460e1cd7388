"""A server that longstep starts, waits for, watches and stops; no shell, on a free port of this machine."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from longstep.config import Field, UserError, field_validator
from longstep.generate import guard
from longstep.generate.pool import Remote
from longstep.generate.transport import Address

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.1
LAST_LINES = 15


class Managed(Remote):
    """A server started for the work and stopped after it.

    Attributes:
        command: program and arguments; ``{port}`` stands for the port it must listen on (on 127.0.0.1), ``{python}``
            for this interpreter, ``{problems}`` for a file with the stage's problems.
        ready_timeout: seconds it may take until ``/health`` or ``/v1/models`` answers.
        stop_timeout: seconds between SIGTERM and SIGKILL.
    """

    command: tuple[str, ...] = Field(min_length=1)
    ready_timeout: float = Field(default=900.0, gt=0)
    stop_timeout: float = Field(default=10.0, ge=0)

    def absent(self) -> Iterator[str]:
        """Its program."""
        program = self.command[0]
        if "{" not in program and shutil.which(program) is None:
            yield (
                f"command: no program {program!r} is on the path of this machine; install it, or give its whole path"
            )

    @field_validator("command")
    @classmethod
    def _has_port(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not any("{port}" in part for part in command[1:]):
            raise ValueError("expected '{port}' among the arguments: longstep chooses a free one")
        return command


@dataclass
class Started:
    """Servers that answer; those that we started can die.

    Attributes:
        addresses: where they are.
        process: ours, or ``None``.
        log: what ours wrote.
        begins: bytes that were in the log before it.
    """

    addresses: tuple[Address, ...]
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    begins: int = 0

    def check(self) -> None:
        """Refuse to go on without our server.

        Raises:
            UserError: it ended, with its last words.
        """
        if self.process is None or self.process.poll() is None:
            return
        raise UserError(
            f"the server that was started ended with status {self.process.returncode}; its last words:\n"
            f"{self.last_lines()}"
        )

    def last_lines(self) -> str:
        """The end of what ours wrote."""
        if self.log is None or not self.log.is_file():
            return "(nothing)"
        with self.log.open("rb") as file:
            file.seek(max(self.begins, self.log.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:]
        return "\n".join(lines) or "(nothing)"


@contextmanager
def managed(config: Managed, log: Path | None, fill: Mapping[str, str]) -> Iterator[Started]:
    """Start the server, wait until it answers, give its address, and stop it with all its processes.

    Args:
        config: what to start.
        log: where its output is appended; ``None`` for a temporary file.
        fill: texts for ``{name}`` in the command, beside ``{port}`` and ``{python}``.

    Raises:
        UserError: the program is missing, ended, or was not ready in time.
    """
    port = _free_port()
    texts = {"python": sys.executable, **fill, "port": str(port)}
    command = [_filled(part, texts) for part in config.command]
    with tempfile.TemporaryDirectory(prefix="longstep-") as scratch:
        log = log or Path(scratch) / "server.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        begins = log.stat().st_size if log.is_file() else 0
        process = _start(command, log, config.stop_timeout)
        started = Started((Address(url=f"http://{LOOPBACK}:{port}/v1"),), process, log, begins)
        try:
            _wait(started, port, config.ready_timeout)
            yield started
        finally:
            process.terminate()  # the guard stops the server and whatever it started
            process.wait()


def _start(command: list[str], log: Path, stop_timeout: float) -> subprocess.Popen[bytes]:
    watched = [sys.executable, "-I", str(Path(guard.__file__)), str(os.getpid()), str(stop_timeout)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*watched, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in our terminal reaches us, and we stop the server in order
        )


def _wait(started: Started, port: int, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not any(_answers(port, path) for path in ("/health", "/v1/models")):
        started.check()
        if time.monotonic() >= end:
            raise UserError(
                f"the server did not answer on port {port} within ready_timeout {timeout:g} s;"
                f" its last words:\n{started.last_lines()}"
            )
        time.sleep(POLL_SECONDS)
    started.check()  # another program may have taken the port and answered


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    """A port nobody listens on; between this and the start somebody might, and the server then fails to bind."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _filled(part: str, texts: Mapping[str, str]) -> str:
    for name, text in texts.items():
        part = part.replace(f"{{{name}}}", text)
    return part
