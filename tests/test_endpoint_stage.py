"""Teacher traces over HTTP become rows of a student with another tokenizer."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from longstep.artifacts import read_rows, write_rows
from longstep.generate import Sampling
from longstep.models.tiny import build_tokenizer
from longstep.progress import Progress
from longstep.stages import Sample
from longstep.stages.base import Context, Where
from longstep.stages.sampling import ByEndpoint
from longstep.stages.supervised import read_supervised
from longstep.types import Completion, Problem

PROBLEMS = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(4)]


class Teacher(BaseHTTPRequestHandler):
    """Right on even problems, wrong on p1, and p3 answers without thinking."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n = int(body["messages"][-1]["content"][1])
        answer = {"content": f"\\boxed{{{n + (n != 1)}}}"}
        if n != 3:
            answer["reasoning_content"] = f"a{n}b+1={n + 1}"
        reply = {"choices": [{"message": {"role": "assistant", **answer}, "finish_reason": "stop"}]}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


@pytest.fixture
def teacher():
    server = HTTPServer(("127.0.0.1", 0), Teacher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_only_verified_thinking_traces_become_rows(tmp_path: Path, teacher: str):
    write_rows(tmp_path / "in" / "problems.jsonl", PROBLEMS)
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    context = Context(
        "traces", tmp_path / "traces", 1, {"@in": tmp_path / "in"}, quiet, lambda what, facts: None
    )
    stage = Sample(
        by=ByEndpoint(url=teacher, model="r1"),
        data="@in",
        sampling=Sampling(max_tokens=50),
        keep="correct",
    )
    stage.run(context)
    kept = list(read_rows(context.out / "completions.jsonl", Completion))
    assert sorted(row.problem_id for row in kept) == ["p0", "p2", "p3"]
    after = Context(
        "sft", tmp_path / "sft", 1, {"@traces": context.out}, quiet, lambda what, facts: None
    )
    tokenizer = build_tokenizer()
    found = read_supervised(after, "@traces", Where(), tokenizer, 100)
    assert found.dropped == {"no thinking": 1}
    texts = sorted(tokenizer.decode(row.ids, skip_special_tokens=False) for row in found.rows)
    assert texts[0] == "<|user|>a0b+1?<|assistant|><think>a0b+1=1</think>\\boxed{1}<|end|>"
