"""Teacher traces over HTTP become rows of a student with another tokenizer; what a server does is on record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fault_server import Act, FaultServer, chat, completion, hang, reply
from longstep.artifacts import read_json, read_rows, write_rows
from longstep.cli.chat import Chat
from longstep.cli.evaluation import _named
from longstep.config import Located, UserError, validate
from longstep.context import PARTIAL, Context, Where
from longstep.draw.samplers import ByEndpoint
from longstep.generate import Sampling, probe
from longstep.models.tiny import build_tokenizer
from longstep.progress import Progress
from longstep.stages import Evaluate, Sample
from longstep.training.supervised import read_supervised
from longstep.types import Completion, Problem

PROBLEMS = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(4)]


def teach(body: dict[str, Any], before: int) -> Act:
    """Right on even problems, wrong on p1, and p3 answers without thinking."""
    n = int(body["messages"][-1]["content"][1])
    thought = {} if n == 3 else {"reasoning_content": f"a{n}b+1={n + 1}"}
    return chat(f"\\boxed{{{n + (n != 1)}}}", usage=10, **thought)


@pytest.fixture
def teacher() -> Iterator[FaultServer]:
    server = FaultServer(teach)
    yield server
    server.stop()


class Stage:
    """A stage's folder, with what was said and recorded on the way."""

    def __init__(self, folder: Path, problems: list[Problem] = PROBLEMS) -> None:
        write_rows(folder / "in" / "problems.jsonl", problems)
        self.lines: list[str] = []
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.context = Context(
            "traces",
            folder / "traces",
            1,
            {"@in": folder / "in"},
            lambda label, total, unit: Progress(
                label, total, unit, self.lines.append, terminal=False
            ),
            lambda what, facts: self.events.append((what, facts)),
        )

    def run(
        self, *servers: FaultServer, samples: int = 1, keep: str = "correct", **settings: Any
    ) -> dict[str, Any]:
        by = {
            "model": "r1",
            "endpoints": [server.url for server in servers],
            "backoff": 0.01,
            **settings,
        }
        stage = Sample(
            by=ByEndpoint.model_validate(by),
            data="@in",
            sampling=Sampling(max_tokens=50, samples=samples),
            keep=keep,  # pyright: ignore
        )
        stage.run(self.context)
        return read_json(self.context.out / "counts.json")


def test_only_verified_thinking_traces_become_rows(tmp_path: Path, teacher: FaultServer):
    stage = Stage(tmp_path)
    stage.run(teacher)
    kept = list(read_rows(stage.context.out / "completions.jsonl", Completion))
    assert sorted(row.problem_id for row in kept) == ["p0", "p2", "p3"]
    after = replace(
        stage.context, name="sft", folder=tmp_path / "sft", inputs={"@traces": stage.context.out}
    )
    tokenizer = build_tokenizer()
    found = read_supervised(after, "@traces", Where(), tokenizer, 100)
    assert found.dropped == {"no thinking": 1}
    texts = sorted(tokenizer.decode(list(row.ids), skip_special_tokens=False) for row in found.rows)
    assert texts[0] == "<|user|>a0b+1?<|assistant|><think>a0b+1=1</think>\\boxed{1}<|end|>"


def drawn_from_two(folder: Path, dies_after: int) -> bytes:
    """The rows of 60 samples from two teachers, of which one is gone after so many requests."""
    problems = [
        Problem(f"q{n}", f"a{n % 10}b+{n // 10}?", str(n % 10 + n // 10)) for n in range(30)
    ]

    def script(body: dict[str, Any], before: int) -> Act:
        if len(second.asked) > dies_after:
            return lambda connection: (
                second.stop()
            )  # no answer to this one, and no more connections
        return teach(body, before)

    first, second = FaultServer(teach), FaultServer(script)
    stage = Stage(folder, problems)
    counts = stage.run(first, second, samples=2, keep="all", concurrency=2)
    assert counts["drawn"] == 60 and counts["engine"]["refused"] == {}
    first.stop()
    if dies_after > 60:
        second.stop()
    return (stage.context.out / "completions.jsonl").read_bytes()


def test_killing_one_of_two_endpoints_leaves_the_artifact_as_it_was(tmp_path: Path):
    whole = drawn_from_two(tmp_path / "whole", 1000)
    assert drawn_from_two(tmp_path / "half", 20) == whole
    assert whole.count(b"\n") == 60


def test_a_refused_sample_is_counted_and_says_nothing_about_the_model(tmp_path: Path):
    def script(body: dict[str, Any], before: int) -> Act:
        if any(name in body["messages"][0]["content"] for name in flagged):
            return reply(400, b"flagged") if body["seed"] % 2 else chat(None, "content_filter")
        return teach(body, before)

    flagged = ["a2"]
    server = FaultServer(script)
    stage = Stage(tmp_path)
    counts = stage.run(server, samples=8, keep="all", max_refused=0.25)
    assert counts["drawn"] == 32 and counts["verdicts"]["timeout"] == 8
    refused = counts["engine"]["refused"]
    assert sum(refused.values()) == 8 and set(refused) == {
        "status 400",
        "finish_reason 'content_filter'",
    }
    rows = list(read_rows(stage.context.out / "completions.jsonl", Completion))
    lost = [row for row in rows if row.problem_id == "p2"]
    assert [row.sample_index for row in lost] == list(range(8))
    assert all(row.verdict and row.verdict.correctness is None for row in lost)
    assert {row.verdict.reason for row in lost if row.verdict} == {
        "no answer: status 400: flagged", "no answer: finish_reason 'content_filter'"
    }  # fmt: skip
    flagged = ["a2", "a3"]
    with pytest.raises(UserError, match=r"of 32 samples refused for good, and max_refused 0\.49"):
        Stage(tmp_path / "again").run(server, samples=8, max_refused=0.49)
    server.stop()


def test_what_a_server_ignores_is_recorded_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    turns = iter(range(1000))

    def forgetful(body: dict[str, Any], before: int) -> Act:
        content = json.loads(completion(f"<think>{next(turns)}</think>\\boxed{{1}}"))
        return reply(200, json.dumps({**content, "model": "another"}).encode())

    def faithful(body: dict[str, Any], before: int) -> Act:
        content = json.loads(completion(f"<think></think>{body['seed']}", usage=3))
        choice = content["choices"][0]
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": "x", "logprob": -0.1}]}
        return reply(
            200,
            json.dumps({**content, "model": "r1", "choices": [choice] * body.get("n", 1)}).encode(),
        )

    first, second = FaultServer(forgetful), FaultServer(faithful)
    stage = Stage(tmp_path)
    counts = stage.run(first, second, keep="all")
    features = {each["url"]: each["features"] for each in counts["engine"]["endpoints"]}
    assert features[first.url] == {
        "n": "ignored", "logprobs": "ignored", "seed": "ignored", "usage": "ignored", "answers_as": "another", "trouble": None,
    }  # fmt: skip
    assert features[second.url] == {
        "n": "honoured", "logprobs": "honoured", "seed": "honoured", "usage": "honoured", "answers_as": None, "trouble": None,
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "ignores 'seed'" in line and first.url in line]
    assert [line for line in said if "asked for model 'r1', it answers as 'another'" in line]
    assert len(said) == 2
    assert [what for what, _ in stage.events].count("probed") == 2
    assert "url" not in (stage.context.folder / PARTIAL / "completions.jsonl").read_text()
    first.stop()
    second.stop()


def test_a_server_that_refuses_the_extras_is_probed_without_them(tmp_path: Path):
    def strict(body: dict[str, Any], before: int) -> Act:
        if "n" in body or "logprobs" in body:
            return reply(400, b"not supported")
        return teach(body, before)

    server = FaultServer(strict)
    counts = Stage(tmp_path).run(server)
    [engine] = counts["engine"]["endpoints"]
    seen = {name: engine["features"][name] for name in ("n", "logprobs", "seed", "usage")}
    assert seen == {"n": "refused", "logprobs": "refused", "seed": "honoured", "usage": "honoured"}
    server.stop()


def test_progress_is_in_tokens_and_says_when_they_are_estimated(
    tmp_path: Path, teacher: FaultServer
):
    stage = Stage(tmp_path)
    counts = stage.run(teacher, samples=2)
    assert "100 %  80/80 tok  " in stage.lines[-1] and "answers 8" in stage.lines[-1]
    assert (counts["engine"]["completion_tokens"], counts["engine"]["tokens_estimated"]) == (
        80,
        False,
    )
    silent = FaultServer(lambda *_: chat("<think></think>\\boxed{1}"))  # 24 bytes: 6 tokens
    stage = Stage(tmp_path / "silent")
    counts = stage.run(silent, keep="all")
    assert "100 %  24/24 tok (estimated)  " in stage.lines[-1]
    assert (counts["engine"]["completion_tokens"], counts["engine"]["tokens_estimated"]) == (
        24,
        True,
    )
    silent.stop()


def test_a_server_that_cannot_be_probed_is_named_and_asked_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(probe, "SECONDS", 0.3)
    server = FaultServer(lambda body, before: hang(9) if "n" in body else teach(body, before))
    counts = Stage(tmp_path).run(server)
    [engine] = counts["engine"]["endpoints"]
    assert engine["features"]["trouble"] == "it did not answer within 0.3 s"
    assert engine["features"]["seed"] == "unknown"
    assert "could not be probed: it did not answer within 0.3 s" in capsys.readouterr().err
    assert counts["kept"] == 3
    assert json.loads((tmp_path / "traces" / PARTIAL / "probe.json").read_text()) == {}
    server.stop()


# -- the same engines elsewhere ---------------------------------------------------------------------


def scored(folder: Path, models: dict[str, Any], **settings: Any) -> Context:
    write_rows(folder / "bench.jsonl", [{"prompt": p.prompt, "answer": p.answer} for p in PROBLEMS])
    source = {"kind": "jsonl", "path": str(folder / "bench.jsonl")}
    benchmark = {"name": "sums", "source": source, "verifier": "exact"}
    data = {"models": models, "benchmarks": [benchmark], "samples": 2, "max_tokens": 50}
    stage = validate(Evaluate, Located({**data, **settings}, {}))
    context = replace(Stage(folder).context, name="scores", folder=folder / "scores")
    stage.run(context)
    return context


def test_an_endpoint_is_evaluated_beside_a_local_model(tmp_path: Path, teacher: FaultServer):
    models = {
        "r1": {"kind": "endpoint", "url": teacher.url, "model": "r1"},
        "ours": "longstep-tiny",
    }
    context = scored(tmp_path, models)
    results = read_json(context.out / "results.json")["models"]
    # p0, p2 and p3 are right, p1 is wrong, both times.
    assert results["r1"]["sums"]["all"]["avg"]["value"] == 0.75
    engines = read_json(context.out / "engines.json")
    assert engines["r1"]["endpoints"][0]["url"] == teacher.url
    assert engines["r1"]["completion_tokens"] == 80 and engines["ours"]["engine"] == "transformers"
    rows = list(read_rows(context.out / "completions" / "r1" / "sums.jsonl", Completion))
    assert len(rows) == 8 and all(row.verdict for row in rows)
    ours = list(read_rows(context.out / "completions" / "ours" / "sums.jsonl", Completion))
    drawn = sum(len(row.token_ids) for row in ours)
    assert context.cost.tokens_generated == 80 + drawn > 80


def test_an_evaluation_that_stopped_goes_on_to_the_same_bytes(tmp_path: Path):
    """The second model's endpoint refuses its key, until it does not."""
    locked = True

    def script(body: dict[str, Any], before: int) -> Act:
        return reply(401, b"no") if locked and body["model"] == "two" else teach(body, before)

    server = FaultServer(script)
    models = {
        name: {"kind": "endpoint", "url": server.url, "model": name} for name in ("one", "two")
    }
    with pytest.raises(UserError, match="status 401"):
        scored(tmp_path, models)
    locked, asked = False, len([body for body in server.asked if body["model"] == "one"])
    again = scored(tmp_path, models)
    assert len([body for body in server.asked if body["model"] == "one"]) == asked
    whole = scored(tmp_path / "whole", models)
    for file in sorted(whole.out.rglob("*.json*")):
        name = file.relative_to(whole.out)
        path = str(tmp_path / "whole").encode(), str(tmp_path).encode()
        assert file.read_bytes().replace(*path) == (again.out / name).read_bytes(), name
    server.stop()


def test_a_word_names_an_engine_on_the_command_line(teacher: FaultServer):
    word = f"endpoint:url={teacher.url},model=org/r1,concurrency=2"
    by = {"kind": "endpoint", "url": teacher.url, "model": "org/r1", "concurrency": 2}
    assert _named(word, ([], None)) == ("r1", by) and _named(f"teacher={word}", ([], None)) == (
        "teacher",
        by,
    )
    assert _named("a=@b", ([], None)) == ("a", "@b") and _named("/x/y=z", ([], None)) == (
        "y=z",
        "/x/y=z",
    )
    served = _named('server:model=m,command=[serve, x, --port, "{port}"]', ([], None))[1]
    assert served == {"kind": "server", "model": "m", "command": ["serve", "x", "--port", "{port}"]}
    with closing(Chat(word, True, 20)) as talk:
        assert talk.ask("a2b+1?") == "<think>a2b+1=3</think>\\boxed{3}"
    with pytest.raises(UserError, match="--no-thinking has no effect"):
        Chat(word, False, 20)
    with pytest.raises(UserError, match="ur"):
        Chat(f"endpoint:ur={teacher.url},model=m", True, 20)
