"""``lora: {keep: only}``: an adapter and the name of its base are the artifact; whoever reads it gets the same model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from longstep.artifacts import read_json, write_json
from longstep.config import UserError
from longstep.models.adapted import base_of, whole
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.models.origin import front_matter
from longstep.models.pointer import BASE
from longstep.run.push import Push, push_run
from longstep.run.runner import execute
from short_recipe import Setting, contents, finish, kill_after_step, run_of

RECIPE = """
name: adapters
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 12, difficulty: [1, 1]}]}
  traces: {kind: sample, by: {kind: reference, model: "@base"}, data: "@problems", sampling: {samples: 1, max_tokens: 60}}
  first:
    {kind: sft, model: "@base", data: "@traces", steps: 4, batch: 4, max_length: 96, save_every: 2, log_every: 1,
     optimizer: {kind: adamw, lr: 3e-3}, lora: {targets: all-linear, keep: merged}}
  second:
    {kind: sft, model: "@first", data: "@traces", steps: 2, batch: 4, max_length: 96, lora: {keep: merged}}
  third: {kind: sft, model: "@second", data: "@traces", steps: 2, batch: 4, max_length: 96}
  merged: {kind: merge, method: {kind: linear}, parents: ["@first", "@third"]}
  scores:
    kind: evaluate
    models: {first: "@first", second: "@second"}
    benchmarks: [{name: easy, source: {kind: chain, count: 4, difficulty: [1, 1], split: heldout}, max_tokens: 24}]
    samples: 1
    resamples: 100
"""
ONLY = RECIPE.replace("keep: merged", "keep: only")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same recipe with merged models and with adapters alone."""
    folder = tmp_path_factory.mktemp("runs")
    for name, text in (("merged", RECIPE), ("only", ONLY)):
        execute(run_of(folder / name, Setting(text=text)))
    return folder / "merged", folder / "only"


def test_every_stage_that_reads_an_adapter_makes_what_it_makes_of_the_merged_model(
    runs: tuple[Path, Path],
) -> None:
    merged, only = map(contents, runs)
    assert merged["first"] != only["first"] and merged["second"] != only["second"]
    for stage in ("third", "merged", "scores"):
        assert merged[stage] == only[stage], stage


def test_the_artifact_is_an_adapter_and_says_what_it_lies_on(runs: tuple[Path, Path]) -> None:
    first, second = (runs[1] / name / "out" for name in ("first", "second"))
    names = {path.name for path in first.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", BASE, "README.md"} <= names
    assert "model.safetensors" not in names and "config.json" not in names
    assert (base_of(first).resolve(), base_of(second).resolve()) == (
        runs[1] / "base" / "out",
        first,
    )
    front = front_matter(first)
    assert (front["library_name"], front["base_model_relation"]) == ("peft", "adapter")
    assert front["base_model"] == ["longstep-tiny"] and front["license"] == "apache-2.0"
    assert str(runs[1]) not in "".join(path.read_text("utf-8") for path in first.glob("*.json"))
    # Nothing of what the readers merged is left.
    assert not list(runs[1].rglob("*merged-*"))


def test_a_run_that_was_killed_leaves_the_same_adapter(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    setting, folder = Setting(text=ONLY, only=("second",)), tmp_path / "run"
    kill_after_step(folder, setting, 3)
    assert finish(folder, setting) == "done"
    wanted = contents(runs[1])
    assert contents(folder) == {name: wanted[name] for name in contents(folder)}


def test_a_merge_that_was_killed_is_made_again(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / ".merged-first").mkdir()
    (tmp_path / ".merged-first" / "model.safetensors").write_bytes(b"half")
    artifact = runs[1] / "first" / "out"
    at = whole(artifact, tmp_path)
    theirs = runs[0] / "first" / "out" / "model.safetensors"
    assert (at / "model.safetensors").read_bytes() == theirs.read_bytes()
    assert whole(artifact, tmp_path) == at
    load_model(at)
    load_tokenizer(at)
    plain = runs[0] / "first" / "out"
    assert whole(plain, tmp_path) == plain


def another(folder: Path) -> None:
    write_json(folder / "base" / "out" / "model.safetensors", "other weights")


@pytest.mark.parametrize("harm", [another, lambda folder: shutil.rmtree(folder / "base")])
def test_a_base_that_is_gone_or_another_is_refused(
    harm: Callable[[Path], None], runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(runs[1], tmp_path / "run")
    harm(folder)
    with pytest.raises(UserError, match="is gone or holds other weights than when it was trained"):
        whole(folder / "first" / "out", tmp_path)


def test_outside_of_its_run_it_is_refused_with_the_stage_that_merges_it(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = runs[1] / "first" / "out"
    with pytest.raises(UserError) as refused:
        load_model(out)
    base = runs[1] / "base" / "out"
    wanted = f"{{kind: checkpoint, path: {base}, adapter: {out}}} merges it into its base"
    assert wanted in str(refused.value)
    text = f"name: x\nstages:\n  start: {wanted.removesuffix(' merges it into its base')}\n"
    execute(run_of(tmp_path / "run", Setting(text=text)))
    ours = tmp_path / "run" / "start" / "out" / "model.safetensors"
    assert ours.read_bytes() == (runs[0] / "first" / "out" / "model.safetensors").read_bytes()


def test_a_start_that_no_stage_made_is_found_by_its_name(tmp_path: Path) -> None:
    text = ONLY.replace(
        'model: "@base", data: "@traces", steps: 4',
        "model: longstep-tiny, data: '@traces', steps: 4",
    )
    execute(run_of(tmp_path / "run", Setting(text=text)), ("first",))
    out = tmp_path / "run" / "first" / "out"
    assert read_json(out / BASE)["base"] == "longstep-tiny"
    assert base_of(out) == shipped_folder("longstep-tiny")


def test_an_adapter_that_nobody_else_could_load_is_not_pushed(runs: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"is an adapter alone .*train it with keep: beside"):
        push_run(runs[1], Push(to="me/mine", stage="first"), print)
