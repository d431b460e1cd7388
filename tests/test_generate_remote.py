"""The endpoint client against an honest server, and the two generators without a model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from fault_server import chat, completion
from longstep.config import UserError
from longstep.generate import (
    Endpoint,
    EndpointGenerator,
    FakeGenerator,
    Prompt,
    ReferenceGenerator,
    Sampling,
)
from longstep.generate.answer import parse
from longstep.types import Completion, Problem

PROMPTS = (Prompt("p", text="hi"),)


def ask(
    url: str, prompts: Any = PROMPTS, sampling: Any = None, **settings: Any
) -> list[Completion]:
    generator = EndpointGenerator(Endpoint(url=url, model="m", timeout=5, **settings))
    return list(generator.draw(prompts, sampling or Sampling()))


def test_results_come_in_canonical_order_each_with_its_own_seed(start):
    def answer(body, before):
        question = body["messages"][0]["content"]
        time.sleep(0.05 if question == "first" else 0)  # the first asked is the last to be answered
        return chat(f"{question} {body['seed']}")

    prompts = [Prompt("b", text="second"), Prompt("a", text="first")]
    sampling = Sampling(samples=3, seed=5, top_k=20)
    server = start(answer)
    found = ask(server.url, prompts, sampling)
    order = [(each.problem_id, each.sample_index) for each in found]
    assert order == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert [each.text.split()[0] for each in found] == ["first"] * 3 + ["second"] * 3
    assert len({each.text for each in found}) == 6  # six different seeds
    assert ask(server.url, prompts[::-1], sampling, concurrency=1) == found
    body = {key: value for key, value in server.asked[0].items() if key not in ("seed", "messages")}
    assert body == {
        "model": "m",
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 4096,
        "top_k": 20,
    }
    assert all(each.token_ids == () and each.finish_reason == "stop" for each in found)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (completion("4", reasoning_content="2+2"), "<think>2+2</think>4"),
        (completion("4", reasoning="2+2"), "<think>2+2</think>4"),
        (completion("<think>2+2</think>4"), "<think>2+2</think>4"),
        (completion("2+2</think>4"), "<think>2+2</think>4"),
        (completion(None, "length", reasoning_content="2+"), "<think>2+"),
        (completion("par", "length"), "par"),
        (completion("", "stop"), ""),
    ],
)
def test_thoughts_end_up_in_one_text(answer, text):
    found = parse(answer, str, "m")
    assert found.text == text
    assert found.finish_reason == json.loads(answer)["choices"][0]["finish_reason"]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [(7, 7), (0, 0), (-1, None), (2**40, None), (True, None), ("7", None), (None, None)],
)
def test_only_a_count_counts_as_one(usage, tokens):
    answer = parse(completion("12345", usage=usage), str, "m")
    assert answer.tokens == tokens
    assert answer.size == (2 if tokens is None else tokens)  # five bytes, at four per token


def test_what_an_endpoint_cannot_do_is_refused():
    with pytest.raises(UserError, match="no log-probabilities"):
        ask("http://host/v1", sampling=Sampling(logprobs=True))
    with pytest.raises(UserError, match="'p' has no text to send"):
        ask("http://host/v1", [Prompt("p", (1,))])


def test_fake_takes_texts_in_turn_or_calls_a_function():
    sampling = Sampling(samples=3)
    prompts = [Prompt("p", prefix="<think>")]
    scripted = FakeGenerator({"p": ["a", "b"]}).draw(prompts, sampling)
    assert [each.text for each in scripted] == ["<think>a", "<think>b", "<think>a"]
    called = FakeGenerator(lambda prompt, i: f"{prompt.problem_id}{i}").draw(prompts, sampling)
    assert [each.text for each in called] == ["<think>p0", "<think>p1", "<think>p2"]


def test_reference_writes_the_worked_solution():
    problem = Problem("p", "2+2?", "4", solution="2+2=4")
    generator = ReferenceGenerator({"p": problem}, lambda text: [ord(c) for c in text], stop_id=0)
    [found] = generator.draw([Prompt("p", (9,), "<think>")], Sampling())
    assert found.text == "<think>2+2=4</think>\\boxed{4}"
    assert "".join(map(chr, found.token_ids[:-1])) == "2+2=4</think>\\boxed{4}"
    assert found.token_ids[-1] == 0
    with pytest.raises(UserError, match="has 23 tokens, and max_tokens is 5"):
        list(generator.draw([Prompt("p", (9,), "<think>")], Sampling(max_tokens=5)))


def test_importing_the_package_loads_neither_torch_nor_httpx():
    code = "import sys, longstep.generate; print({'torch', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
