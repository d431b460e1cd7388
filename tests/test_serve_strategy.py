"""``longstep serve --strategy``: a plain chat client is given the picked answer, and told what all of them took."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from longstep.cli.answering import answering
from longstep.config import UserError
from longstep.draw.serving import source_of
from longstep.generate import FakeGenerator, Prompt
from longstep.generate.serve import Served, Server
from longstep.scaling.answering import chooser_of
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.samples import IndependentSamples
from patience import PATIENCE
from test_scaling import FAKE, chars, said
from test_serve import call, question, running

CONTEXT = 203  # a prompt of three tokens and an answer of 200


def source(generator: FakeGenerator = FAKE) -> Served:
    return Served(
        "m",
        generator,
        lambda turns, name: Prompt(name, (1, 2, 3), "<think>", turns[-1]["content"]),
        context=CONTEXT,
        decode=lambda ids: "".join(map(chr, ids)),
        encode=chars,
    )


def served(*words: Any, generator: FakeGenerator = FAKE) -> Iterator[Server]:
    asked = answering(*words)
    assert asked is not None
    yield from running(asked(source(generator)))


def ask(server: Server, text: str = "hi", **settings: Any) -> tuple[int, Any]:
    return call(server, {**question(text, **settings), "model": "m"})


def drawn(seed: int, n: int, text: str = "hi") -> list[str]:
    """What the script says to a request."""
    name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return [said(Prompt(name, key=f"{seed}-{name}"), k) for k in range(n)]


def boxed(text: str) -> str:
    found = re.search(r"boxed\{(\d)\}", text)
    assert found
    return found[1]


def test_a_vote_is_the_first_of_the_most_frequent_answers_and_all_tokens_are_counted():
    for server in served("vote", 8, None, None):
        for seed in range(6):
            texts = drawn(seed, 8)
            votes = Counter(map(boxed, texts))
            winner = votes.most_common(1)[0][0]
            if list(votes.values()).count(votes[winner]) > 1:  # the earlier of equally large ones
                most = [answer for answer in votes if votes[answer] == votes[winner]]
                winner = next(boxed(t) for t in texts if boxed(t) in most)
            given = next(text for text in texts if boxed(text) == winner)
            status, reply = ask(server, seed=seed, max_tokens=120)
            [choice] = reply["choices"]
            assert status == 200 and choice["message"]["content"] == "<think>" + given
            assert choice["finish_reason"] == "stop"
            count = sum(map(len, texts))
            assert reply["usage"] == {
                "prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count,
                "completion_tokens_details": {
                    "drawn_tokens": count, "forced_tokens": 0, "tool_tokens": 0,
                    "answer_tokens": len(given), "answers": 8, "answers_read": 8,
                },
            }  # fmt: skip
            assert ask(server, seed=seed, max_tokens=120)[1]["choices"] == reply["choices"]


def test_what_was_pruned_or_forced_is_counted_too():
    for server in served("beam:keep=2,expand=3,step=[';']", None, "best", None):
        usage = ask(server, seed=1, max_tokens=120)[1]["usage"]
        details = usage["completion_tokens_details"]
        assert usage["completion_tokens"] == details["drawn_tokens"] > details["answer_tokens"]
    closing = source()
    closing.encode = lambda text: [1] if text == "</think>" else chars(text)
    closing.chooser = chooser_of(closing, BudgetForcing(most=4), MajorityVote(), None)
    for server in running(closing):
        for seed in range(4):
            reply = ask(server, seed=seed, max_tokens=120)[1]
            details = reply["usage"]["completion_tokens_details"]
            text = reply["choices"][0]["message"]["content"]
            thought = drawn(seed, 1)[0][:4]
            assert text.startswith(f"<think>{thought}</think>")
            assert details["forced_tokens"] == 1  # the tag, of one token here
            assert reply["usage"]["completion_tokens"] == details["drawn_tokens"] + 1


def test_one_sample_is_what_is_served_without_a_strategy():
    replies = [
        ask(server, seed=4, max_tokens=120)[1]
        for start in (served("samples:n=1", None, "average", None), running(source()))
        for server in start
    ]
    given, plain = replies
    assert given["choices"] == plain["choices"]
    more = given["usage"].pop("completion_tokens_details")
    assert given["usage"] == plain["usage"]
    assert more["answer_tokens"] == plain["usage"]["completion_tokens"]


def test_where_no_answer_can_be_read_the_first_is_given():
    silent = FakeGenerator(lambda prompt, k: f"x{k}</think>nothing", chars)
    for server in served("vote", 3, None, None, generator=silent):
        reply = ask(server, max_tokens=50)[1]
        assert reply["choices"][0]["message"]["content"] == "<think>x0</think>nothing"
        assert reply["usage"]["completion_tokens_details"]["answers_read"] == 0
        [cut] = ask(server, max_tokens=4)[1]["choices"]
        assert (cut["message"]["content"], cut["finish_reason"]) == ("<think>x0</", "length")
    for server in served("beam:keep=1,expand=2,rounds=2,max_step=2", None, None, None):
        reply = ask(server, max_tokens=50)[1]  # two steps of two tokens are no answer
        assert reply["choices"][0]["finish_reason"] == "length"
        details = reply["usage"]["completion_tokens_details"]
        assert (details["answers"], details["answer_tokens"], details["drawn_tokens"]) == (0, 4, 8)


def test_requests_of_several_people_are_answered_each_by_itself():
    for server in served("adaptive:most=8", None, None, None):

        def one_of(n: int, server: Server = server) -> Any:
            return ask(server, f"q{n}", seed=n, max_tokens=120)[1]

        alone = [one_of(n) for n in range(12)]
        with ThreadPoolExecutor(12) as people:
            crowd = list(people.map(one_of, range(12)))
        for one, other in zip(alone, crowd, strict=True):
            assert one["choices"] == other["choices"] and one["usage"] == other["usage"]


def test_a_request_draws_no_more_than_it_may():
    for server in served("vote", 4, None, 100):
        usage = ask(server, max_tokens=None)[1]["usage"]  # 25 tokens each
        assert usage["completion_tokens"] <= 100
        assert ask(server, max_tokens=25)[0] == 200
        status, reply = ask(server, max_tokens=26)
        assert status == 400
        assert reply["error"]["message"] == (
            "several answers of 26 tokens may take more than a request may take here; set max_tokens to 25"
        )
        status, reply = ask(server, max_tokens=500)
        assert status == 400 and "exceed the model's context of 203" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": 2}, "n: one answer is chosen from several here"),
        ({"stop": "x"}, "stop: is not supported where answers vote"),
        ({"stream": True}, "stream: true is not supported here; leave it out or set false"),
        ({"logprobs": True}, "logprobs: true is not supported here"),
    ],
)
def test_what_a_strategy_cannot_honour_is_refused(change: dict[str, Any], sentence: str):
    for server in served("vote", 2, None, None):
        status, reply = ask(server, **change)
        assert status == 400 and sentence in reply["error"]["message"]


def test_texts_are_not_continued_by_a_strategy():
    for server in served("vote", 2, None, None):
        status, reply = call(server, {"model": "m", "prompt": "x"}, "/v1/completions")
        assert status == 400 and "only chat completions" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((None, 8, None, None), "--n: has no effect without --strategy"),
        ((None, None, "majority", None), "--pick: has no effect without --strategy"),
        ((None, None, None, 9), "--most-tokens: has no effect without --strategy"),
        (("votes", None, None, None), "strategy"),
        (("adaptive", 8, None, None), "n"),
        (("samples:n=4", 8, None, None), "--n 8: the strategy says n=4"),
        (("vote:m=4", None, None, None), "m"),
        (("vote", 0, None, None), "greater than or equal to 1"),
        (("vote", 8, "majorty", None), "majority"),
        (("vote", 8, "oracle", None), "it reads the key, and nobody who asks has one"),
        (("vote", 8, "best:scorer={kind: oracle}", None), "it reads the key"),
        (("budget", None, None, None), "nothing is forced"),
        (("budget:most=9", None, None, None), "writes </think> as 8 tokens"),
        (("vote", 8, None, 7), "--most-tokens 7: does not allow one token in each"),
    ],
)
def test_words_that_cannot_be_are_refused_before_anything_is_served(words: Any, sentence: str):
    with pytest.raises(UserError, match=re.escape(sentence)):
        asked = answering(*words)
        assert asked is not None
        asked(source())


def test_a_file_of_solutions_has_one_answer(tmp_path):
    from longstep.artifacts import write_rows
    from longstep.types import Problem

    path = tmp_path / "p.jsonl"
    write_rows(path, [Problem("p", "1+1?", "2", solution="1+1=2")])
    with pytest.raises(UserError, match="has one answer to each question; serve a model"):
        chooser_of(source_of(str(path)), IndependentSamples(n=2), MajorityVote(), None)


def test_the_verb_serves_a_vote_of_a_model(tmp_path):
    """A plain client, the shipped model, a process of its own."""
    words = [sys.executable, "-m", "longstep", "serve", "longstep-tiny", "--port", "0"]
    words += ["--strategy", "vote", "--n", "8", "--most-tokens", "400"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127.0.0.1:\d+/v1", url), url
        import httpx

        body = question("a3b+4c-2?", temperature=1.0, seed=3, max_tokens=40)
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            reply = client.post(f"{url}/chat/completions", json=body).json()
        usage = reply["usage"]
        details = usage["completion_tokens_details"]
        assert details["answers"] == 8 and usage["completion_tokens"] == details["drawn_tokens"]
        assert details["drawn_tokens"] > details["answer_tokens"] > 0
        assert reply["choices"][0]["message"]["content"].startswith("<think>")
    finally:
        process.terminate()
        process.wait()
