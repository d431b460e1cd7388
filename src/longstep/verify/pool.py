"""Persistent worker processes that can be killed: hostile input costs one worker, never the run.

A worker is a fresh interpreter that speaks JSON lines over its pipes. ``multiprocessing`` would
re-import the caller's main module (and torch with it) in every worker; a plain ``Popen`` does not.
The limit of a call is CPU time, kept by the kernel, so that a busy machine changes no outcome and a worker whose
parent was killed cannot run on for ever. The parent's wall clock is for a worker that sleeps.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from longstep.config import lookup

_START_S = 120.0  # importing sympy takes a second, on a loaded machine many


class NoReply(Exception):
    """The call gave no result: out of time, died or raised; the message says which."""


def serve(function: str, cpu_s: int, memory_mb: int) -> None:
    """Run one worker: say it is ready, then answer a JSON request per line until the pipe ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like a reply
    limit = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    call = lookup(function)
    reply = _writer(replies)
    reply("ready")
    for line in sys.stdin:
        _allow(cpu_s)
        try:
            reply(["value", call(*json.loads(line))])
        except Exception as error:  # model text is untrusted: this border may swallow
            reply(["error", f"{type(error).__name__}: {error}"[:200]])


def _allow(cpu_s: int) -> None:
    """Have the kernel end this process after that many more seconds of CPU, up to one more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    budget = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = budget if hard == resource.RLIM_INFINITY else min(budget, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _writer(file: Any) -> Any:
    def write(value: object) -> None:
        file.write(json.dumps(value) + "\n")
        file.flush()

    return write


class Worker:
    """One process and its pipes; used by one thread at a time."""

    def __init__(self, function: str, cpu_s: int, memory_mb: int) -> None:
        """Start the process; it imports its function while nobody waits for it yet."""
        self.function, self.cpu_s = function, cpu_s
        self._ready = False
        code = f"from longstep.verify.pool import serve; serve({function!r}, {cpu_s}, {memory_mb})"
        path = os.pathsep.join(each or os.getcwd() for each in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            process_group=0,  # a Ctrl-C in the terminal is the parent's to handle
        )

    def wait_until_ready(self) -> None:
        """Wait for the import, which no call's limit pays for.

        Raises:
            RuntimeError: the process cannot start: our fault, not the answer's, and never a verdict.
        """
        if not self._ready:
            try:
                self._read(_START_S)
            except NoReply as error:
                raise RuntimeError(f"no worker could start for {self.function}: {error}") from None
            self._ready = True

    def ask(self, args: tuple, wall_s: float) -> Any:
        """Send one call and wait for its result; a worker that gave no reply is dead afterwards."""
        assert self.process.stdin is not None
        self.wait_until_ready()
        try:
            self.process.stdin.write(json.dumps(args).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.kill()
            raise NoReply("the verifier process died") from None
        kind, value = self._read(wall_s)
        if kind == "error":
            raise NoReply(value)
        return value

    def _read(self, wall_s: float) -> Any:
        """Read one line before the deadline, however slowly its bytes arrive."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + wall_s
        descriptor = self.process.stdout.fileno()
        data = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    raise NoReply(f"no verdict in {wall_s:g} s")
                block = os.read(descriptor, 65536)
                if not block:
                    self.kill()
                    raise NoReply(self._end())
                data += block
        return json.loads(data)

    def _end(self) -> str:
        spent = self.process.returncode == -signal.SIGXCPU
        return f"no verdict in {self.cpu_s} s of CPU" if spent else "the verifier process died"

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


class Pool:
    """Calls ``module:function`` in killable workers; may be shared by any number of threads.

    No process exists before the first call or ``warm``.
    """

    def __init__(
        self,
        function: str,
        workers: int = 2,
        cpu_s: int = 5,
        wall_s: float = 60.0,
        memory_mb: int = 2048,
    ) -> None:
        """Remember the limits; starts nothing."""
        self.function, self.workers = function, workers
        self.cpu_s, self.wall_s, self.memory_mb = cpu_s, wall_s, memory_mb
        self._owner = os.getpid()
        self._turns = threading.BoundedSemaphore(workers)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def warm(self) -> None:
        """Start the workers that are missing, and wait for none of them."""
        with self._lock:
            for _ in range(0 if self._closed else self.workers - len(self._all)):
                self._idle.insert(0, self._start())

    def call(self, *args: Any) -> Any:
        """Give ``function(*args)``; arguments and result must be JSON values.

        Raises:
            NoReply: no result: out of time, out of memory, raised, or crashed.
        """
        with self._turns:
            worker = self._take()
            try:
                return worker.ask(args, self.wall_s)
            finally:
                self._give(worker)

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the verifier pool is closed")
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.discard(worker)  # killed from outside while nobody asked it
                worker.kill()
            return self._start()

    def _start(self) -> Worker:
        if not self._all:
            atexit.register(self.close)
        worker = Worker(self.function, self.cpu_s, self.memory_mb)
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
