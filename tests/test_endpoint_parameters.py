"""Servers that know other names of parameters, or refuse some; thoughts that a server tears from their tags."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fault_server import Act, chat, completion, reply
from longstep.artifacts import read_json, read_rows, write_rows
from longstep.cli.main import app
from longstep.config import Located, ValidationError, validate
from longstep.context import Context, Where
from longstep.draw.samplers import ByEndpoint
from longstep.generate import Endpoint, EndpointGenerator, Prompt, Sampling
from longstep.generate.answer import parse
from longstep.generate.breaker import Breaker
from longstep.generate.lane import Lane, check_up
from longstep.generate.transport import Address, Transport
from longstep.generate.window import Window
from longstep.jobs.words import drawer
from longstep.models.chat import encode_turn, render_prompt
from longstep.models.tiny import build_tokenizer
from longstep.progress import Progress
from longstep.stages import Evaluate, Sample
from longstep.training.supervised import read_supervised
from longstep.types import Completion, Problem
from longstep.workfolder import settled

PROBLEMS = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(4)]
#: What the newest servers of reasoning models refuse.
REFUSED = ("max_tokens", "temperature", "top_p", "seed", "n", "logprobs")
NAMES = {"max_tokens": "max_completion_tokens", **dict.fromkeys(REFUSED[1:])}


def picky(body: dict[str, Any], before: int) -> Act:
    """Takes no parameter that it does not know, as a hosted reasoner does; right on every problem."""
    for name in body:
        if name in REFUSED:
            return reply(400, f"Unsupported parameter: {name!r}".encode())
    n = int(body["messages"][0]["content"][1])
    return chat(f"\\boxed{{{n + 1}}}", usage=5, reasoning_content=f"a{n}b+1={n + 1}")


def context_of(folder: Path, name: str = "traces") -> Context:
    write_rows(folder / "in" / "problems.jsonl", PROBLEMS)
    return Context(
        name,
        folder / name,
        1,
        {"@in": folder / "in"},
        lambda label, total, unit: Progress(label, total, unit, lambda line: None, terminal=False),
        lambda what, facts: None,
    )


def test_39_a_server_is_asked_by_the_names_it_knows_and_what_is_dropped_is_said(
    tmp_path: Path, start, capsys: pytest.CaptureFixture[str]
):
    server = start(picky)
    by = ByEndpoint.model_validate({"url": server.url, "model": "o", "parameters": NAMES})
    context = context_of(tmp_path)
    Sample(by=by, data="@in", sampling=Sampling(max_tokens=50, samples=2), keep="correct").run(
        context
    )
    rows = list(read_rows(context.out / "completions.jsonl", Completion))
    assert len(rows) == 8 and rows[0].text == "<think>a0b+1=1</think>\\boxed{1}"
    asked = [body for body in server.asked if body["max_completion_tokens"] == 50]
    assert len(asked) == 8 and set(asked[0]) == {"model", "messages", "max_completion_tokens"}
    assert all(body["max_completion_tokens"] in (16, 50) for body in server.asked)
    engine = read_json(context.out / "counts.json")["engine"]
    assert engine["parameters"] == NAMES
    assert engine["left_out"] == ["temperature", "top_p", "seed", "n", "logprobs"]
    features = engine["endpoints"][0]["features"]
    assert [features[name] for name in ("n", "logprobs", "seed", "usage")] == [
        "unknown", "unknown", "unknown", "honoured",
    ]  # fmt: skip
    assert capsys.readouterr().err == (
        "traces: temperature and top_p and seed left out of all requests (parameters), so the server's own values "
        "hold; samples cannot be drawn again\n"
    )


def test_39_an_evaluation_says_that_a_temperature_was_dropped(tmp_path: Path, start):
    server = start(picky)
    write_rows(tmp_path / "b.jsonl", [{"prompt": p.prompt, "answer": p.answer} for p in PROBLEMS])
    source = {"kind": "jsonl", "path": str(tmp_path / "b.jsonl")}
    data = {
        "models": {"o": {"kind": "endpoint", "url": server.url, "model": "o", "parameters": NAMES}},
        "benchmarks": [{"name": "sums", "source": source, "verifier": "exact"}],
        "samples": 1,
        "max_tokens": 50,
    }
    context = context_of(tmp_path, "scores")
    validate(Evaluate, Located(data, {})).run(context)
    assert "temperature" in read_json(context.out / "engines.json")["o"]["left_out"]
    said = CliRunner().invoke(app, ["eval", "report", str(context.out)]).output
    assert "o was asked without temperature, top_p, seed, n, logprobs: the server's own" in said


def test_39_samples_without_a_seed_are_asked_one_by_one(start, tmp_path: Path):
    """Their requests are equal, and an answer to one is none to the others; an attempt again asks none of them."""
    turns = iter(range(100))
    server = start(lambda body, before: chat(str(next(turns))))
    settings = Endpoint(url=server.url, model="m", parameters={"seed": None})
    prompts, how = [Prompt("p", text="hi"), Prompt("q", text="ho")], Sampling(samples=3)
    log = tmp_path / "log.jsonl"
    first = list(EndpointGenerator(settings).draw(prompts, how, log))
    assert len({row.text for row in first}) == 6 and not any(
        "seed" in body for body in server.asked
    )
    asked = len(server.asked)
    assert list(EndpointGenerator(settings).draw(prompts, how, log)) == first
    assert len(server.asked) == asked
    # Another name is another request: what was answered without a seed is not taken for it.
    seeded = Endpoint(url=server.url, model="m")
    assert not {row.text for row in EndpointGenerator(seeded).draw(prompts, how, log)} & {
        row.text for row in first
    }


def test_39_an_endpoint_that_rests_is_asked_in_its_own_words_too(start):
    server = start(picky)
    body = {"messages": [{"role": "user", "content": "a1b+1?"}], "max_tokens": 4096, "seed": 7}

    async def look() -> None:
        address = Address(url=server.url)
        parts = Transport(address, 5, 10_000), Breaker(5, 0.01), Window(1)
        await check_up(Lane(address, "m", *parts, parameters=NAMES), body)

    asyncio.run(look())
    assert server.asked == [
        {"model": "m", "messages": body["messages"], "max_completion_tokens": 16}
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"max_token": "x"},
            "'max_token' is no parameter that longstep sends; did you mean 'max_tokens'?",
        ),
        ({"messages": "x"}, "'messages' is no parameter that longstep sends; expected temperature"),
        ({"seed": ""}, "a parameter's name is empty; null leaves it out"),
        ({"seed": "messages"}, "'messages' would stand twice"),
        ({"seed": "n"}, "'n' would stand twice"),
        ({"seed": "s", "top_k": "s"}, "'s' would stand twice"),
        ({"seed": 1}, "string"),
    ],
)
def test_39_names_that_make_no_sense_are_refused(given: dict[str, Any], sentence: str):
    with pytest.raises(ValidationError) as caught:
        Endpoint.model_validate({"url": "http://h/v1", "model": "m", "parameters": given})
    assert sentence in str(caught.value)


def test_39_two_names_may_change_places_and_the_setting_belongs_to_the_result():
    swapped = {"seed": "n", "n": "seed", "logprobs": None}
    plain = ByEndpoint(url="http://h/v1", model="m")
    named = ByEndpoint(url="http://h/v1", model="m", parameters=swapped)
    assert settled(named)["parameters"] == swapped and settled(plain) != settled(named)
    word = "endpoint:url=http://h/v1,model=m,parameters={max_tokens: max_completion_tokens, seed: null}"
    by = ByEndpoint.model_validate(drawer(word, "chat"))
    assert by.parameters == {"max_tokens": "max_completion_tokens", "seed": None}


# -- thoughts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (completion("\n\n", "length", reasoning_content="2+"), "<think>2+"),
        (completion("", "length", reasoning="<think>2+"), "<think>2+"),
        (completion("4", reasoning_content="<think>2+2"), "<think>2+2</think>4"),
        (completion("4", reasoning_content="<think>2+2</think>"), "<think>2+2</think>4"),
        (completion("4", reasoning_content="2+2</think>\n"), "<think>2+2</think>\n4"),
    ],
)
def test_39_a_thought_keeps_one_pair_of_tags_and_stays_open_where_it_was_cut(answer, text):
    assert parse(answer, str, "m").text == text


def test_39_what_the_servers_template_opened_is_put_back_where_the_answer_was_cut(start):
    """Without a parser of thoughts a server sends what the model wrote, and not what its template began with."""
    answers = {
        "cut": ("2+", "length"),
        "whole": ("2+2</think>4", "stop"),
        "own": ("\n<think>2</think>4", "stop"),
    }
    server = start(lambda body, before: chat(*answers[body["messages"][0]["content"]]))
    settings = Endpoint(url=server.url, model="m", prefix="<think>\n")
    prompts = [Prompt(name, text=name) for name in answers]
    found = {
        row.problem_id: row.text for row in EndpointGenerator(settings).draw(prompts, Sampling())
    }
    assert found == {
        "cut": "<think>\n2+", "whole": "<think>2+2</think>4", "own": "\n<think>2</think>4",
    }  # fmt: skip


def test_39_a_thought_behind_line_breaks_is_trained_on(tmp_path: Path):
    context = context_of(tmp_path, "sft")
    texts = [
        "\n\n<think>a0b+1=1</think>\\boxed{1}",
        " <think>a1b+1=2</think>\\boxed{2}",
        "\n\\boxed{3}",
    ]
    rows = [Completion(f"p{n}", 0, (), (), text, "stop") for n, text in enumerate(texts)]
    write_rows(tmp_path / "in" / "completions.jsonl", rows)
    tokenizer = build_tokenizer()
    found = read_supervised(context, "@in", Where(), tokenizer, 100)
    assert found.dropped == {"no thinking": 1}
    assert sorted(tokenizer.decode(list(row.ids)) for row in found.rows) == [
        f"<|user|>a{n}b+1?<|assistant|><think>a{n}b+1={n + 1}</think>\\boxed{{{n + 1}}}<|end|>"
        for n in (0, 1)
    ]
    prompt = replace(render_prompt(tokenizer, "1"), prefix="<think>\n")
    plain = encode_turn(tokenizer, prompt, "<think>\n1</think>")
    assert encode_turn(tokenizer, prompt, "\n <think>\n1</think>") == plain
