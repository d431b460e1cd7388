"""Persistent worker processes that can be killed: hostile input costs one worker, never the run.

A worker is a fresh interpreter that speaks JSON lines over its pipes. ``multiprocessing`` would
re-import the caller's main module (and torch with it) in every worker; a plain ``Popen`` does not.
The parent keeps the clock; the kernel's limits on memory and CPU time stand behind it, so that a
worker whose parent was killed cannot run on for ever either.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import selectors
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from longstep.config import lookup

_START_S = 120.0  # importing sympy takes a second, on a loaded machine many


class NoReply(Exception):
    """The call gave no result: out of time, died or raised; the message says which."""


def serve(function: str, timeout_s: float, memory_mb: int) -> None:
    """Run one worker: say it is ready, then answer a JSON request per line until the pipe ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like a reply
    limit = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    call = lookup(function)
    reply = _writer(replies)
    reply("ready")
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        budget = int(used.ru_utime + used.ru_stime + 2 * timeout_s) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (budget, hard))
        try:
            reply(["value", call(*json.loads(line))])
        except Exception as error:  # model text is untrusted: this border may swallow
            reply(["error", f"{type(error).__name__}: {error}"[:200]])


def _writer(file: Any) -> Any:
    def write(value: object) -> None:
        file.write(json.dumps(value) + "\n")
        file.flush()

    return write


class Worker:
    """One process and its pipes; used by one thread at a time."""

    def __init__(self, function: str, timeout_s: float, memory_mb: int) -> None:
        """Start the process and wait until it has imported its function."""
        arguments = f"{function!r}, {timeout_s!r}, {memory_mb!r}"
        code = f"from longstep.verify.pool import serve; serve({arguments})"
        path = os.pathsep.join(each or os.getcwd() for each in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            process_group=0,  # a Ctrl-C in the terminal is the parent's to handle
        )
        try:
            self._read(_START_S)
        except NoReply as error:  # our fault, not the answer's: never a verdict
            raise RuntimeError(f"no worker could start for {function}: {error}") from None

    def ask(self, args: tuple, timeout_s: float) -> Any:
        """Send one call and wait for its result; a worker that gave no reply is dead afterwards."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(args).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.kill()
            raise NoReply("the verifier process died") from None
        kind, value = self._read(timeout_s)
        if kind == "error":
            raise NoReply(value)
        return value

    def _read(self, timeout_s: float) -> Any:
        """Read one line before the deadline, however slowly its bytes arrive."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        descriptor = self.process.stdout.fileno()
        data = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    raise NoReply(f"no verdict in {timeout_s:g} s")
                block = os.read(descriptor, 65536)
                if not block:
                    self.kill()
                    raise NoReply("the verifier process died")
                data += block
        return json.loads(data)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL the process and collect it; twice is fine."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # unsent bytes to a dead worker


@dataclass(slots=True)
class _Turn:
    """Many calls at once, or a lone one, which waits for the others and holds new ones back."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    running: int = 0
    lone: bool = False

    def enter(self, alone: bool, limit: int) -> None:
        with self.condition:
            self.condition.wait_for(lambda: not self.lone and (alone or self.running < limit))
            self.lone = alone
            self.running += 1
            if alone:
                self.condition.wait_for(lambda: self.running == 1)

    def leave(self, alone: bool) -> None:
        with self.condition:
            self.running -= 1
            if alone:
                self.lone = False
            self.condition.notify_all()


class Pool:
    """Calls ``module:function`` in killable workers; may be shared by any number of threads.

    No process exists before the first call. A call that gave no reply is tried once more alone, on
    a worker of its own with nothing else running here, because a wall clock also measures the load
    of the machine; only then does ``call`` raise.
    """

    def __init__(
        self, function: str, workers: int = 2, timeout_s: float = 5.0, memory_mb: int = 2048
    ) -> None:
        """Remember the limits; starts nothing."""
        self.function, self.workers = function, workers
        self.timeout_s, self.memory_mb = timeout_s, memory_mb
        self._owner = os.getpid()
        self._turn = _Turn()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, *args: Any) -> Any:
        """Give ``function(*args)``; arguments and result must be JSON values.

        Raises:
            NoReply: no result, twice: out of time, out of memory, raised, or crashed.
        """
        try:
            return self._once(args, alone=False)
        except NoReply:
            return self._once(args, alone=True)

    def _once(self, args: tuple, alone: bool) -> Any:
        self._turn.enter(alone, self.workers)
        try:
            worker = self._take()
            try:
                return worker.ask(args, self.timeout_s)
            finally:
                self._give(worker)
        finally:
            self._turn.leave(alone)

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the verifier pool is closed")
            if self._idle:
                return self._idle.pop()
            if not self._all:
                atexit.register(self.close)
        worker = Worker(self.function, self.timeout_s, self.memory_mb)
        with self._lock:
            self._all.add(worker)
        return worker

    def _give(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive and not self._closed:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.kill()

    def pids(self) -> list[int]:
        """Give the process ids of the workers that are running."""
        with self._lock:
            return [worker.process.pid for worker in self._all if worker.alive]

    def close(self) -> None:
        """Kill every worker; calls still running raise ``NoReply``. In a forked child they are not ours to kill."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._closed = True
            workers = list(self._all)
            self._all.clear()
            self._idle.clear()
        for worker in workers:
            worker.kill()
        atexit.unregister(self.close)
