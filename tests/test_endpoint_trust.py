"""What an endpoint says that must not be believed, and single requests that must not stop the others."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from fault_server import QUICK, Act, FaultServer, completion, echo, hang, reply
from longstep.config import UserError, ValidationError
from longstep.generate import Endpoint, EndpointGenerator, Prompt, Sampling, lane
from longstep.generate.answer import Answer, parse
from longstep.generate.journal import Journal
from longstep.generate.transport import Address, Transport
from longstep.types import Completion


class Client:
    """A generator for these servers, with what it told on the way."""

    def __init__(self, *servers: FaultServer, **settings: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        config = {"model": "m", "endpoints": [each.url for each in servers], **QUICK, **settings}
        self.generator = EndpointGenerator(
            Endpoint.model_validate(config),
            lambda what, facts: self.told.append((what, dict(facts))),
        )

    def draw(self, number: int, log: Path | None = None, samples: int = 1) -> list[Completion]:
        """What was answered; a refused sample comes with a verdict."""
        prompts = [Prompt(f"p{n:03}", text=f"question {n}") for n in range(number)]
        sampling = Sampling(samples=samples)
        drawn = self.generator.draw(prompts, sampling, log)
        return [row for row in drawn if row.verdict is None]

    @property
    def warnings(self) -> list[str]:
        return [str(facts["warning"]) for _, facts in self.told if "warning" in facts]


def asks(body: dict[str, Any], number: int) -> bool:
    return body["messages"][0]["content"] == f"question {number}"


# -- whose answer it is -----------------------------------------------------------------------------


def test_a_response_too_many_is_not_taken_for_the_answer_to_the_next_request(start):
    """Two responses to each request, on a connection that stays open for as long as the client likes."""

    def twice(connection: Any, content: bytes) -> None:
        for body in (content, completion("of another request")):
            connection.sendall(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            connection.sendall(body)

    class Chatty(FaultServer):
        """Serves requests on one connection until it is closed."""

        def _receive(self, stream: Any) -> tuple[dict[str, Any], int] | None:
            got = super()._receive(stream)
            self.stream = stream
            return got

    def script(body: dict[str, Any], before: int) -> Act:
        def act(connection: Any) -> None:
            question: dict[str, Any] | None = body
            while question is not None:
                said = f"<think>{question['messages'][0]['content']}</think>{question['seed']}"
                twice(connection, completion(said))
                try:
                    got = server._receive(server.stream)
                except ValueError:  # nothing more on this connection
                    return
                question = got and got[0]

        return act

    server = Chatty(script)
    honest = start()
    expected = Client(honest).draw(8)
    assert Client(server, concurrency=1).draw(8) == expected
    server.stop()


def test_a_server_that_becomes_another_model_is_said_once_and_counted(start, tmp_path):
    def flips(body: dict[str, Any], before: int) -> Act:
        name = "distilled" if asks(body, 2) or asks(body, 4) else "m"
        content = json.loads(completion(f"<think>{body['messages'][0]['content']}</think>"))
        return reply(200, json.dumps({**content, "model": name}).encode())

    server = start(flips)
    client = Client(server)
    log = tmp_path / "log.jsonl"
    client.draw(6, log)
    [said] = client.warnings
    assert said == (
        f"{server.url}: asked for model 'm', it now answers as 'distilled'; its answers may be of two models"
    )
    assert client.generator.describe()["answered_as_another"] == {"distilled": 2}
    again = Client(server)
    again.draw(6, log)  # from the journal
    assert again.generator.describe()["answered_as_another"] == {"distilled": 2}


def test_a_name_that_was_said_when_probing_is_not_said_again(start, tmp_path):
    named = json.dumps({**json.loads(completion("<think></think>1")), "model": "other"}).encode()
    client = Client(start(lambda *_: reply(200, named)))
    client.draw(3, tmp_path / "log.jsonl")
    assert len(client.warnings) == 1
    assert client.generator.describe()["answered_as_another"] == {"other": 3}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (completion("<think>2+2</think>4", reasoning="2+2"), "<think>2+2</think>4"),
        (completion("\n<think>\n2+2\n</think>4", reasoning="2+2"), "\n<think>\n2+2\n</think>4"),
        (completion("4", reasoning="4"), "<think>4</think>4"),
        (completion("2+2</think>4, not <think>"), "<think>2+2</think>4, not <think>"),
        (completion(None, reasoning_content="2+2"), "<think>2+2</think>"),
        (completion("b</think>4", reasoning="a"), "<think>a</think>b</think>4"),
    ],
)
def test_a_thought_is_written_once_and_opened_where_it_begins(content, text):
    assert parse(content, str, "m").text == text


# -- one request among others -----------------------------------------------------------------------


@pytest.mark.parametrize("probed", [True, False])
def test_a_forbidden_prompt_does_not_stop_an_endpoint_that_answers_others(start, tmp_path, probed):
    """A moderated prompt is a 403 of some routers; a wrong key is one, too, but then nothing is ever answered."""
    server = start(lambda body, before: reply(403, b"flagged") if asks(body, 5) else echo(body))
    client = Client(server, concurrency=2)
    found = client.draw(8, tmp_path / "log.jsonl" if probed else None)
    assert [row.problem_id for row in found] == [f"p{n:03}" for n in range(8) if n != 5]
    assert client.generator.describe()["refused"] == {"gave up after 3 tries": 1}


def test_a_missing_page_that_comes_back_is_asked_again(start):
    server = start(lambda body, before: echo(body) if before or not asks(body, 3) else reply(404))
    assert len(Client(server, concurrency=1).draw(6)) == 6


def test_a_key_that_ends_on_the_way_stops_the_run_and_keeps_the_answers(start, tmp_path):
    server = start(lambda body, before: echo(body) if len(server.asked) <= 6 else reply(401))
    log = tmp_path / "log.jsonl"
    with pytest.raises(UserError, match=r"status 401.*answers are kept"):
        Client(server, concurrency=1).draw(9, log)
    with Journal(log) as journal:
        assert len(journal) == 4  # and two requests of the probe


def test_a_prompt_that_is_too_long_stops_nothing_however_many_samples_are_asked(start):
    """It is the first, and refusals are quick: twenty of them stand before the first answer."""

    def script(body: dict[str, Any], before: int) -> Act:
        if asks(body, 0):
            return reply(400, b"maximum context length is 4096 tokens")
        time.sleep(0.1)
        return echo(body)

    client = Client(start(script))
    assert len(client.draw(3, samples=20)) == 40
    assert client.generator.describe()["refused"] == {"status 400": 20}
    with pytest.raises(UserError, match="1 of 60 samples refused for good"):
        Client(start(script), max_refused=0, concurrency=1).draw(3, samples=20)


def test_an_endpoint_that_takes_requests_and_never_answers_is_given_up_after_our_patience(
    start, monkeypatch
):
    """Each try may take the whole timeout, one at a time once the endpoint rests: hours, if a try were a trial."""
    monkeypatch.setattr(lane, "SECONDS", 0.1)
    server = start(lambda body, before: hang(20) if len(server.asked) > 4 else echo(body))
    client = Client(server, timeout=1, patience=0.5, max_retries=100)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no endpoint takes requests.*no answer of 16 tokens"):
        client.draw(40)
    assert time.monotonic() - began < 60  # a hundred tries of a second


def test_requests_that_take_too_long_are_given_up_together_when_the_endpoint_is_well(start):
    """Six of them open the breaker; a short question closes it, and they need not wait for one another."""
    slow = set(range(3, 9))

    def script(body: dict[str, Any], before: int) -> Act:
        n = int(body["messages"][0]["content"].split()[1])
        return hang(20) if n in slow and body["max_tokens"] > 16 else echo(body)

    client = Client(start(script), timeout=0.5, max_refused=0.7, patience=0.2, max_retries=6)
    began = time.monotonic()
    assert len(client.draw(9)) == 3
    assert client.generator.describe()["refused"] == {"gave up after 7 tries": 6}
    assert time.monotonic() - began < 18  # one after another: 42 tries of half a second


def test_an_endpoint_that_rests_is_not_asked_for_a_few_tokens_before_it_says(start):
    times: list[float] = []

    def script(body: dict[str, Any], before: int) -> Act:
        times.append(time.monotonic())
        if len(times) == 1:
            return hang(20)
        return reply(429, Retry_After="1") if len(times) == 2 else echo(body)

    client = Client(start(script), timeout=0.5, open_after=1, concurrency=1)
    assert len(client.draw(1)) == 1
    assert times[2] - times[1] > 0.9


def damaged() -> Iterator[bytes]:
    """Lines that are JSON, or not, and no record."""
    answer = {"text": "x", "finish_reason": "stop"}
    check = hashlib.blake2b(b"x", digest_size=4).hexdigest()
    yield from (b"", b"null", b"{}", b"\0" * 500, b"\xff\xfe", b"[" * 100_000)
    for record in (
        {"check": check, "answer": answer},
        {"key": None, "check": check, "answer": answer},
        {"key": "k", "check": check, "answer": {**answer, "finish_reason": "later"}},
        {"key": "k", "check": check, "answer": {**answer, "text": "\ud800"}},
    ):
        yield json.dumps(record).encode()


@pytest.mark.parametrize("line", list(damaged()), ids=lambda line: repr(line[:20]))
def test_a_damaged_line_is_as_if_it_had_never_been_written(tmp_path, line):
    log = tmp_path / "log.jsonl"
    with Journal(log) as journal:
        journal.append("first", Answer("1", "stop"))
    whole = log.read_bytes()
    log.write_bytes(line + b"\n" + whole + line + b"\n")
    with Journal(log) as journal:
        assert len(journal) == 1 and journal["first"].text == "1"
        journal.append("second", Answer("2", "stop"))
    with Journal(log) as journal:
        assert journal["first"].text == "1" and journal["second"].text == "2"


# -- time, addresses and keys -----------------------------------------------------------------------


def test_a_date_to_wait_for_is_read_by_the_servers_own_clock(start):
    """The clocks differ by hours; what the server asks for is one second."""
    theirs = time.time() + 7200
    later = reply(429, Date=formatdate(theirs, usegmt=True), Retry_After=formatdate(theirs + 1, usegmt=True))  # fmt: skip
    server = start(lambda body, before: echo(body) if before else later)
    began = time.monotonic()
    assert len(Client(server).draw(1)) == 1
    assert 0.9 <= time.monotonic() - began < 60  # and not two hours


@pytest.mark.parametrize("proxy", ["socks5://me:sesame@127.0.0.1:9", "ftp://me:sesame@x"])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UserError, match="the proxy named in the environment") as caught:
        Transport(Address(url="http://host.example/v1"), 1, 1)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_no_proxy_stands_between_us_and_this_machine(start, monkeypatch, host):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    url = start().url.replace("127.0.0.1", host)
    config = Endpoint.model_validate({"model": "m", "url": url, **QUICK, "patience": 0})
    prompts = [Prompt("p", text="question 0")]
    assert len(list(EndpointGenerator(config).draw(prompts, Sampling()))) == 1


@pytest.mark.parametrize(
    "key", ["sk-0123456789abcdef", "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH", "0123abcd", ""]
)
def test_a_key_in_place_of_its_variables_name_is_refused(key):
    for given in ({"url": "http://a/v1", "api_key_env": key}, {"endpoints": [{"url": "http://a/v1", "api_key_env": key}]}):  # fmt: skip
        with pytest.raises(ValidationError, match="not the key itself"):
            Endpoint.model_validate({"model": "m", **given})
    Address(url="http://a/v1", api_key_env="MY_COMPANYS_TEACHER_ENDPOINT_API_KEY")


@pytest.mark.parametrize("url", ["http://a b/v1", "http://a\n/v1", "http://a/v1\x1b"])
def test_an_address_of_unreadable_characters_is_refused(url):
    with pytest.raises(ValidationError, match="expected http"):
        Address(url=url)
