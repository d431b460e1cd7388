"""The endpoint client against a scripted server, and the two generators without a model."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longstep.config import UserError, ValidationError
from longstep.generate import Endpoint, FakeGenerator, Prompt, ReferenceGenerator, Sampling
from longstep.generate.endpoint import EndpointGenerator
from longstep.types import Problem


def chat(content, reason="stop", **message):
    body = {"choices": [{"message": {"content": content, **message}, "finish_reason": reason}]}
    return 200, {}, json.dumps(body).encode()


@pytest.fixture
def serve():
    """Start a server that answers by a function of (request body, times asked before)."""
    servers = []

    def start(answer):
        asked, lock = [], threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    before = sum(each == body for each, _ in asked)
                    asked.append((body, dict(self.headers)))
                status, headers, content = answer(body, before)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


PROMPTS = (Prompt("p", text="hi"),)


def ask(url, prompts=PROMPTS, sampling=None, **settings):
    settings = {"backoff": 0.01, "max_retries": 2, "timeout": 5, **settings}
    generator = EndpointGenerator(Endpoint(url=url, model="m", **settings))
    return list(generator.generate(prompts, sampling or Sampling()))


def test_results_come_in_canonical_order_each_with_its_own_seed(serve):
    def answer(body, before):
        question = body["messages"][0]["content"]
        time.sleep(0.05 if question == "first" else 0)  # the first asked is the last to be answered
        return chat(f"{question} {body['seed']}")

    prompts = [Prompt("b", text="second"), Prompt("a", text="first")]
    sampling = Sampling(samples=3, seed=5, top_k=20)
    url, asked = serve(answer)
    found = ask(url, prompts, sampling)
    order = [(each.problem_id, each.sample_index) for each in found]
    assert order == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert [each.text.split()[0] for each in found] == ["first"] * 3 + ["second"] * 3
    assert len({each.text for each in found}) == 6  # six different seeds
    assert ask(url, prompts[::-1], sampling, concurrency=1) == found
    body = asked[0][0]
    assert (body["temperature"], body["top_p"], body["top_k"], body["max_tokens"]) == (
        0.6,
        0.95,
        20,
        4096,
    )
    assert all(each.token_ids == () and each.finish_reason == "stop" for each in found)


@pytest.mark.parametrize(
    "failure",
    [
        (429, {"Retry-After": "0"}, b"slow down"),
        (500, {}, b"oops"),
        (200, {}, b'{"choices": [{"mess'),
        (200, {}, b'{"choices": []}'),
    ],
)
def test_a_failure_that_may_pass_is_tried_again(serve, failure):
    url, asked = serve(lambda body, before: failure if before == 0 else chat("ok"))
    assert [each.text for each in ask(url)] == ["ok"]
    assert len(asked) == 2


def test_retry_after_is_obeyed(serve):
    url, _ = serve(lambda _, before: chat("ok") if before else (429, {"Retry-After": "1"}, b""))
    start = time.monotonic()
    ask(url, backoff=0)
    assert time.monotonic() - start >= 1


def test_a_server_that_stays_down_ends_with_its_words(serve):
    url, asked = serve(lambda *_: (503, {}, b"no GPU left"))
    with pytest.raises(
        UserError, match=r"problem 'p', sample 0: gave up after 3 tries: .*no GPU left"
    ):
        ask(url)
    assert len(asked) == 3


def test_a_permanent_refusal_stops_at_once_and_hides_the_key(serve, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sesame")
    url, asked = serve(lambda *_: (400, {}, b"unknown model m for key sesame"))
    with pytest.raises(UserError, match="status 400: unknown model m for key") as caught:
        ask(url, api_key_env="SOME_KEY")
    assert "sesame" not in str(caught.value)
    assert [headers["Authorization"] for _, headers in asked] == ["Bearer sesame"]
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(UserError, match="SOME_KEY is not set"):
        ask(url, api_key_env="SOME_KEY")


def test_a_redirect_is_not_followed(serve):
    other, asked = serve(lambda *_: chat("stolen"))
    url, _ = serve(lambda *_: (307, {"Location": other}, b""))
    with pytest.raises(UserError, match="redirects are not followed"):
        ask(url)
    assert not asked


def test_a_response_over_the_limit_is_refused(serve):
    url, _ = serve(lambda *_: chat("x" * 5000))
    with pytest.raises(UserError, match="max_response_bytes 4000"):
        ask(url, max_response_bytes=4000)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (chat("4", reasoning_content="2+2"), "<think>2+2</think>4"),
        (chat("<think>2+2</think>4"), "<think>2+2</think>4"),
        (chat("2+2</think>4"), "<think>2+2</think>4"),
        (chat(None, "length", reasoning_content="2+"), "<think>2+"),
        (chat("par", "length"), "par"),
    ],
)
def test_thoughts_end_up_in_one_text(serve, answer, text):
    url, _ = serve(lambda *_: answer)
    [found] = ask(url)
    assert found.text == text
    assert found.finish_reason == json.loads(answer[2])["choices"][0]["finish_reason"]


def test_what_an_endpoint_cannot_do_is_refused():
    with pytest.raises(ValidationError, match="without a name or key"):
        Endpoint(url="http://key@host/v1", model="m")
    with pytest.raises(UserError, match="no log-probabilities"):
        ask("http://host/v1", sampling=Sampling(logprobs=True))


def test_fake_takes_texts_in_turn_or_calls_a_function():
    sampling = Sampling(samples=3)
    prompts = [Prompt("p", prefix="<think>")]
    scripted = FakeGenerator({"p": ["a", "b"]}).generate(prompts, sampling)
    assert [each.text for each in scripted] == ["<think>a", "<think>b", "<think>a"]
    called = FakeGenerator(lambda prompt, i: f"{prompt.problem_id}{i}").generate(prompts, sampling)
    assert [each.text for each in called] == ["<think>p0", "<think>p1", "<think>p2"]


def test_reference_writes_the_worked_solution():
    problem = Problem("p", "2+2?", "4", solution="2+2=4")
    generator = ReferenceGenerator({"p": problem}, lambda text: [ord(c) for c in text], stop_id=0)
    [found] = generator.generate([Prompt("p", (9,), "<think>")], Sampling())
    assert found.text == "<think>2+2=4</think>\\boxed{4}"
    assert "".join(map(chr, found.token_ids[:-1])) == "2+2=4</think>\\boxed{4}"
    assert found.token_ids[-1] == 0
    with pytest.raises(UserError, match="has 23 tokens, and max_tokens is 5"):
        list(generator.generate([Prompt("p", (9,), "<think>")], Sampling(max_tokens=5)))


def test_importing_the_package_loads_neither_torch_nor_httpx():
    import subprocess
    import sys

    code = "import sys, longstep.generate; print({'torch', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
