"""Servers that longstep starts, watches and stops."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_json, read_rows, write_rows
from longstep.config import UserError, ValidationError
from longstep.context import PARTIAL, Context
from longstep.curate.audit import KeyAudit
from longstep.draw.engines import Desk, Opened
from longstep.draw.samplers import ByServer
from longstep.generate import EndpointGenerator, Managed, Prompt, Sampling, guard
from longstep.generate.managed import managed
from longstep.models.load import locate
from longstep.progress import Progress
from longstep.stages import Sample
from longstep.types import Completion, Problem
from patience import PATIENCE, SOON

PROBLEMS = [Problem(f"p{n}", f"{n}+1?", str(n + 1), solution=f"{n}+1={n + 1}") for n in range(6)]
WRITE_PIDS = """
import os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[2] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[2] + ".new", sys.argv[2])
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float = SOON) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, pids))


def python(code: str, *arguments: str, **settings: Any) -> Managed:
    command = (sys.executable, "-c", code, "{port}", *arguments)
    return Managed(model="m", command=command, **{"ready_timeout": PATIENCE, **settings})


# -- starting, watching, stopping -------------------------------------------------------------------


def test_a_server_that_ignores_sigterm_and_its_children_are_stopped(tmp_path):
    pids = tmp_path / "pids"
    config = python(WRITE_PIDS, "{pids}", stop_timeout=0.3)
    with managed(config, None, {"pids": str(pids)}) as started:
        numbers = [int(each) for each in pids.read_text().split()]
        assert all(map(alive, numbers)) and len(numbers) == 2
        assert started.addresses[0].url.startswith("http://127.0.0.1:")
    assert gone(numbers, 0.5)


@pytest.mark.parametrize(
    ("victims", "number"),
    [
        (["longstep"], signal.SIGKILL),
        (["longstep"], signal.SIGTERM),
        (["guard"], signal.SIGKILL),
        (["longstep", "guard"], signal.SIGKILL),
        (["guard", "longstep"], signal.SIGKILL),
        (["guard stopped", "longstep", "guard goes on"], signal.SIGKILL),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else value.name,
)
def test_no_server_or_guard_outlives_longstep_however_they_are_killed(tmp_path, victims, number):
    pids = tmp_path / "pids"
    code = f"""
import sys
from longstep.generate import Managed
from longstep.generate.managed import managed
command = (sys.executable, "-c", {WRITE_PIDS!r}, "{{port}}", {str(pids)!r})
with managed(Managed(model="m", command=command, stop_timeout=0.2), None, {{}}) as started:
    print(started.process.pid, flush=True)
    sys.stdin.read()  # until this test is gone
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as ours:
        assert ours.stdout is not None
        guard = int(ours.stdout.readline())
        server, child = (int(each) for each in pids.read_text().split())
        try:
            assert alive(server) and alive(child) and alive(guard)
            sent = {"guard stopped": signal.SIGSTOP, "guard goes on": signal.SIGCONT}
            for victim in victims:
                os.kill(ours.pid if victim == "longstep" else guard, sent.get(victim) or number)
            assert gone([server, guard])
            # The kernel kills what a killed guard started, not the next generation.
            assert "guard" in victims or gone([child])
        finally:
            ours.kill()
            for each in (guard, server, child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)


def test_a_guard_whose_parent_is_gone_before_it_looks_stops_what_it_started():
    """A parent killed between the fork and the first look: the number the guard was given is nobody's parent."""
    asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-I", guard.__file__, "1", "9", *asleep], timeout=SOON)
    assert done.returncode == 128 + signal.SIGTERM and time.monotonic() - began < SOON


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path):
    config = python(
        "import sys; print('loading', flush=True); sys.exit('no GPU: CUDA is not available')"
    )
    with (
        pytest.raises(
            UserError, match=r"ended with status 1; its last words:\nloading\nno GPU: CUDA"
        ),
        managed(config, tmp_path / "log", {}),
    ):
        pass
    config = Managed(model="m", command=("no-such-program", "{port}"))
    with (
        pytest.raises(UserError, match="no-such-program: cannot be started: No such file"),
        managed(config, None, {}),
    ):
        pass


def test_a_server_that_never_answers_is_given_up_and_stopped():
    config = python(
        "import time; print('still loading', flush=True); time.sleep(60)", ready_timeout=0.5
    )
    began = time.monotonic()
    with (
        pytest.raises(UserError, match=r"within ready_timeout 0\.5 s.*\nstill loading"),
        managed(config, None, {}),
    ):
        pass
    assert time.monotonic() - began < SOON


DIES = """
import sys, threading
sys.path.insert(0, sys.argv[2])
import os, time
from fault_server import FaultServer, echo

def script(body, before):
    if len(server.asked) > 6:
        os.write(2, b"CUDA out of memory\\n")
        os._exit(3)
    return echo(body)
server = FaultServer(script, int(sys.argv[1]))
time.sleep(60)
"""


def test_a_server_that_dies_on_the_way_is_reported_and_the_answers_are_kept(tmp_path):
    config = python(DIES, str(Path(__file__).parent), concurrency=1, backoff=0.01)
    generator = EndpointGenerator(config)
    prompts = [Prompt(p.id, text=p.prompt) for p in PROBLEMS]
    log = tmp_path / "log.jsonl"
    with pytest.raises(
        UserError, match=r"ended with status 3; its last words:\n.*CUDA out of memory"
    ):
        list(generator.draw(prompts, Sampling(samples=3), log, lambda tally: None))
    assert log.read_bytes().count(b"\n") == 4  # two of six were probes


COUNTS = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from fault_server import FaultServer, echo

os.write(2, f"started as {os.getpid()}\\n".encode())
server = FaultServer(echo, int(sys.argv[1]))
time.sleep(60)
"""


def starts(log: Path) -> list[int]:
    return [int(line.split()[-1]) for line in log.read_text().splitlines() if "started" in line]


def test_one_server_serves_every_draw_and_is_stopped_at_the_end(tmp_path):
    config = python(COUNTS, str(Path(__file__).parent), backoff=0.01)
    words, prompts = tmp_path / "server.log", [Prompt(p.id, text=p.prompt) for p in PROBLEMS]
    with EndpointGenerator(config) as generator:
        for number in range(3):
            log = tmp_path / f"log{number}.jsonl"
            rows = list(generator.draw(prompts, Sampling(seed=number), log, lambda tally: None))
            assert len(rows) == 6
        [server] = starts(words)
        assert alive(server)
    assert gone([server], 0.5)
    with EndpointGenerator(config) as generator:  # what is answered needs no server
        list(generator.draw(prompts, Sampling(), tmp_path / "log0.jsonl", lambda tally: None))
    assert starts(words) == [server]
    with pytest.raises(ZeroDivisionError), EndpointGenerator(config) as generator:
        list(generator.draw(prompts, Sampling(seed=9), tmp_path / "new.jsonl", lambda tally: None))
        raise ZeroDivisionError
    first, second = starts(words)  # appended
    assert first == server and gone([second], 0.5)


def test_the_last_words_are_those_of_the_server_that_ended_and_not_of_one_before(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("an earlier one: all is lost\n")
    with (
        pytest.raises(UserError, match=r"ended with status 7; its last words:\n\(nothing\)$"),
        managed(python("import sys; sys.exit(7)"), log, {}),
    ):
        pass
    assert log.read_text() == "an earlier one: all is lost\n"


def test_the_command_must_say_where_the_port_goes():
    with pytest.raises(ValidationError, match=r"expected '\{port\}' among the arguments"):
        Managed(model="m", command=("vllm", "serve", "x"))


# -- as a stage --------------------------------------------------------------------------------------


def run_traces(folder: Path, size: str, *overrides: str) -> Path:
    """The problems, ratings and traces of light-r1 on a few problems; gives the folder of the traces."""
    from longstep.run.recipe import load, recipe_files
    from longstep.run.runner import Run, execute

    recipe, located = load(
        recipe_files("light-r1", size),
        [
            "stages.problems.sources=[{kind: chain, count: 12, difficulty: [1, 2], split: train}]",
            *overrides,
        ],
    )
    execute(Run(recipe, located, folder, lambda text: None), ["traces"])
    return folder / "traces" / "out"


WRONG = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from fault_server import FaultServer, chat

os.write(2, f"started as {os.getpid()}\\n".encode())
server = FaultServer(lambda body, before: chat("<think>0</think>\\\\boxed{99}"), int(sys.argv[1]))
time.sleep(60)
"""


@pytest.mark.parametrize("keep", ["all", "correct"])
def test_a_stage_of_several_rounds_has_one_server_and_stops_it(tmp_path, monkeypatch, keep):
    held: list[Opened] = []  # or the garbage collector would stop the server in the stage's stead

    begin = ByServer.open

    def opened(by: ByServer, desk: Desk) -> Opened:
        held.append(begin(by, desk))
        return held[-1]

    monkeypatch.setattr(ByServer, "open", opened)
    write_rows(tmp_path / "in" / "problems.jsonl", PROBLEMS)
    context = Context(
        "traces",
        tmp_path / "traces",
        1,
        {"@in": tmp_path / "in"},
        lambda label, total, unit: Progress(label, total, unit, lambda line: None, terminal=False),
        lambda what, facts: None,
    )
    by = python(WRONG, str(Path(__file__).parent)).model_dump()
    stage = Sample(
        by=ByServer.model_validate(by),
        data="@in",
        rate=True,
        audit=KeyAudit(extra=2),
        keep=keep,
    )
    if keep == "all":
        stage.run(context)
        counts = read_json(context.out / "counts.json")
        assert counts["drawn"] == 18 and counts["rechecked"] == {"problems": 6, "solved": 0}
    else:
        with pytest.raises(UserError, match="no completion was kept"):
            stage.run(context)
    assert len(held) == 1
    [server] = starts(context.folder / PARTIAL / "server.log")
    assert gone([server], 0.5)


def test_the_overlay_gives_the_worked_solutions_over_http(tmp_path):
    """The traces that a server sends are those that the recipe without HTTP reads."""
    near = run_traces(tmp_path / "near", "tiny")
    far = run_traces(tmp_path / "far", "tiny+http")
    texts = [
        {row.problem_id: row.text for row in read_rows(out / "completions.jsonl", Completion)}
        for out in (near, far)
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 12
    engine = read_json(far / "counts.json")["engine"]
    assert (
        engine["engine"] == "server" and engine["refused"] == {} and engine["completion_tokens"] > 0
    )
    assert engine["features"][0]["n"] == "refused"  # it says what it cannot do
    assert engine["command"][-1] == "{port}"  # not the number, which is another in every run


# -- a server that is not ours ----------------------------------------------------------------------


def test_transformers_serve_is_started_asked_and_stopped(tmp_path):
    model = str(locate("longstep-tiny"))
    command = ("{python}", "-m", "transformers.cli.transformers", "serve", model, "--host", "127.0.0.1", "--port", "{port}")  # fmt: skip
    told: list[Any] = []
    generator = EndpointGenerator(
        Managed(model=model, command=command, ready_timeout=PATIENCE, concurrency=2),
        lambda what, facts: told.append((what, facts)),
    )
    prompts = [Prompt(f"p{n}", text=f"a{n}b+1?") for n in range(3)]
    sampling = Sampling(samples=2, max_tokens=16)
    log = tmp_path / "log.jsonl"
    found = list(generator.draw(prompts, sampling, log, lambda tally: None))
    assert [(row.problem_id, row.sample_index) for row in found] == [
        (p.problem_id, i) for p in prompts for i in range(2)
    ]
    assert all(row.text and row.finish_reason in ("stop", "length") for row in found)
    [features] = generator.features.values()
    # Measured: it answers 200 to n=2 and logprobs=true with one choice and no log-probabilities.
    assert (features.n, features.logprobs, features.usage) == ("ignored", "ignored", "honoured")
    assert (
        list(generator.draw(prompts, sampling, log, lambda tally: None)) == found
    )  # no server is needed again
