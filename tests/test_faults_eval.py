"""Evaluating by hand: own questions, own servers, and what changed between two evaluations (fault 43)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fault_server import Act, FaultServer, Script, chat
from longstep.cli import main as cli
from longstep.config import UserError
from longstep.evaluate import evaluation_in

#: Question -> key; the model called ``weak`` adds one to the last three.
QUESTIONS = {f"What is {n} and {n}?": str(2 * n) for n in range(10)}
WRONG = list(QUESTIONS)[7:]


def typed(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words))
    if result.exception is not None:
        raise result.exception
    return result.stdout


def adds(body: dict[str, Any], _: int) -> Act:
    question = body["messages"][-1]["content"].removesuffix(" Box it.")
    answer = int(QUESTIONS.get(question, "0"))
    return chat(f"\\boxed{{{answer + (body['model'] == 'weak' and question in WRONG)}}}", usage=3)


@pytest.fixture
def runs(tmp_path: Path, start: Callable[[Script], FaultServer]) -> dict[str, Path]:
    """Two models, each evaluated by itself through an endpoint on questions of our own."""
    mine = tmp_path / "mine.jsonl"
    rows = [json.dumps({"ask": each, "key": key}) for each, key in QUESTIONS.items()]
    mine.write_text("\n".join(rows), "utf-8")
    url = start(adds).url
    made = {}
    for model in ("weak", "strong"):
        out = made[model] = tmp_path / model
        said = typed(
            "eval", "run", model, "--endpoint", url, "--benchmark", str(mine), "--columns", "prompt=ask,answer=key",
            "--suffix", " Box it.", "--samples", "2", "--temperature", "0.5", "--seed", "3", "--max-tokens", "64",
            "--out", str(out),
        )  # fmt: skip
        assert "mine avg@2" in said and ("70.0" if model == "weak" else "100.0") in said
        assert "mine: extraction strict, max_tokens 64, samples 2, temperature 0.5" in said
    return made


def test_43_own_questions_own_servers_and_what_changed(runs: dict[str, Path]) -> None:
    weak, strong = runs["weak"], runs["strong"]
    said = typed("eval", "diff", str(weak), str(strong / "evaluate")).splitlines()
    assert said[0] == "mine: asked and judged alike in both, answers are found by strict"
    [compared] = [line for line in said if " points, 95 % interval [" in line]
    assert compared.startswith(f"mine: strong ({strong}/evaluate) - weak ({weak}) = +30.0 points")
    assert "  70.0 -> 100.0 over 10 problems: 3 gained, 0 lost, 7 with the same score" in said
    gained = "  gained: What is 7 and 7? Box it. (key 14): 0.00 -> 1.00; answers 2 x 15 -> 2 x 14; 2 x other text was sampled"
    assert gained in said
    short = typed("eval", "diff", str(weak), str(strong), "--limit", "1").splitlines()
    assert short[-1] == "  ... and 2 more gained (--limit 0 names all)"

    whole = json.loads(typed("eval", "diff", str(weak), str(strong), "--json"))
    asked = whole["a"]["protocol"]["benchmarks"]["mine"]
    assert (asked["temperature"], asked["samples"], asked["extraction"]) == (0.5, 2, "strict")
    assert whole["a"]["protocol"]["seed"] == whole["b"]["protocol"]["seed"]
    [found] = whole["comparisons"]
    assert (found["gained"], found["lost"], found["problems"]) == (3, 0, 10)
    assert found["delta"] == pytest.approx(0.3) and found["ci95"][0] < 0.3 < found["ci95"][1]
    assert [flip["gold"] for flip in found["flips"]] == ["14", "16", "18"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--benchmark", "no/such.jsonl"], r"--benchmark no/such.jsonl: no file 'no/such.jsonl'"),
        (["--benchmark", "chian"], "no benchmark is called 'chian'; did you mean 'chain'"),
        (["--benchmark", "chain", "--suffix", "!"], "prompt_suffix say how a file of your own is read"),
        (["--benchmark", "chain", "--api-key-env", "KEY"], "eval run: --api-key-env belongs to --endpoint URL"),
    ],
)  # fmt: skip
def test_43_what_cannot_be_evaluated_is_refused(words: list[str], sentence: str, tmp_path: Path):
    with pytest.raises(UserError, match=sentence):
        typed("eval", "run", "longstep-tiny", *words, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_43_a_folder_without_one_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no protocol\.json, .* and no run\.json either"):
        evaluation_in(tmp_path)
    stages = {name: {"kind": "evaluate"} for name in ("first", "second")}
    (tmp_path / "run.json").write_text(
        json.dumps({"stages": list(stages), "recipe": {"stages": stages}}), "utf-8"
    )
    with pytest.raises(UserError, match="first, second is not finished"):
        evaluation_in(tmp_path)
    for name in stages:
        (tmp_path / name / "out").mkdir(parents=True)
        (tmp_path / name / "out" / "protocol.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"several evaluations; name one of them: .*first, .*second"
    ):
        evaluation_in(tmp_path)
