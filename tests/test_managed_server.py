"""Servers that longstep starts, and the server that longstep is."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_json, read_rows, write_rows
from longstep.config import UserError, ValidationError
from longstep.context import PARTIAL, Context
from longstep.curate.audit import KeyAudit
from longstep.draw.engines import Desk, Opened
from longstep.draw.samplers import ByServer
from longstep.draw.serving import source_of
from longstep.generate import EndpointGenerator, Generator, Managed, Prompt, Sampling, guard
from longstep.generate.managed import managed
from longstep.generate.serve import Served, Server, Worked
from longstep.models.load import locate
from longstep.progress import Progress
from longstep.stages import Sample
from longstep.types import Completion, Problem

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


def gone(pids: list[int], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, pids))


def python(code: str, *arguments: str, **settings: Any) -> Managed:
    command = (sys.executable, "-c", code, "{port}", *arguments)
    return Managed(model="m", command=command, **{"ready_timeout": 20, **settings})


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
    done = subprocess.run([sys.executable, "-I", guard.__file__, "1", "9", *asleep], timeout=10)
    assert done.returncode == 128 + signal.SIGTERM and time.monotonic() - began < 5


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
    assert time.monotonic() - began < 5


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


# -- longstep serve ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Iterator[Server]:
    yield from running(source_of("longstep-tiny"))


def running(source: Served, **settings: Any) -> Iterator[Server]:
    server = Server(source, "127.0.0.1", 0, **settings)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    server.worker.close()


def call(
    server: Server, body: Any, path: str = "/v1/chat/completions", **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(
            "POST" if body is not None else "GET", path, data if body is not None else None, headers
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def question(text: str = "a0b+1?", **settings: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "longstep-tiny", "messages": messages, "max_tokens": 24, **settings}


def test_a_served_model_says_what_the_engine_says(tiny: Server):
    asked = question("a3b+4c-2?", temperature=0)
    status, reply = call(tiny, asked)
    sampling = Sampling(temperature=0, top_p=1, max_tokens=24)
    [local] = tiny.source.generator.draw([tiny.source.prompt("a3b+4c-2?", "x")], sampling)
    choice = reply["choices"][0]
    assert status == 200 and choice["message"]["content"] == local.text
    assert choice["finish_reason"] == local.finish_reason
    assert reply["usage"]["completion_tokens"] == len(local.token_ids)


def test_equal_seeds_give_equal_answers_alone_and_in_a_crowd(tiny: Server):
    bodies = [question(f"a{n % 10}b+1?", seed=n // 2, temperature=3.0) for n in range(16)]
    alone = [call(tiny, body)[1]["choices"][0]["message"]["content"] for body in bodies]
    crowd: dict[int, str] = {}

    def ask(n: int) -> None:
        crowd[n] = call(tiny, bodies[n])[1]["choices"][0]["message"]["content"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [crowd[n] for n in range(16)] == alone
    same = [
        call(tiny, question(seed=n, temperature=3.0))[1]["choices"][0]["message"]["content"]
        for n in range(8)
    ]
    assert len(set(same)) > 1


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"n": 2}, 400, "n: "),
        ({"stream": True}, 400, "stream: "),
        ({"logprobs": True}, 400, "logprobs: "),
        ({"tools": []}, 400, "tools: is not supported here"),
        ({"stop": ["x"]}, 400, "stop: is not supported here"),
        ({"top_p": 0}, 400, "top_p: "),
        ({"max_tokens": 100_000}, 400, "exceed the model's context"),
        ({"max_completion_tokens": 5}, 400, "one setting"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages.0.role: "),
        ({"messages": [{"role": "user", "content": "x"}] * 2}, 400, "messages"),
        ({"model": "other"}, 404, "'other' is not served"),
    ],
)
def test_what_is_not_supported_is_refused(tiny: Server, change, status, sentence):
    found, reply = call(tiny, question(**change))
    assert found == status and sentence in reply["error"]["message"]


def test_the_server_answers_health_and_models_and_refuses_the_rest(tiny: Server):
    assert call(tiny, None, "/health") == (200, {"status": "ok"})
    assert call(tiny, None, "/v1/models")[1]["data"][0]["id"] == "longstep-tiny"
    assert call(tiny, None, "/v1/secrets")[0] == 404
    assert call(tiny, b"\xff{")[0] == 400
    assert call(tiny, b"[" * 10_000)[0] == 400


def test_a_request_without_the_key_or_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setenv("SERVE_KEY", "sesame")
    known = Worked({"1+1?": "2"})
    for server in running(Served("w", known, known.prompt), api_key_env="SERVE_KEY"):
        asked = {**question("1+1?"), "model": "w"}
        assert call(server, asked)[0] == 401
        assert call(server, None, "/v1/models")[0] == 401
        assert call(server, asked, Authorization="Bearer guess")[0] == 401
        status, reply = call(server, asked, Authorization="Bearer sesame")
        assert status == 200 and reply["choices"][0]["message"]["content"] == "2"
        right = {"Authorization": "Bearer sesame", "Content-Length": str(10**9)}
        assert call(server, asked, **right)[0] == 413


def test_worked_solutions_are_served_whole_or_cut_at_max_tokens():
    known = Worked({"q?": "<think>one two\nthree</think>\\boxed{3}"})
    for server in running(Served("w", known, known.prompt)):
        status, reply = call(server, {**question("q?"), "model": "w"})
        [choice] = reply["choices"]
        assert (status, choice["message"]["content"]) == (
            200,
            "<think>one two\nthree</think>\\boxed{3}",
        )
        # <think>, one, two, three, </think>, \\boxed, {, 3, }
        assert (choice["finish_reason"], reply["usage"]["completion_tokens"]) == ("stop", 9)
        [choice] = call(server, {**question("q?", max_tokens=3), "model": "w"})[1]["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == (
            "<think>one two",
            "length",
        )
        status, reply = call(server, {**question("unknown?"), "model": "w"})
        assert status == 400 and "no worked solution" in reply["error"]["message"]


class Broken(Generator):
    """A generator with a mistake in it."""

    def draw(self, asked: Any, how: Any, *more: Any) -> Iterator[Completion]:
        raise ZeroDivisionError("a mistake")

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_generator_that_fails_gives_an_error_and_not_silence():
    for server in running(Served("b", Broken(), lambda text, name: Prompt(name, text=text))):
        status, reply = call(server, {**question(), "model": "b"})
        assert status == 500 and reply["error"]["message"] == "the generator failed"


def test_what_a_file_of_problems_answers(tmp_path):
    path = tmp_path / "problems.jsonl"
    write_rows(path, PROBLEMS)
    source = source_of(str(path))
    prompt = source.prompt("2+1?", "x")
    [found] = source.generator.draw([prompt], Sampling())
    assert (source.model, found.text) == ("problems.jsonl", "<think>2+1=3</think>\\boxed{3}")
    write_rows(path, [PROBLEMS[0], Problem("other", "0+1?", "1", solution="1+0=1")])
    with pytest.raises(UserError, match="two worked solutions to one question"):
        source_of(str(path))
    write_rows(path, [Problem("p", "0+1?", "1")])
    with pytest.raises(UserError, match="has no worked solution"):
        source_of(str(path))


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
        Managed(model=model, command=command, ready_timeout=100, concurrency=2),
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
