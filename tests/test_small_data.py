"""Recipes on small data: their real sizes have the published settings, and their arms differ in the rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from longstep.config import dump
from longstep.run.plan import make_plan
from longstep.run.recipe import Recipe, load, recipe_files
from short_recipe import Setting, finish, lines

#: Where the numbers stand: s1's in its train/sft_multinode.sh (31a10f2) and section 2 of arXiv 2501.19393; LIMO's in
#: arXiv 2502.03387, but for the batch, which is this project's; Stratos' in the card of bespokelabs/Bespoke-Stratos-32B;
#: Sky-T1-Flash's in NovaSky's SkyThought, recipes/sky-t1-flash (1c365a1).
PUBLISHED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "s1": {
        "base": {"path": "Qwen/Qwen2.5-32B-Instruct"},
        "by_small": {"by.model": "Qwen/Qwen2.5-7B-Instruct", "sampling.samples": 1},
        "by_large": {"by.model": "Qwen/Qwen2.5-32B-Instruct", "sampling.samples": 1},
        "s1k": {"rules.0.raters": ["small", "large"], "rules.1.count": 1000},
        "sft": {
            "epochs": 5, "batch": 16, "max_length": 32768, "schedule": "cosine", "warmup": 0.05,
            "optimizer.lr": 1e-5, "optimizer.weight_decay": 1e-4, "optimizer.betas": [0.9, 0.95],
        },
        "budget": {"strategies.waited.wait": "Wait", "strategies.waited.waits": 2, "sampling.temperature": 0.0},
    },
    "limo": {
        "base": {"path": "Qwen/Qwen2.5-32B-Instruct"},
        "by_weak": {"sampling.samples": 4},
        "by_strong": {"sampling.samples": 32, "by.model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"},
        "taken": {"rules.0.count": 800, "rules.0.solved": [1 / 32, 3 / 32]},
        "sft": {"epochs": 15, "max_length": 16384, "schedule": "cosine", "warmup": 0.0, "optimizer.lr": 5e-6},
    },
    "stratos": {
        "base": {"path": "Qwen/Qwen2.5-32B-Instruct"},
        "traces": {"data": "hub:bespokelabs/Bespoke-Stratos-17k,split=train"},
        "sft": {
            "epochs": 3, "batch": 96, "schedule": "cosine", "warmup": 0.1,
            "optimizer.lr": 1e-5, "optimizer.betas": [0.9, 0.999],
        },
        "own": {"sampling.samples": 8, "sampling.temperature": 1.0},
        "flash": {"pairs.kind": "shortest", "pairs.over": "right", "pairs.per_problem": 1},
    },
}  # fmt: skip


def loaded(name: str, size: str | None = None) -> Recipe:
    return load(recipe_files(name, size))[0]


def setting(recipe: Recipe, stage: str, path: str) -> Any:
    found: Any = dump(recipe.stages[stage])
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_real_size_is_as_published(name: str):
    recipe = loaded(name, "qwen-32b")
    for stage, settings in PUBLISHED[name].items():
        for path, value in settings.items():
            assert setting(recipe, stage, path) == value, f"{stage}.{path}"


def test_a_plan_counts_the_rows_that_a_selection_leaves():
    """The completions beside the problems go with them: 1,000 rows five times, and not 47,000."""
    stages = {stage.stage: stage for stage in make_plan(loaded("s1", "qwen-32b")).stages}
    assert stages["sft"].rows == 1000
    per_row = stages["sft"].tokens_trained / 5000
    assert 1000 < per_row < 32768


def test_arms_differ_in_their_rows_and_in_nothing_else():
    recipe = loaded("small-data")
    arms = {name: dump(stage) for name, stage in recipe.stages.items() if name.startswith("arm-")}
    rows = [arm.pop("data") for arm in arms.values()]
    assert len(arms) == 14 and len(set(rows)) == 14
    assert all(arm == arms["arm-right"] for arm in arms.values())
    counts = {
        dump(recipe.stages[each[1:]])["rules"][-1]["count"] for each in rows if "taken" in each
    }
    assert counts == {200}


RECIPE = """
name: kept
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 24, difficulty: [2, 3]}]}
  drawn: {kind: sample, by: {kind: model, model: "@base"}, data: "@problems", sampling: {samples: 4, temperature: 1.0, max_tokens: 24}}
  wrong: {kind: sample, by: {kind: stored, data: "@drawn"}, data: "@problems", sampling: {samples: 4}, keep: wrong, per_problem: 1}
  spoilt: {kind: sample, by: {kind: edited, data: "@wrong", edit: {kind: gold-answer}}, data: "@problems", keep: correct}
  told: {kind: curate, data: "@drawn", controls: [{kind: tell_keys, template: "{answer}{prompt}"}]}
  arm: {kind: sft, model: "@base", data: "@spoilt", steps: 1, batch: 4, max_length: 96, log_every: 1}
  hinted: {kind: sft, model: "@base", data: "@told", steps: 1, batch: 4, max_length: 96, log_every: 1}
"""


def test_wrong_traces_are_kept_spoilt_and_trained_on(tmp_path: Path):
    run = tmp_path / "run"
    assert finish(run, Setting(text=RECIPE)) == "done"
    rows = {
        name: lines(run / name / "out" / "completions.jsonl")
        for name in ("drawn", "wrong", "spoilt")
    }
    wrong = {row["problem_id"] for row in rows["drawn"] if row["verdict"]["status"] == "incorrect"}
    assert {row["problem_id"] for row in rows["wrong"]} == wrong and len(rows["wrong"]) == len(
        wrong
    )
    assert {row["verdict"]["status"] for row in rows["wrong"]} == {"incorrect"}
    before = {row["problem_id"]: row["text"].partition("</think>") for row in rows["wrong"]}
    keys = {row["id"]: row["answer"] for row in lines(run / "problems" / "out" / "problems.jsonl")}
    for row in rows["spoilt"]:
        head, tag, _ = before[row["problem_id"]]
        assert row["text"] == f"{head}{tag}\\boxed{{{keys[row['problem_id']]}}}"
    assert len(rows["spoilt"]) == len(wrong) > 0
    asked = {row["id"]: row["prompt"] for row in lines(run / "problems" / "out" / "problems.jsonl")}
    told = lines(run / "told" / "out" / "problems.jsonl")
    assert {row["id"]: row["prompt"] for row in told} == {
        id: keys[id] + text for id, text in asked.items()
    }
    # The answers were carried along, and are trained on behind the question that tells.
    first = lines(run / "hinted" / "masks.jsonl")[0]
    prompt = "".join(
        token for token, on in zip(first["tokens"], first["mask"], strict=True) if not on
    )
    assert any(row["prompt"] in prompt for row in told)
