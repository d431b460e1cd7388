"""What endpoints do wrong, and that nothing is lost, doubled, leaked or waited for in vain."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fault_server import (
    QUICK,
    Act,
    FaultServer,
    Script,
    chat,
    completion,
    drip,
    echo,
    flood,
    hang,
    reply,
    reset,
)
from longstep.config import UserError, ValidationError
from longstep.generate import Endpoint, EndpointGenerator, Prompt, Sampling
from longstep.generate.answer import Answer, Barred, Refused
from longstep.generate.breaker import LONGEST_REST, Breaker
from longstep.generate.journal import Journal, request_key
from longstep.generate.pool import Job, Lane, Pool, Remote, Tally
from longstep.generate.transport import Address, retry_after
from longstep.generate.window import Window
from longstep.types import Completion
from patience import PATIENCE, SOON

HERE = Path(__file__).parent


def prompts(number: int) -> list[Prompt]:
    return [Prompt(f"p{n:03}", text=f"question {n}") for n in range(number)]


def ask(
    *servers: FaultServer,
    number: int = 1,
    samples: int = 1,
    log: Path | None = None,
    **settings: Any,
) -> list[Completion]:
    generator = remote(*servers, **settings)
    return list(generator.draw(prompts(number), Sampling(samples=samples), log, lambda tally: None))


def remote(*servers: FaultServer, tell: Any = None, **settings: Any) -> EndpointGenerator:
    urls = [server.url for server in servers]
    return EndpointGenerator(
        Endpoint.model_validate({"model": "m", "endpoints": urls, **QUICK, **settings}), tell
    )


# -- one bad answer, then a good one ----------------------------------------------------------------

GOOD = completion("<think>question 0</think>1")


@pytest.mark.parametrize(
    "fault",
    [
        reply(429, b"slow down"),
        reply(429, b"slow down", Retry_After="0"),
        reply(429, b"slow down", Retry_After=formatdate(0, usegmt=True)),
        reply(429, b"slow down", Retry_After="soon"),
        reply(500, b"oops"),
        reply(503, b"loading", Retry_After="0"),
        reset(GOOD),
        reply(200, GOOD[:-5]),
        reply(200, "{'Größe'".encode("latin-1")),
        reply(200, GOOD, Content_Encoding="gzip"),
        reply(200, b'{"choices": []}'),
        reply(200, b"[" * 100_000),
        reply(200, completion("half \ud800")),
        chat("x", "tool_calls"),
        reply(200, b"<html>proxy error</html>"),
    ],
)
def test_a_fault_that_may_pass_is_asked_again(start, fault):
    server = start(lambda body, before: echo(body) if before else fault)
    [found] = ask(server)
    assert found.text.startswith("<think>question 0</think>")
    assert len(server.asked) == 2 and server.asked[0] == server.asked[1]


def test_utf16_is_json_too_and_surrogate_pairs_are_kept(start):
    server = start(lambda *_: reply(200, completion("½ 😀").decode().encode("utf-16")))
    assert [row.text for row in ask(server)] == ["½ 😀"]


@pytest.mark.parametrize("late", [hang(9), drip(b" " * 200 + GOOD, 0.05)], ids=["hang", "drip"])
def test_one_deadline_ends_silence_and_slow_drips(start, late):
    server = start(lambda body, before: echo(body) if before else late)
    began = time.monotonic()
    [found] = ask(server, timeout=1)
    assert found.text.startswith("<think>question 0</think>")
    assert 1 <= time.monotonic() - began < 9
    assert server.asked[0] == server.asked[-1]


def test_the_last_failure_is_named_when_the_tries_are_used_up(start):
    server = start(lambda *_: hang(9))
    with pytest.raises(
        UserError, match=r"gave up after 2 tries: no whole answer within 0\.2 s; answers are kept"
    ):
        ask(server, timeout=0.2, max_retries=1)
    assert len(server.asked) == 2


def test_retry_after_is_read_in_both_forms():
    now = 1_700_000_000.0
    assert retry_after("7", now) == 7
    assert retry_after(formatdate(now + 30, usegmt=True), now) == pytest.approx(30)
    assert retry_after(formatdate(now - 30, usegmt=True), now) == 0
    assert [retry_after(text, now) for text in ("", "soon", "-3", "1.5", "²")] == [None] * 5
    assert retry_after("9" * 400, now) == 999_999_999


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(start, status):
    server = start(lambda body, before: echo(body) if before else reply(status, Retry_After="1"))
    began = time.monotonic()
    ask(server)
    assert time.monotonic() - began >= 1


def test_a_wait_beyond_our_patience_is_not_begun(start):
    server = start(lambda *_: reply(429, b"quota used up", Retry_After="86400"))
    with pytest.raises(UserError, match=r"no endpoint takes requests \(patience 600 s\).*quota"):
        ask(server)
    assert len(server.asked) == 1


def test_a_dead_address_is_given_up_after_our_patience(start):
    server = start()
    server.stop()
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no endpoint takes requests.*ConnectError"):
        ask(server, patience=0.3)
    assert 0.3 <= time.monotonic() - began < SOON


# -- what is refused for good -----------------------------------------------------------------------


def refuse(question: str, act: Any) -> Script:
    return lambda body, before: act if body["messages"][0]["content"] == question else echo(body)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (reply(400, b"too long"), "status 400"),
        (chat(None, "content_filter"), "finish_reason 'content_filter'"),
        (reply(500, b"crash"), "gave up after 3 tries"),
    ],
)
def test_one_refused_sample_is_counted_and_the_others_come(start, act, why):
    server = start(refuse("question 3", act))
    generator = remote(server, max_refused=0.1)
    found = list(generator.draw(prompts(10), Sampling()))
    assert [row.problem_id for row in found] == [p.problem_id for p in prompts(10)]
    [lost] = [row.verdict for row in found if row.verdict is not None]
    assert (lost.status, lost.rung) == ("timeout", "endpoint") and found[3].verdict == lost
    assert lost.reason.startswith(f"no answer: {why}") and found[3].text == ""
    assert generator.describe()["refused"] == {why: 1}
    asked = len(server.asked)
    assert list(generator.draw(prompts(10)[3:4], Sampling())) == found[3:4]
    assert len(server.asked) == asked  # it was refused for good: not asked again
    server = start(
        lambda body, before: act if body["messages"][0]["content"] in ("question 3", "question 4") else echo(body)
    )  # fmt: skip
    with pytest.raises(
        UserError, match=r"2 of 10 samples refused for good.*max_refused 0\.19.*'p00[34]'"
    ):
        ask(server, number=10, max_refused=0.19)


def test_when_the_first_ten_are_all_refused_the_run_stops(start):
    server = start(lambda *_: reply(400, b"max_tokens is too large"))
    with pytest.raises(UserError, match=r"10 of 300 samples refused for good.*too large"):
        ask(server, number=300, max_refused=0.5, concurrency=1)
    assert len(server.asked) == 10


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_at_once(start, status):
    server = start(lambda *_: reply(status, b"no such model or key"))
    with pytest.raises(UserError, match=f"status {status}: no such model or key"):
        ask(server, number=50, concurrency=1)
    assert len(server.asked) == 1


def test_an_endless_response_is_cut_off(start):
    sent: list[int] = []
    server = start(lambda *_: flood(10_000_000_000, sent))
    began = time.monotonic()
    with pytest.raises(UserError, match="exceeds max_response_bytes 100000"):
        ask(server, max_response_bytes=100_000)
    assert time.monotonic() - began < SOON
    deadline = time.monotonic() + SOON
    while not sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sent[0] < 50_000_000  # what fits into the sockets' buffers


# -- credentials ------------------------------------------------------------------------------------

KEY = "sk-0123456789abcdefghij"


def test_the_key_stays_between_us_and_the_endpoint(start, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SOME_KEY", KEY)
    thief = start()
    told: list[object] = []

    def script(body: dict[str, Any], before: int) -> Any:
        if body["messages"][0]["content"] == "question 0":
            return reply(400, f"bad key {KEY}".encode())
        return chat(f"you sent Bearer {KEY}", usage=1)

    server = start(script)
    address = {"url": server.url, "api_key_env": "SOME_KEY"}
    settings = {"model": "m", "endpoints": [address], "max_refused": 0.5, **QUICK}
    generator = EndpointGenerator(
        Endpoint.model_validate(settings), lambda what, facts: told.append((what, facts))
    )
    found = list(generator.draw(prompts(4), Sampling(), tmp_path / "log.jsonl", lambda tally: None))
    assert [row.text for row in found] == ["", *["you sent Bearer ***"] * 3]
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    moved = start(lambda *_: reply(307, Location=f"{thief.url}/chat/completions?key={KEY}"))
    address = {"url": moved.url, "api_key_env": "SOME_KEY"}
    with pytest.raises(UserError, match="redirects are not followed") as caught:
        list(
            EndpointGenerator(Endpoint.model_validate({"model": "m", "endpoints": [address]})).draw(
                prompts(1), Sampling()
            )
        )
    assert thief.asked == []
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    captured = capsys.readouterr()
    everything = (
        f"{caught.value}{told}{generator.describe()}{captured.out}{captured.err}{written!r}"
    )
    assert "bad key ***" in everything and KEY not in everything


SECRET = "sk-abc/def+0123456789=="


@pytest.mark.parametrize("room", ["", "x" * 190], ids=["whole", "cut within the key"])
@pytest.mark.parametrize(
    "written",
    [SECRET, SECRET.replace("/", "\\/"), quote(SECRET), quote(SECRET, safe="")],
    ids=["plain", "json", "path", "query"],
)
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        '{{"error": "{}"}}',
        '{{"choices": [{{"message": {{"content": "x"}}, "finish_reason": "{}"}}]}}',
    ],
    ids=["text", "json", "finish_reason"],
)
@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_server_that_echoes_the_key_does_not_make_us_write_it_down(
    start, monkeypatch, tmp_path, status, form, written, room
):
    """Wherever a server's words go: events, the error, the journal, what was probed, the reasons of refusals."""
    monkeypatch.setenv("SOME_KEY", SECRET)
    told: list[object] = []
    server = start(lambda *_: reply(status, form.format(room + written).encode()))
    address = {"url": server.url, "api_key_env": "SOME_KEY"}
    generator = EndpointGenerator(
        Endpoint.model_validate(
            {"model": "m", "endpoints": [address], **QUICK, "open_after": 1, "backoff": 0, "patience": 0.05, "max_refused": 0}
        ),
        lambda what, facts: told.append((what, facts)),
    )  # fmt: skip
    with pytest.raises(UserError) as caught:
        list(generator.draw(prompts(1), Sampling(), tmp_path / "log.jsonl", lambda tally: None))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    everything = f"{caught.value}{told}{generator.describe()}{generator.tally.refused}{files!r}"
    assert str(status) in everything or "completion" in everything or "finish_reason" in everything
    for start_of_key in ("sk-abc", "abc/def", "0123456789"):
        assert start_of_key not in everything
    assert "\x1b" not in everything


def test_the_name_a_server_gives_itself_is_scrubbed_before_it_is_cut(start, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_KEY", SECRET)
    named = json.dumps({**json.loads(GOOD), "model": "x" * 190 + SECRET}).encode()
    server = start(lambda *_: reply(200, named))
    generator = EndpointGenerator(Endpoint(model="m", url=server.url, api_key_env="SOME_KEY"))
    list(generator.draw(prompts(1), Sampling(), tmp_path / "log.jsonl", lambda tally: None))
    [features] = generator.features.values()
    assert features.answers_as == "x" * 190 + "***"


def test_a_servers_words_cannot_speak_to_the_terminal(start):
    server = start(lambda *_: reply(401, "no\x1b[31m\nkey\u202e".encode()))
    with pytest.raises(UserError, match=r"status 401: no \[31m key ; answers are kept"):
        ask(server)


def test_a_key_that_is_not_set_or_not_one_line_is_refused_without_quoting_it(start, monkeypatch):
    server = start()
    monkeypatch.delenv("SOME_KEY", raising=False)
    config = Endpoint(model="m", url=server.url, api_key_env="SOME_KEY")
    with pytest.raises(UserError, match="SOME_KEY is not set"):
        list(EndpointGenerator(config).draw(prompts(1), Sampling()))
    monkeypatch.setenv("SOME_KEY", "sesame\nX-Evil: 1")
    with pytest.raises(UserError, match="holds no key") as caught:
        list(EndpointGenerator(config).draw(prompts(1), Sampling()))
    assert "sesame" not in str(caught.value) and server.asked == []


def test_a_certificate_of_nobody_is_refused_at_once_and_trusted_when_it_is_named(
    tmp_path, monkeypatch
):
    if subprocess.run(["which", "openssl"], capture_output=True).returncode:
        pytest.skip("openssl is not installed, so no certificate can be made")
    pem = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", pem)
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    handshakes: list[str] = []

    def accept() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
                handshakes.append("completed")
            except ssl.SSLError as error:
                handshakes.append(error.reason)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    with pytest.raises(UserError, match=r"certificate is not trusted \(self-signed"):
        list(EndpointGenerator(Endpoint(model="m", url=url)).draw(prompts(1), Sampling()))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # none is asked for this machine
    with pytest.raises(UserError, match="gave up after 1 tries"):
        list(
            EndpointGenerator(Endpoint(model="m", url=url, max_retries=0)).draw(
                prompts(1), Sampling()
            )
        )
    thread.join(5)
    listener.close()
    assert len(handshakes) == 2 and handshakes[0] != "completed" and handshakes[1] == "completed"


# -- several endpoints ------------------------------------------------------------------------------


def test_killing_one_of_two_endpoints_half_way_gives_the_identical_set(start):
    whole = ask(start(), number=40, samples=2)
    assert len({row.text for row in whole}) == 80
    first, served = start(), threading.Event()

    def count(body: dict[str, Any], before: int) -> Any:
        if len(second.asked) == 5:
            served.set()
        time.sleep(0.005)
        return echo(body)

    second = start(count)
    killer = threading.Thread(target=lambda: (served.wait(10), second.stop()))
    killer.start()
    assert ask(first, second, number=40, samples=2, concurrency=4) == whole
    killer.join()
    assert len(second.asked) >= 5 and len(first.asked) > 40


def test_models_and_keys_differ_by_endpoint_and_the_set_does_not(start, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    one, two = start(), start()
    other = {"url": two.url, "model": "org/m", "api_key_env": "SOME_KEY"}
    config = Endpoint.model_validate(
        {"model": "m", "endpoints": [one.url, other], "concurrency": 2}
    )
    assert list(EndpointGenerator(config).draw(prompts(12), Sampling())) == ask(start(), number=12)
    assert {body["model"] for body in one.asked} == {"m"}
    assert {body["model"] for body in two.asked} == {"org/m"}
    assert all("authorization" not in headers for headers in one.headers)


@pytest.mark.parametrize("failures", [4, 1_000_000], ids=["recovers", "stays down"])
def test_a_failing_endpoint_rests_and_comes_back(start, failures):
    told: list[str] = []

    def fail(body: dict[str, Any], before: int) -> Act:
        return reply(500) if len(sick.asked) <= failures else echo(body)

    def slow(body: dict[str, Any], before: int) -> Act:
        time.sleep(0.01)
        return echo(body)

    sick, healthy = start(fail), start(slow)
    generator = remote(
        sick, healthy, tell=lambda what, facts: told.append(what), open_after=3, backoff=0.1, concurrency=2, max_retries=20
    )  # fmt: skip
    assert len(list(generator.draw(prompts(120), Sampling()))) == 120
    assert told.count("endpoint_rests") >= 1
    if failures == 4:
        assert any(body not in healthy.asked for body in sick.asked)  # it answered later on
    else:
        # Three or four in a row, then one per rest of 0.1, 0.2, 0.4 ... seconds, and not one per prompt.
        assert 4 <= len(sick.asked) <= 20
        assert len(healthy.asked) == 120


@pytest.mark.parametrize(
    "act",
    [reply(401, b"who?"), reply(404, b"what?"), reply(307, Location="http://elsewhere/")],
    ids=["key", "model", "redirect"],
)
@pytest.mark.parametrize("probed", [True, False])
def test_one_endpoint_that_takes_nothing_is_left_alone_and_the_other_does_the_work(
    start, tmp_path, act, probed
):
    told: list[tuple[str, Any]] = []
    wrong, right = start(lambda *_: act), start()
    log = tmp_path / "log.jsonl" if probed else None
    generator = remote(
        wrong, right, tell=lambda what, facts: told.append((what, facts)), concurrency=3
    )
    found = list(generator.draw(prompts(20), Sampling(), log, lambda tally: None))
    assert [row.text for row in found] == [row.text for row in ask(start(), number=20)]
    assert generator.tally.refused == {}
    assert len(wrong.asked) == 1 if probed else 1 <= len(wrong.asked) <= 3
    [barred] = [facts for what, facts in told if what == "endpoint_barred"]
    assert barred["url"] == wrong.url
    assert "it is not asked again in this run, the other endpoints are" in barred["warning"]
    warned = [facts["warning"] for _, facts in told if wrong.url in facts.get("warning", "")]
    assert len(warned) == 1


def test_the_run_stops_when_the_last_endpoint_is_barred_and_names_each(start):
    first, second = start(lambda *_: reply(401, b"who?")), start(lambda *_: reply(404, b"what?"))
    with pytest.raises(
        UserError, match=r"status 401: who\?; .*status 404: what\?; answers are kept"
    ):
        ask(first, second, number=9, concurrency=2)


def test_a_barred_endpoint_does_not_keep_a_run_waiting_for_one_that_is_down(start):
    barred, down = start(lambda *_: reply(401, b"who?")), start()
    down.stop()
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no endpoint takes requests.*status 401: who"):
        ask(barred, down, number=5, patience=0.3)
    assert time.monotonic() - began < SOON


class Done:
    """A request that ended; what a pool looks at."""

    def __init__(self, outcome: Answer | Exception) -> None:
        self.outcome = outcome

    def result(self) -> Answer:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_answers_that_came_with_the_last_straw_are_journaled_before_the_run_stops():
    settings = Remote(model="m", max_refused=0)
    address = Address(url="http://host/v1")
    transport: Any = None
    lane = Lane(address, "m", transport, Breaker(5, 1), Window(4))
    jobs = [Job(str(n), {}, (f"p{n}", 0)) for n in range(4)]
    ended: list[Any] = [
        Done(Refused("flagged")),
        Done(Answer("one", "stop")),
        Done(Barred("who?")),
        Done(Answer("two", "stop")),
    ]
    with Journal() as journal:
        pool = Pool(settings, [lane], jobs, journal, Tally(4), lambda what, facts: None)
        pool._running = {
            task: (job, lane, lane.window.sent()) for task, job in zip(ended, jobs, strict=True)
        }
        with pytest.raises(UserError, match="1 of 4 samples refused for good"):
            pool._settle_all(ended)
        assert "1" in journal and "3" in journal and len(journal) == 2
        assert lane.barred == "who?" and not pool._running


# -- the journal ------------------------------------------------------------------------------------


def test_a_torn_or_damaged_line_is_asked_again_and_nothing_else(start, tmp_path):
    log = tmp_path / "log.jsonl"
    server = start()
    whole = ask(server, number=6, log=log)
    asked = len(server.asked)
    assert asked == 6 + 2  # two probes
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    lines[1] = lines[1].replace(b"question", b"Question")
    log.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    assert ask(server, number=6, log=log) == whole
    assert (
        len(server.asked) == asked + 3
    )  # the damaged, the torn and the missing one; no probe again
    assert ask(server, number=6, log=log) == whole
    assert len(server.asked) == asked + 3


def test_the_key_of_a_request_names_what_is_asked_and_not_who_answers(tmp_path):
    body = {"messages": [{"role": "user", "content": "1+1 ½"}], "seed": 3, "temperature": 0.6}
    key = request_key("m", body)
    assert key == request_key("m", dict(reversed(body.items())))
    others = [
        request_key("n", body),
        *(request_key("m", {**body, **change}) for change in ({"seed": 4}, {"top_k": 1})),
    ]
    assert len({key, *others}) == 4
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.append(key, Answer("one\nline ½\u2028", "length", 5))
        journal.append(key, Answer("a second answer", "stop"))
        assert key in journal and len(journal) == 1
    with Journal(tmp_path / "log.jsonl") as journal:
        assert journal[key] == Answer("one\nline ½\u2028", "length", 5)
    assert (tmp_path / "log.jsonl").read_bytes().count(b"\n") == 1


CLIENT = """
from pathlib import Path
from longstep.generate import Endpoint, EndpointGenerator, Prompt, Sampling
prompts = [Prompt(f"p{{n:03}}", text=f"question {{n}}") for n in range(40)]
generator = EndpointGenerator(Endpoint(model="m", url={url!r}, concurrency=4))
for row in generator.draw(prompts, Sampling(samples=2), Path({log!r}), lambda tally: None):
    print(row.problem_id, row.sample_index, row.text, flush=True)
"""


def seeds(log: Path) -> list[str]:
    """The seeds of the answers in a journal; a torn last line is no answer."""
    lines = log.read_text().splitlines(keepends=True)
    whole = [json.loads(line)["answer"]["text"] for line in lines if line.endswith("\n")]
    return [text.rpartition(">")[2] for text in whole]


def test_a_killed_client_asks_again_only_for_what_it_did_not_have(tmp_path):
    port, asked, log = tmp_path / "port", tmp_path / "asked", tmp_path / "log.jsonl"
    server = subprocess.Popen(
        [sys.executable, str(HERE / "fault_server.py"), str(port), str(asked), "0.02"]
    )
    try:
        while not port.is_file():
            assert server.poll() is None
            time.sleep(0.01)
        code = CLIENT.format(url=port.read_text(), log=str(log))

        def client() -> subprocess.Popen[str]:
            return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

        kills = 0
        for stop_at in (10, 35):
            doomed = client()
            while not log.is_file() or log.read_bytes().count(b"\n") < stop_at:
                assert doomed.poll() is None
                time.sleep(0.002)
            os.kill(doomed.pid, signal.SIGKILL)
            kills += doomed.wait() == -signal.SIGKILL
            doomed.stdout.close()  # pyright: ignore
        kept = seeds(log)
        before = asked.read_text().split()
        last = client()
        printed, _ = last.communicate(timeout=PATIENCE)
        after = asked.read_text().split()[len(before) :]
    finally:
        server.kill()
        server.wait()
    assert kills == 2 and 35 <= len(kept) < 80
    assert [line.split()[:2] for line in printed.splitlines()] == [
        [p.problem_id, str(i)] for p in prompts(40) for i in range(2)
    ]
    assert not set(kept) & set(after)  # nothing that was answered is asked again
    final = seeds(log)
    assert final[: len(kept)] == kept and len(final) == len(set(final)) == 80
    honest = FaultServer()
    try:
        assert [line.split(" ", 2)[2] for line in printed.splitlines()] == [
            row.text for row in ask(honest, number=40, samples=2)
        ]
    finally:
        honest.stop()


# -- the breaker and the window, by hand ------------------------------------------------------------


def test_the_breaker_opens_rests_tries_once_and_closes():
    breaker = Breaker(open_after=3, rest=2)
    assert [breaker.failed(0), breaker.failed(0)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(1), breaker.failed(1)] == [False, False]  # in a row, not in all
    assert breaker.allows(1) and breaker.failed(1) and not breaker.allows(2.9)
    assert breaker.failed(1.5) is False and breaker.opens_at == 3  # a late failure prolongs nothing
    assert breaker.allows(3)
    breaker.sent()
    assert not breaker.allows(3)  # one trial at a time
    assert breaker.failed(4) is False and breaker.opens_at == 8  # twice the rest
    breaker.sent()
    breaker.failed(8)
    assert breaker.opens_at == 16
    for _ in range(40):
        breaker.sent()
        breaker.failed(100)
    assert breaker.opens_at == 100 + LONGEST_REST
    breaker.sent()
    breaker.withdrawn()
    assert breaker.allows(200)
    breaker.succeeded()
    assert breaker.allows(0) and breaker.opens_at is None


def test_the_window_halves_once_per_round_and_grows_by_one_per_round():
    window = Window(8)
    rounds = [window.sent() for _ in range(8)]
    assert not window.free and window.load == 1
    assert [window.narrow(each) for each in rounds] == [True] + [False] * 7
    for _ in rounds:
        window.done()
    assert window.limit == 4  # eight signs of one overload are one
    for _ in range(4):
        window.widen()
    assert (
        4.9 < window.limit < 5
    )  # 4 + 1/4 + 1/4.25 + 1/4.485 + 1/4.708 = 4.92: one more per four answers
    for _ in range(1000):
        window.widen()
    assert window.limit == 8
    for _ in range(5):
        window.narrow(window.sent())
    assert window.limit == 1 and not window.free


def test_overload_lowers_what_is_in_flight(start):
    """A server that takes two at a time and turns the others away is soon asked two at a time."""
    lock, state = threading.Lock(), {"now": 0, "away": 0}

    def script(body: dict[str, Any], before: int) -> Any:
        with lock:
            if state["now"] >= 2:
                state["away"] += 1
                return reply(429, b"two at a time")
            state["now"] += 1
        time.sleep(0.01)
        with lock:
            state["now"] -= 1
        return echo(body)

    found = ask(start(script), number=100, concurrency=32)
    assert len(found) == 100
    # 32 at a time all along would be turned away some 15 times for each that is served.
    assert state["away"] < 300


def test_a_burst_that_is_turned_away_is_one_reason_to_wait_and_not_sixteen(start):
    server = start(lambda body, before: echo(body) if before else reply(429))
    began = time.monotonic()
    assert len(ask(server, number=16, backoff=0.05)) == 16
    # Doubled for each of 16 the pause would be a minute; the burst counts once, 8 and 4 and so on once each.
    assert time.monotonic() - began < SOON


# -- configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"url": "http://key@host/v1"}, "without a name or key"),
        ({"url": "http://host/v1?key=x"}, "without a name or key"),
        ({"url": "file:///etc/passwd"}, "without a name or key"),
        ({}, "one 'url' or a list of 'endpoints'"),
        ({"url": "http://a/v1", "endpoints": ["http://b/v1"]}, "not both"),
        ({"endpoints": ["http://a/v1", "http://a/v1/"]}, "listed twice"),
        ({"endpoints": ["http://a/v1"], "api_key_env": "K"}, "belongs into each"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(given, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Endpoint.model_validate({"model": "m", **given})
