"""Answers written on at servers by token ids: the trees of a local model, and servers that say yes and do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fault_server import QUICK, Act, reply, reset
from longstep.artifacts import read_json, write_json, write_rows
from longstep.config import UserError
from longstep.context import PARTIAL, Context
from longstep.draw.engines import Desk
from longstep.draw.samplers import ByEndpoint, ByModel
from longstep.draw.serving import source_of
from longstep.generate import Continuation, Endpoint, Managed, Prompt, Sampling
from longstep.generate.piece import Vocabulary, body_of
from longstep.generate.pieces import PIECES, PiecesGenerator
from longstep.generate.serve import Served
from longstep.models.bounds import stop_ids, turn_ends
from longstep.models.load import load_model, load_tokenizer, locate
from longstep.progress import Progress
from longstep.scaling.base import Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.drive import Grower
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.rebase import Rebase
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.store import nodes_path
from longstep.scaling.tree import leaves
from longstep.stages import Sample, Scale
from longstep.types import Problem, Segment
from test_scaling import FAKE, HOW, STEP, WHOLE, chars, grown, plain
from test_scaling import asked as asked_fake
from test_serve import call, running
from vllm_stub import END, PROMPT, SIZE, Stub, decode, encode, grow, honest, tokens

TOKENS = tokens()
TOY = Sampling(temperature=1.0, max_tokens=60, batch_size=24, seed=3, logprobs=True)
STRATEGIES: dict[str, Strategy] = {
    "samples": IndependentSamples(n=3),
    "beam": BeamSearch(keep=2, expand=2, step=STEP),
    "dvts": DiverseTrees(trees=2, expand=2, step=STEP),
    "rebase": Rebase(n=3, step=STEP),
    "budget": BudgetForcing(most=9, waits=1, wait="!"),
}


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    made: list[Stub] = []

    def start(*given: Any, **settings: Any) -> Stub:
        made.append(Stub(*given, **settings))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def remote(*servers: Stub, folder: Path | None = None, **settings: Any) -> PiecesGenerator:
    given = {"model": "m", "endpoints": [each.url for each in servers], **QUICK, **settings}
    return PiecesGenerator(Endpoint.model_validate(given), TOKENS, folder)


def asked(count: int = 3) -> list[tuple[Problem, Prompt]]:
    problems = [Problem(f"p{n}", "", "1", verifier="exact") for n in range(count)]
    return [
        (each, Prompt(each.id, (*PROMPT, 65 + n), "<think>")) for n, each in enumerate(problems)
    ]


def trees_of(
    generator: PiecesGenerator, strategy: Strategy, how: Sampling = TOY
) -> list[list[Segment]]:
    with generator:
        return Grower(generator, encode, how, strategy).wave(asked())


# -- against longstep serve: the trees of a local generator ------------------------------------------


@pytest.fixture(scope="module")
def fake_server() -> Iterator[str]:
    """``longstep serve`` over the script of the other tests."""

    def continue_ids(text: str | Sequence[int], name: str) -> Prompt:
        assert not isinstance(text, str)
        return Prompt(name, tuple(text))

    source = Served(
        "m",
        FAKE,
        lambda turns, name: Prompt(name, (1,)),
        plain=continue_ids,
        decode=lambda ids: "".join(map(chr, ids)),
        stop_ids=frozenset({0}),
    )
    for server in running(source):
        yield f"http://127.0.0.1:{server.server_port}/v1"


def over_http(url: str, strategy: Strategy) -> list[list[Segment]]:
    letters = Vocabulary(lambda ids: "".join(map(chr, ids)), frozenset({0}), 256)
    config = Endpoint.model_validate({"model": "m", "url": url, **QUICK})
    with PiecesGenerator(config, letters) as generator:
        found = Grower(generator, chars, HOW, strategy).wave(asked_fake())
        assert [each["noise"] for each in generator.describe()["pieces"].values()] == ["honoured"]
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_a_tree_without_pruning_is_a_plain_draw_over_http_too(name: str, fake_server: str):
    strategy, least = WHOLE[name]
    for tree, rows in zip(over_http(fake_server, strategy), plain(4), strict=True):
        found = sorted(leaf.ids for leaf in leaves(tree))
        assert len(found) >= least
        assert found == sorted(rows[: len(found)])


@pytest.mark.parametrize("name", STRATEGIES)
def test_trees_over_longstep_serve_are_those_of_the_generator_behind_it(
    name: str, fake_server: str
):
    assert over_http(fake_server, STRATEGIES[name]) == grown(STRATEGIES[name])


# -- against a server that speaks vLLM's ids ----------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_run_with_ids_over_a_server_with_seeds(name: str, stub):
    """Whatever answers first: the same trees, all of them made of what the server said, requests bounded."""
    server, strategy = stub(seconds=0.002), STRATEGIES[name]
    found = trees_of(remote(server, concurrency=4), strategy)
    assert trees_of(remote(stub(), stub(), concurrency=1), strategy) == found
    assert 1 < server.most <= 4
    work = [body for body in server.asked if "noise" not in body and body["top_p"] == TOY.top_p]
    said = [(body["prompt"], honest(body)["token_ids"]) for body in work]
    assert len({body["seed"] for body in work}) == len(work)  # no two pieces share their noise
    for tree, (_, prompt) in zip(found, asked(), strict=True):
        drawn = [each for each in tree if each.origin == "model"]
        for each in drawn:
            assert each.finish != "stop" or each.token_ids[-1] == END
            assert each.logprobs == tuple(-(token % 7) / 7 for token in each.token_ids)
        for leaf in leaves(tree, prompt.prefix):
            assert leaf.text == "<think>" + decode(leaf.ids).removesuffix("<|end|>")
            assert leaf.last.verdict is not None
        if name != "budget":  # of which a piece is split at the tag
            pieces = [(each.parent, each.token_ids) for each in drawn]
            paths = {-1: list(prompt.prompt_ids)}
            for each in tree:
                paths[each.node] = [*paths[each.parent], *each.token_ids]
            assert all((paths[parent], list(ids)) in said for parent, ids in pieces)


def test_samples_have_the_seeds_of_a_plain_draw_and_greedy_steps_are_a_plain_draw(stub):
    for tree, (_, prompt) in zip(
        trees_of(remote(stub()), STRATEGIES["samples"]), asked(), strict=True
    ):
        for k, leaf in enumerate(leaves(tree)):
            ask = Continuation(prompt, (), (prompt.name, k), TOY.max_tokens)
            body = body_of(ask, TOY, TOKENS, False)
            assert leaf.ids == tuple(honest(body)["token_ids"])
    cold = TOY.model_copy(update={"temperature": 0.0})
    whole = trees_of(remote(stub()), IndependentSamples(n=1), cold)
    steps = trees_of(remote(stub()), BeamSearch(keep=1, expand=1, step=STEP), cold)
    assert [leaves(tree)[0].ids for tree in steps] == [leaves(tree)[0].ids for tree in whole]
    assert len(steps[0]) > 1


# -- what a server says and does not ------------------------------------------------------------------

Answer = dict[str, Any]


def ignores(*names: str) -> Callable[[Mapping[str, Any], Answer], Answer]:
    """As if some fields had never been sent; unknown ones are let pass, as vLLM does."""

    def lie(body: Mapping[str, Any], choice: Answer) -> Answer:
        others = {"max_tokens": 40, "seed": len(turns), "prompt": list(PROMPT)}
        turns.append(1)
        kept = {key: value for key, value in body.items() if key not in names}
        return honest({**{key: others[key] for key in names if key in others}, **kept})

    turns: list[int] = []
    return lie


def without(name: str) -> Callable[[Mapping[str, Any], Answer], Answer]:
    return lambda body, choice: {key: value for key, value in choice.items() if key != name}


def keeps_stops(body: Mapping[str, Any], choice: Answer) -> Answer:
    """The ids of the text that it stopped at are left out."""
    ended = [each for each in body.get("stop", ()) if each in choice["text"]]
    if not ended:
        return choice
    cut = len(choice["token_ids"]) - len(encode(ended[0]))
    ids = choice["token_ids"][:cut]
    logps = {"token_logprobs": choice["logprobs"]["token_logprobs"][:cut]}
    return {**choice, "token_ids": ids, "text": decode(ids), "logprobs": logps}


LIES: dict[str, tuple[Any, str]] = {
    "budget": (ignores("max_tokens"), "ignores 'max_tokens'"),
    "stop": (ignores("stop"), "ignores 'stop', or leaves the text it stops at out of its answer"),
    "stop kept": (keeps_stops, "leaves the text it stops at out of its answer"),
    "ids": (ignores("prompt"), "does not write on from a prompt of token ids"),
    "ids untold": (ignores("return_token_ids"), "tells no token_ids of its answer"),
    "seed": (ignores("seed"), "ignores 'seed'"),
    "logprobs": (without("logprobs"), "gives no log-probabilities of its tokens"),
    "tokenizer": (
        lambda body, choice: {**choice, "text": choice["text"].upper()},
        "has other token ids than the tokenizer that is named",
    ),
    "no finish": (without("finish_reason"), "not a completion"),
    "nothing there": (lambda body, choice: reply(404, b"no such page"), "status 404: no such page"),
    "short": (
        lambda body, choice: {
            **choice, "token_ids": [END], "text": "", "finish_reason": "stop",
            "logprobs": {"token_logprobs": [-1.0]},
        },
        "gave answers too short to see whether it honours 'ids'",
    ),
    "dead": (lambda body, choice: reply(500, b"out of memory"), "status 500: out of memory"),
    "content": (without("text"), "not a completion"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_server_that_does_not_honour_it_is_refused_before_anything_is_spent(
    name: str, stub, tmp_path: Path
):
    lie, sentence = LIES[name]
    server = stub(lie)
    with pytest.raises(UserError) as caught:
        trees_of(remote(server, folder=tmp_path), STRATEGIES["beam"])
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{server.url}: cannot write answers on piece by piece: ")
    assert str(caught.value).endswith("such as vllm serve or longstep serve")
    assert len(server.asked) <= 10 and all(body["max_tokens"] <= 16 for body in server.asked)


def test_a_server_that_refuses_words_it_does_not_know_is_asked_without_them(stub):
    def strict(body: Mapping[str, Any], choice: Answer) -> Answer | Act:
        return reply(400, b"extra inputs are not permitted") if "noise" in body else choice

    server = stub(strict)
    generator = remote(server)
    assert trees_of(generator, STRATEGIES["beam"]) == trees_of(remote(stub()), STRATEGIES["beam"])
    assert generator.describe()["pieces"][server.url]["noise"] == "refused"


def after_the_probe(
    change: Callable[[Mapping[str, Any], Answer], Answer | Act], always: bool = False
) -> Callable[[Mapping[str, Any], Answer], Answer | Act]:
    """A lie about pieces alone, by default about the first time that each is asked for."""
    seen: set[str] = set()

    def lie(body: Mapping[str, Any], choice: Answer) -> Answer | Act:
        key = json.dumps(body)
        if body["top_p"] != TOY.top_p or (key in seen and not always):
            return choice
        seen.add(key)
        return change(body, choice)

    return lie


def longer(body: Mapping[str, Any], choice: Answer) -> Answer:
    ids = [97] * (body["max_tokens"] + 1)
    return {**choice, "token_ids": ids, "text": decode(ids)}


UNTRUE: dict[str, tuple[Any, str]] = {
    "too long": (longer, "tokens where"),
    "no such id": (
        lambda body, choice: {**choice, "token_ids": [SIZE + 7, *choice["token_ids"][1:]]},
        "it sent token id 135, and the tokenizer has ids from 0 to 127",
    ),
    "negative": (
        lambda body, choice: {**choice, "token_ids": [-1, *choice["token_ids"][1:]]},
        "it sent token id -1",
    ),
    "no numbers": (
        lambda body, choice: {**choice, "token_ids": [str(each) for each in choice["token_ids"]]},
        "tells no token_ids",
    ),
    "true": (
        lambda body, choice: {**choice, "token_ids": [True] * len(choice["token_ids"])},
        "tells no token_ids",
    ),
    "goes on behind the end": (
        lambda body, choice: {**choice, "token_ids": [END, END], "finish_reason": "stop"},
        "it wrote on behind the end of its turn",
    ),
    "goes on behind a step": (
        lambda body, choice: {**choice, "token_ids": [97, 59, 97], "finish_reason": "stop"},
        "it wrote on behind ';'",
    ),
    "stops early": (
        lambda body, choice: {**choice, "token_ids": [97], "finish_reason": "length"},
        "its context may be full",
    ),
    "other numbers": (
        lambda body, choice: {**choice, "logprobs": {"token_logprobs": [-1.0] * 99}},
        "no log-probability for each of its tokens",
    ),
    "no finish": (without("finish_reason"), "not a completion"),
    "another finish": (
        lambda body, choice: {**choice, "finish_reason": "tool_calls"},
        "finish_reason 'tool_calls', expected",
    ),
    "half a character": (lambda body, choice: {**choice, "text": "\ud800"}, "surrogate"),
    "torn": (lambda body, choice: reset(json.dumps(choice).encode()), ""),
    "busy": (lambda body, choice: reply(429), ""),
    "ill": (lambda body, choice: reply(503), ""),
}


@pytest.mark.parametrize("name", UNTRUE)
def test_what_cannot_be_the_answer_is_asked_for_again_and_never_believed(name: str, stub):
    change, sentence = UNTRUE[name]
    truth = trees_of(remote(stub()), STRATEGIES["beam"])
    once = stub(after_the_probe(change))
    assert trees_of(remote(once, open_after=1000), STRATEGIES["beam"]) == truth
    if sentence:
        with pytest.raises(UserError) as caught:
            always = stub(after_the_probe(change, True))
            trees_of(remote(always, open_after=1000), STRATEGIES["beam"])
        assert sentence in str(caught.value)
        assert "problem 'p" in str(caught.value) and "run again" in str(caught.value)


# -- kills --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["beam", "rebase", "budget"])
def test_a_kill_loses_no_piece_and_doubles_none(name: str, stub, tmp_path: Path):
    """The server dies for the client in the midst of a wave, again and again: what it answered is not asked again."""
    strategy, server = STRATEGIES[name], stub()
    truth = trees_of(remote(stub()), strategy)
    answered: list[str] = []
    left = [0]

    def mortal(body: Mapping[str, Any], choice: Answer) -> Answer | Act:
        if body["top_p"] == TOY.top_p:
            if left[0] == 0:
                return reply(401, b"gone")
            left[0] -= 1
            answered.append(json.dumps(body))
        return choice

    server = stub(mortal)
    found: list[list[Segment]] = []
    facts: dict[str, Any] = {}
    deaths = 0
    while not found:
        left[0] = 2 + deaths % 3
        try:
            with remote(server, folder=tmp_path, concurrency=1) as generator:
                grower = Grower(generator, encode, TOY, strategy)
                found = list(grower.forest(asked(), tmp_path / "trees.jsonl"))
                facts = generator.describe()
        except UserError as error:
            assert "gone" in str(error)
            deaths += 1
    assert found == truth and deaths > 1
    assert len(answered) == len(set(answered))
    with (tmp_path / PIECES).open() as file:
        assert len({json.loads(line)["key"] for line in file}) == len(answered)
    # Read back whole: nobody is asked, and the account is the same.
    server.stop()
    with remote(server, folder=tmp_path) as generator:
        grower = Grower(generator, encode, TOY, strategy)
        assert list(grower.forest(asked(), tmp_path / "trees.jsonl")) == truth
        assert generator.describe() == facts


def test_a_process_that_is_killed_goes_on_to_the_same_trees(stub, tmp_path: Path):
    server = stub(seconds=0.02)
    truth = grow(server.url, tmp_path / "whole")
    needed = sum(body["top_p"] == TOY.top_p for body in server.asked)  # the probe is in no journal
    script = f"from vllm_stub import Path, grow; grow({server.url!r}, Path({str(tmp_path)!r}))"
    for _ in range(4):
        before = len(server.asked)
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}
        )
        while process.poll() is None and len(server.asked) < before + needed // 5:
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert grow(server.url, tmp_path) == truth
    whole, cut = (folder / "trees.jsonl" for folder in (tmp_path / "whole", tmp_path))
    assert cut.read_bytes() == whole.read_bytes()
    with (tmp_path / PIECES).open() as file:
        keys = [json.loads(line)["key"] for line in file]
    assert len(keys) == len(set(keys)) == needed


def test_a_server_that_is_started_for_it_is_on_another_port_every_time(tmp_path: Path):
    command = ("{python}", str(Path(__file__).with_name("vllm_stub.py")), "{port}")
    remote = Managed(model="m", command=command, **QUICK)
    found = []
    for _ in range(2):
        with PiecesGenerator(remote, TOKENS, tmp_path) as generator:
            grower = Grower(generator, encode, TOY, STRATEGIES["beam"])
            trees = list(grower.forest(asked(), tmp_path / "trees.jsonl"))
            found.append((trees, generator.describe()))
    assert found[0] == found[1]
    assert found[0][1]["pieces"][0]["ids"] == "honoured" and found[0][1]["completion_tokens"] > 0


def test_what_two_strategies_ask_alike_is_asked_once(stub, tmp_path: Path):
    server = stub()
    with remote(server, folder=tmp_path) as generator:
        for strategy in (IndependentSamples(n=3), IndependentSamples(n=5)):
            Grower(generator, encode, TOY, strategy).wave(asked())
        drawn = generator.describe()["completion_tokens"]
    work = [body for body in server.asked if body["top_p"] == TOY.top_p]
    assert len(work) == 15
    assert drawn == sum(len(honest(body)["token_ids"]) for body in work)


# -- the stage ----------------------------------------------------------------------------------------


def context_of(folder: Path, problems: Sequence[Problem]) -> Context:
    write_rows(folder / "in" / "problems.jsonl", problems)
    return Context(
        "scaling",
        folder / "scaling",
        1,
        {"@in": folder / "in"},
        lambda label, total, unit: Progress(label, total, unit, lambda line: None, terminal=False),
        lambda what, facts: None,
    )


def desk(folder: Path) -> Desk:
    return Desk("s", folder, (), Path, lambda what, facts: None)


def test_a_stage_over_longstep_serve_stores_what_it_stores_with_the_model_itself(tmp_path: Path):
    problems = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(3)]
    settings: dict[str, Any] = {
        "data": "@in",
        "strategies": {
            "vote": {"kind": "samples", "n": 3},
            "beam": {"kind": "beam", "keep": 2, "expand": 2, "step": ["b"], "max_step": 6},
            "short": {"kind": "budget", "most": 8, "waits": 1, "wait": "~"},
        },
        "sampling": {"max_tokens": 32, "temperature": 3.0, "batch_size": 12},
        "resamples": 100,
    }
    here, there = (
        context_of(tmp_path / "here", problems),
        context_of(tmp_path / "there", problems),
    )
    Scale(by=ByModel(model="longstep-tiny"), **settings).run(here)
    url = ""
    for server in running(source_of("longstep-tiny")):
        url = f"http://127.0.0.1:{server.server_port}/v1"
        by = ByEndpoint(model="longstep-tiny", url=url, tokenizer="longstep-tiny", timeout=60)
        Scale(by=by, **settings).run(there)
    for name in settings["strategies"]:
        first, second = (
            [json.loads(line) for line in nodes_path(each.out, name).read_text().splitlines()]
            for each in (here, there)
        )
        assert len({tuple(each["token_ids"]) for each in first}) > len(first) / 2
        for one, two in zip(first, second, strict=True):
            # Other batches move the last bits of a float.
            assert one.pop("logprobs", None) == pytest.approx(two.pop("logprobs", None), abs=1e-4)
            assert one.pop("scores") == pytest.approx(two.pop("scores"), abs=1e-4)
            assert one == two
    facts = read_json(there.out / "engine.json")
    assert facts["pieces"][url]["noise"] == "honoured"
    assert (there.folder / PARTIAL / PIECES).is_file()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "set by.tokenizer to the model whose tokenizer its servers have"),
        ({"tokenizer": "m", "parameters": {"max_tokens": None}}, "max_tokens is left out"),
        ({"tokenizer": "m", "prefix": "<think>"}, "by.prefix: has no effect"),
    ],
)
def test_a_stage_says_what_an_endpoint_lacks(changes: dict[str, Any], sentence: str):
    by = ByEndpoint(model="m", url="http://127.0.0.1:9/v1", **changes)
    [said] = Scale(by=by, data="@in", strategies={"v": IndependentSamples(n=2)}).check()
    assert sentence in said


def test_a_tokenizer_without_effect_is_refused(tmp_path: Path):
    url = "http://127.0.0.1:9/v1"
    with pytest.raises(ValueError, match="thinking: has no effect without tokenizer"):
        ByEndpoint(model="m", url=url, thinking=False)
    by = ByEndpoint(model="m", url=url, tokenizer="m")
    said, _ = Sample(by=by, data="@d", sampling=Sampling(logprobs=True)).check()
    assert said.startswith("by.tokenizer: has no effect")
    with (
        closing(
            by.model_copy(update={"tokenizer": "longstep-tiny"}).open(desk(tmp_path))
        ) as opened,
        pytest.raises(UserError, match=r"by\.tokenizer: has no effect on a stage that draws whole"),
    ):
        opened.generator.draw([Prompt("p", text="?")], Sampling())


def test_a_turn_ends_where_the_model_that_is_loaded_ends_it(tmp_path: Path):
    """Without weights: what the tokenizer, the generation config, or in its absence the config says."""
    shipped = locate("longstep-tiny")
    tokenizer, model = load_tokenizer(shipped), load_model(shipped)
    assert turn_ends(shipped, tokenizer) == stop_ids(model, tokenizer)
    own = tokenizer.eos_token_id
    assert isinstance(own, int)
    folder = tmp_path / "other"
    folder.mkdir()
    write_json(folder / "config.json", {"vocab_size": 98, "eos_token_id": 7})
    assert turn_ends(folder, tokenizer) == {own, 7}
    write_json(folder / "generation_config.json", {"eos_token_id": [8, 9]})
    assert turn_ends(folder, tokenizer) == {own, 8, 9}
    write_json(folder / "generation_config.json", {"eos_token_id": 98})
    with pytest.raises(UserError, match="expected an id below 98"):
        turn_ends(folder, tokenizer)


# -- what longstep serve says of ids ------------------------------------------------------------------


def test_a_served_model_tells_ids_and_stops_behind_a_text():
    for server in running(source_of("longstep-tiny")):
        source = server.source
        assert source.encode is not None and source.decode is not None
        ids = list(source.encode("a3b+4c-2?"))
        body = {"model": "longstep-tiny", "prompt": ids, "temperature": 1.0, "max_tokens": 24}
        body |= {"seed": 5, "return_token_ids": True, "logprobs": 1}
        body |= {"stop_token_ids": sorted(source.stop_ids)}
        status, told = call(server, body, "/v1/completions")
        [choice] = told["choices"]
        whole = choice["token_ids"]
        assert status == 200 and choice["prompt_token_ids"] == ids and len(whole) > 4
        assert told["usage"]["completion_tokens"] == len(whole)
        assert choice["logprobs"]["tokens"] == [source.decode([each]) for each in whole]
        assert len(choice["logprobs"]["token_logprobs"]) == len(whole)
        assert all(each <= 0 for each in choice["logprobs"]["token_logprobs"])
        stop = source.decode(whole[2:4])
        for kept in (True, False):
            more = {**body, "stop": [stop], "include_stop_str_in_output": kept}
            [cut] = call(server, more, "/v1/completions")[1]["choices"]
            end = next(k for k in range(1, 25) if stop in source.decode(whole[:k]))
            assert cut["token_ids"] == whole[:end] and cut["finish_reason"] == "stop"
            text = source.decode(whole[:end])
            assert cut["text"] == (text if kept else text.removesuffix(stop))
        # By its noise an answer goes on where it was cut, and the seed says nothing.
        noise = {"seed": 1, "name": "x", "index": 2, "at": 0}
        [named] = call(server, {**body, "noise": noise}, "/v1/completions")[1]["choices"]
        more = {**body, "prompt": ids + named["token_ids"][:3], "noise": {**noise, "at": 3}}
        more |= {"seed": 6, "max_tokens": 21}
        [rest] = call(server, more, "/v1/completions")[1]["choices"]
        assert named["token_ids"][3:] == rest["token_ids"]
        for change, sentence in (
            ({"noise": {**noise, "at": len(ids)}}, "leave nothing of a prompt of"),
            ({"noise": noise, "n": 2}, "names one answer to one prompt of token ids"),
            ({"noise": noise, "prompt": "x"}, "names one answer to one prompt of token ids"),
            ({"noise": {"seed": 1}}, "noise.name: "),
            ({"stop_token_ids": [7]}, "stop_token_ids: 7 ends no turn of this model"),
            ({"logprobs": 2}, "logprobs: "),
            ({"prompt": ids, "max_tokens": 4000, "noise": noise}, "exceed the model's context"),
        ):
            status, told = call(server, {**body, **change}, "/v1/completions")
            assert status == 400 and sentence in told["error"]["message"]
