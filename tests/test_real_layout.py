"""The stages as real overlays use them, on a small local model and dataset of the same layout: Qwen-like, LoRA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstep.artifacts import read_json, read_rows, write_rows
from longstep.config import Located, validate
from longstep.run.recipe import Recipe, check
from longstep.run.runner import Run, execute
from longstep.types import Completion, Verdict
from longstep.yaml12 import parse
from test_models import model_folder

RECIPE = """
name: layout
stages:
  base: {kind: checkpoint, path: %(model)s, think_tokens: add}
  problems:
    kind: curate
    sources:
      - {kind: hub, name: %(data)s, split: train, columns: {prompt: problem, answer: answer}, verifier: math}
    filters: [{kind: has_answer}, {kind: length, max_chars: 4000}, {kind: verifiable_gold}]
  own:
    kind: sample
    by: {kind: model, model: "@base"}
    data: "@problems"
    sampling: {samples: 4, temperature: 1.0, top_p: 1.0, max_tokens: 12}
    rate: true
  tuned:
    kind: sft
    model: "@base"
    data: %(traces)s
    steps: 2
    batch: 4
    max_length: 120
    packing: true
    optimizer: {kind: adamw, lr: 1e-3}
    lora: {r: 2, targets: [q_proj, v_proj], new_tokens: keep}
    trainer: {gradient_checkpointing: true}
  preferred:
    kind: prefer
    model: "@tuned"
    chosen: %(traces)s
    rejected: "@own"
    pairs: {rejected: any}
    log_every: 1
    steps: 2
    batch: 2
    max_length: 120
    optimizer: {kind: adamw, lr: 1e-3}
    lora: {r: 2, targets: [q_proj, v_proj], new_tokens: keep}
  rl:
    kind: rl
    model: "@tuned"
    data: "@own"
    algorithm: {kind: light-r1, rewards: [{kind: soft-overlong}, {kind: correctness}]}
    group: 8
    batch: 16
    micro_batch: 2
    steps: 2
    # Long enough that one of the random model's answers ends by itself: groups of equal rewards train nothing at all.
    max_tokens: 80
    max_length: 120
    optimizer: {kind: adamw, lr: 1e-3}
    lora: {r: 2, targets: [q_proj, v_proj], new_tokens: keep}
    log_every: 1
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    model = model_folder(folder / "model", spare=8)
    data = folder / "data"
    data.mkdir()
    rows = [{"problem": f"What is {n} and {n + 1}?", "answer": str(2 * n + 1)} for n in range(8)]
    (data / "train.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"problem": "?", "answer": " "}])
    )
    located = Located(parse(RECIPE % {"model": model, "data": data, "traces": '"@problems"'})[0])
    first = {name: located.data["stages"][name] for name in ("base", "problems", "own")}
    execute(
        Run(
            _checked({"name": "layout", "stages": first}),
            Located({"name": "layout", "stages": first}),
            folder / "a",
            str,
        )
    )
    problems = read_rows(folder / "a/problems/out/problems.jsonl", _problem())
    traces = [
        Completion(
            p.id,
            0,
            (),
            (),
            f"<think>{p.answer}</think>\\boxed{{{p.answer}}}",
            "stop",
            verdict=Verdict("correct", p.answer),
        )
        for p in problems
    ]
    write_rows(folder / "traces" / "completions.jsonl", traces)
    write_rows(
        folder / "traces" / "problems.jsonl",
        read_rows(folder / "a/problems/out/problems.jsonl", _problem()),
    )
    whole = parse(RECIPE % {"model": model, "data": data, "traces": str(folder / "traces")})[0]
    execute(Run(_checked(whole), Located(whole), folder / "b", str))
    return folder / "b"


def _problem():
    from longstep.types import Problem

    return Problem


def _checked(data: dict) -> Recipe:
    recipe = validate(Recipe, Located(data))
    check(recipe, Located(data))
    return recipe


def test_the_blank_answer_was_dropped_with_its_reason(run: Path):
    funnel = read_json(run / "problems/out/funnel.json")
    assert [(step["step"], step["dropped"]) for step in funnel if step["dropped"]] == [
        ("has_answer", 1)
    ]


def test_forced_thinking_is_in_every_sampled_text(run: Path):
    rows = list(read_rows(run / "own/out/completions.jsonl", Completion))
    assert len(rows) == 32 and all(row.text.startswith("<think>") for row in rows)


@pytest.mark.parametrize("stage", ["tuned", "preferred", "rl"])
def test_adapters_end_merged_in_a_plain_folder_that_differs_from_its_parent(run: Path, stage: str):
    from safetensors.torch import load_file

    parent = load_file(run / ("base" if stage == "tuned" else "tuned") / "out/model.safetensors")
    merged = load_file(run / stage / "out/model.safetensors")
    changed = {name for name in merged if not bool((merged[name] == parent[name]).all())}
    assert merged.keys() == parent.keys()
    assert changed and all("q_proj" in name or "v_proj" in name for name in changed)


def test_the_reference_of_an_adapter_is_the_model_without_it(run: Path):
    lines = [
        json.loads(line) for line in (run / "preferred/metrics.jsonl").read_text().splitlines()
    ]
    assert lines[0]["loss"] == pytest.approx(
        1.3863, abs=1e-3
    )  # 2 ln 2: the adapter starts as nothing
    kl = [json.loads(line)["kl"] for line in (run / "rl/metrics.jsonl").read_text().splitlines()]
    assert kl[0] == pytest.approx(0, abs=1e-5)
