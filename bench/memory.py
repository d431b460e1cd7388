"""Resident memory that drawing and evaluating add to a process after its imports, and that a kill changes no byte.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/memory.py [draw] [evaluate] [--share 0.1]``. ``draw``: stage
``sample`` with a generator that answers at once, 5,000 completions of 4,000 token ids. ``evaluate``: 500 problems x 64
answers of 4,000 tokens (16 kB of text) from a scripted endpoint in the same process. ``--share`` does less of it. Each
is run once through, then in a second folder killed with SIGKILL half-way and run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST = 300  # MB
THOUGHT = "so we go on and on, " * 800  # 16 kB, which is 4,000 tokens of four bytes


def context(folder: Path, **inputs: Path) -> Any:
    """A stage's context without a run around it."""
    from longstep.context import Context
    from longstep.progress import Progress

    quiet = lambda label, total, unit: Progress(label, total, unit, lambda text: None)  # noqa: E731
    named = {f"@{name}": path for name, path in inputs.items()}
    return Context("bench", folder, 7, named, quiet, lambda what, facts: None)


def draw(folder: Path, share: float) -> None:
    """Stage ``sample``: rate, audit and keep everything."""
    from longstep.artifacts import write_rows
    from longstep.draw.engines import Desk, Engine, Opened
    from longstep.draw.samplers import ByReference
    from longstep.generate import FakeGenerator, Prompt, Sampling
    from longstep.stages.sample import Sample
    from longstep.types import Problem

    class ByFake(Engine):
        def open(self, desk: Desk) -> Opened:
            return Opened(FakeGenerator(answer, lambda text: range(1000, 5000)))

    def answer(prompt: Prompt, index: int) -> str:
        return f"<think>{THOUGHT}</think>\\boxed{{{index % 3}}}"

    write_rows(
        folder / "in" / "problems.jsonl", (Problem(f"p{n}", f"{n}?", "1") for n in range(250))
    )
    samples = max(1, round(20 * share))
    stage = Sample(
        by=ByReference(), data="@in", rate=True, sampling=Sampling(samples=samples, batch_size=64)
    )
    stage.model_copy(update={"by": ByFake()}).run(
        context(folder / "stage", **{"in": folder / "in"})
    )


def evaluate(folder: Path, share: float) -> None:
    """Stage ``evaluate`` with an endpoint."""
    from longstep.config import Located, validate
    from longstep.stages.evaluate import Evaluate

    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Scripted)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    source = {
        "kind": "chain",
        "count": max(2, round(500 * share)),
        "difficulty": [1, 8],
        "split": "heldout",
    }
    settings = {
        "models": {"scripted": {"kind": "endpoint", "url": url, "model": "m"}},
        "benchmarks": [{"name": "chain", "source": source}],
        "samples": 64,
        "max_tokens": 4096,
    }
    validate(Evaluate, Located(settings, {})).run(context(folder / "stage"))
    server.shutdown()


class Scripted(BaseHTTPRequestHandler):
    """Answers by the seed of the request."""

    def do_POST(self) -> None:
        """A chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = f"<think>{THOUGHT}</think>\\boxed{{{body['seed'] % 7}}}"
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        data = json.dumps({"choices": [choice], "usage": {"completion_tokens": 4000}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


WORKS: dict[str, Callable[[Path, float], None]] = {"draw": draw, "evaluate": evaluate}


def child(name: str, folder: Path, share: float) -> None:
    """A little of the work first, so that every import and cache is there, then all of it."""
    with tempfile.TemporaryDirectory() as small:
        port, os.environ["PORT"] = os.environ["PORT"], "0"
        WORKS[name](Path(small), 0.01)
        os.environ["PORT"] = port
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    WORKS[name](folder, share)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sys.stdout.write(json.dumps({"before": before >> 10, "added": added >> 10}))


def start(name: str, folder: Path, share: float, port: int) -> subprocess.Popen[bytes]:
    """A process that does the work."""
    words = [sys.executable, __file__, "--child", name, str(folder), str(share)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PORT": str(port)})


def outcome(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """What it measured."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the child ended with {process.returncode}")
    return json.loads(said)


def written(folder: Path) -> int:
    """Bytes in the journals so far."""
    return sum(path.stat().st_size for path in folder.glob("stage/partial/**/*.jsonl"))


def digest(folder: Path) -> str:
    """One hash of everything in the artifact but the engine's features, which a probe found."""
    found = hashlib.sha256()
    for path in sorted((folder / "stage" / "out").rglob("*")):
        if path.is_file():
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def measure(name: str, share: float, port: int) -> bool:
    """Print one line; gives whether all is well."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        began = time.monotonic()
        found = outcome(start(name, whole, share, port))
        seconds, half = time.monotonic() - began, written(whole) // 4
        process = start(name, killed, share, port)
        while process.poll() is None and written(killed) < half:
            time.sleep(0.01)
        kill = process.poll() is None
        if kill:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        again = outcome(start(name, killed, share, port))
        same = digest(whole) == digest(killed)
    sys.stdout.write(
        f"{name:<9} {seconds:6.1f} s  {found['before']} MB after imports, {found['added']} MB added;"
        f" {'killed' if kill else 'NOT killed'} and run again: {again['added']} MB added,"
        f" {'same bytes' if same else 'DIFFERENT'}\n"
    )
    return same and kill and max(found["added"], again["added"]) <= MOST


def main() -> None:
    """Measure what is asked."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", choices=[*WORKS, []], default=[])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--port", type=int, default=18731)
    given = parser.parse_args()
    results = [measure(name, given.share, given.port) for name in given.works or WORKS]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
