"""One killable process per grader, with its CPU time seen from outside, children included."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

Pair = tuple[str, str, "str | None"]
_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = 3 << 30


@dataclass(frozen=True)
class Reply:
    """What a grader said of some pairs, in seconds of wall and of CPU (of its whole process tree)."""

    statuses: list[str]
    wall_s: float
    cpu_s: float


class Grader:
    """A grader in a process of its own; a call that takes too long costs that process, not the run."""

    def __init__(self, name: str, limit_s: float = 20.0) -> None:
        """Start the process; ``limit_s`` is CPU time, so that a kill does not depend on the load."""
        self.name = name
        self.limit_s = limit_s
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self.name, theirs))
        self._process.start()
        theirs.close()
        if not self._pipe.poll(120) or self._pipe.recv() != ["ready"]:
            raise RuntimeError(f"grader {self.name} did not start")

    def ask(self, pairs: list[Pair]) -> Reply:
        """Judge the pairs in order; all are ``timeout`` when the process had to be killed or died."""
        used, start = _tree_s(self._process.pid), time.perf_counter()
        self._pipe.send(pairs)
        try:
            while not (ready := self._pipe.poll(0.5)):
                wall_s = time.perf_counter() - start
                if _tree_s(self._process.pid) - used > self.limit_s or wall_s > 20 * self.limit_s:
                    break
            statuses = self._pipe.recv() if ready else None
        except EOFError:
            statuses = None
        wall_s = time.perf_counter() - start
        cpu_s = _tree_s(self._process.pid) - used
        if statuses is None:
            self.close()
            self._start()
            statuses = ["timeout"] * len(pairs)
        return Reply(statuses, wall_s, cpu_s)

    def close(self) -> None:
        """Kill the process and what it started."""
        for pid in _tree(self._process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.join()
        self._pipe.close()


def _serve(name: str, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    grade = importlib.import_module(f"graders.{name}").grade
    for pair in (("x+1", "1+x"), (r"\sin^2 x", r"1-\cos^2 x"), ("1", "2")):
        grade(*pair, None)  # imports and caches are warm before anything is timed
    pipe.send(["ready"])
    while True:
        statuses = []
        for pair in pipe.recv():
            try:
                statuses.append(grade(*pair))
            except (Exception, RecursionError) as error:
                statuses.append(f"raised {type(error).__name__}")
        pipe.send(statuses)


def _tree(pid: int | None) -> list[int]:
    """Give the process and all below it."""
    found: list[int] = []
    waiting = [pid] if pid else []
    while waiting:
        each = waiting.pop()
        found.append(each)
        for file in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                waiting += map(int, file.read_text().split())
            except OSError:
                continue
    return found


def _tree_s(pid: int | None) -> float:
    """Give the CPU seconds of a process tree, children that ended included; steps of 10 ms."""
    ticks = 0
    for each in _tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS
