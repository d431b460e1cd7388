"""Every recipe parses alone and with each overlay; references and keys are checked before anything runs."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from longstep.config import UserError, load_yaml
from longstep.run.plan import make_plan
from longstep.run.recipe import Recipe, find_recipe, load, recipe_files

ROOT = Path(__file__).resolve().parents[1] / "recipes"
RECIPES = sorted(path.parent for path in ROOT.glob("*/recipe.yaml"))
OVERLAYS = [
    path
    for folder in RECIPES
    for path in sorted(folder.glob("*.yaml"))
    if path.name != "recipe.yaml"
]


@pytest.mark.parametrize("folder", RECIPES, ids=lambda p: p.name)
def test_a_recipe_loads_alone(folder: Path):
    recipe, _ = load([folder / "recipe.yaml"])
    assert recipe.name == folder.name and recipe.differs_from_paper
    assert sorted(recipe.order()) == sorted(recipe.stages)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_recipe_loads_with_each_overlay(overlay: Path):
    size = f"tiny+{overlay.stem}" if overlay.stem == "evidence" else overlay.stem
    recipe, _ = load(recipe_files(overlay.parent.name, size))
    for name, stage in recipe.stages.items():
        position = recipe.order().index(name)
        assert all(recipe.order().index(needed) < position for needed in recipe.inputs(name)), (
            stage.kind
        )


def write(folder: Path, text: str) -> list[Path]:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return [path]


TWO = """name: two
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 4}]}
  rows:
    kind: sample
    by: {kind: model, model: "@%s"}
    data: "@%s"
"""


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            ("bse", "problems"),
            r"recipe.yaml:7: stages.rows.by.model: no stage is called '@bse'; did you mean '@base'\?",
        ),
        (("base", "base"), r"'@base' is a stage that makes a model; rows must stand here"),
        (
            ("problems", "problems"),
            r"'@problems' is a stage that makes rows; a model must stand here",
        ),
    ],
)
def test_a_wrong_reference_is_named_with_its_line(tmp_path: Path, names, sentence: str):
    with pytest.raises(UserError, match=sentence):
        load(write(tmp_path, TWO % names))


RL = """name: one
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 4}]}
  r: {kind: rl, model: "@base", data: "@problems", steps: 1, batch: 8, max_length: 64, %s}
"""
SCORES = """name: one
stages:
  e: {kind: evaluate, models: {%s: longstep-tiny}, benchmarks: [%s]}
"""
OWN = "{name: %s, source: {kind: chain, count: 2}}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (RL % "max_tokens: 64", r":5: stages.r.max_tokens: 64 leaves no room for a prompt within"),
        (
            RL % "max_tokens: 8, where: {pass_rate: [0.9, 0.1]}",
            r":5: stages.r.where.pass_rate: expected the lower end first, got \[0.9, 0.1\]",
        ),
        (SCORES % ("a", ""), r"stages.e.benchmarks: expected at least 1 entry, got 0"),
        (SCORES % ("../a", "chain"), r":3: stages.e.models: '../a' becomes a file name"),
        (SCORES % ("a", OWN % "x/y"), r":3: stages.e.benchmarks: 'x/y' becomes a file name"),
        (
            SCORES % ("a", "{name: b, source: {kind: jsonl, path: no.jsonl, columns: {}}}"),
            r":3: stages.e.benchmarks: b reads no.jsonl, and no such file is here",
        ),
        (SCORES % ("a", f"{OWN % 'x'}, {OWN % 'x'}"), r":3: stages.e.benchmarks: 'x' is named 2"),
    ],
)
def test_what_would_fail_or_vanish_at_the_end_is_refused_at_load(
    tmp_path: Path, text: str, sentence: str
):
    """Two benchmarks of one name were one, and a name that is no file name stopped the last stage of a run."""
    with pytest.raises(UserError, match=sentence):
        load(write(tmp_path, text))


def test_stages_in_a_circle_are_refused(tmp_path: Path):
    text = """name: circle
stages:
  a: {kind: merge, method: {kind: linear}, parents: ["@b", "@b"]}
  b: {kind: merge, method: {kind: linear}, parents: ["@a", "@a"]}
"""
    with pytest.raises(UserError, match="in a circle: a -> b -> a"):
        load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            "learning_rat",
            r"TRL's SFT config has no key 'learning_rat'; did you mean 'learning_rate'",
        ),
        ("learning_rate", r"learning_rate belongs to longstep; set optimizer.lr instead"),
        ("adam_beta1", r"adam_beta1 belongs to longstep; set optimizer.betas instead"),
        (
            "save_only_model",
            r"save_only_model belongs to longstep; it cannot be set: a run resumed",
        ),
        ("top_k", r"top_k belongs to longstep; it cannot be set: rollouts come from longstep's"),
        ("vllm_mode", r"vllm_mode belongs to longstep; it cannot be set: rollouts come from"),
        ("gradient_checkpointin", r"did you mean 'gradient_checkpointing'"),
    ],
)
def test_trainer_keys_are_checked_at_load_with_their_line(tmp_path: Path, key: str, sentence: str):
    text = TWO % ("base", "problems") + (
        f'  tuned:\n    kind: sft\n    model: "@base"\n    data: "@rows"\n    steps: 2\n    trainer:\n      {key}: 1\n'
    )
    with pytest.raises(
        UserError, match=rf"recipe.yaml:15: stages.tuned.trainer.{key}: .*{sentence}"
    ):
        load(write(tmp_path, text))


def test_unknown_sizes_and_recipes_are_named_with_their_neighbours():
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        recipe_files("light-r1", "tny")
    with pytest.raises(UserError, match="did you mean 'light-r1'"):
        find_recipe("light-r")


def test_only_pulls_in_what_a_stage_reads():
    recipe, _ = load(recipe_files("light-r1", "tiny"))
    assert recipe.needed_for(["rated"]) == ["rater", "problems", "rated"]
    assert set(chain(recipe.needed_for(["scores"]))) == set(recipe.stages)


def test_naming_the_method_is_the_whole_setting():
    recipe, _ = load(recipe_files("light-r1", "tiny"), ["stages.rl.algorithm={kind: dapo}"])
    algorithm = recipe.stages["rl"].algorithm  # pyright: ignore
    assert (algorithm.kind, algorithm.epsilon, algorithm.epsilon_high) == ("dapo", 0.2, 0.28)
    assert algorithm.penalty.kind == "none"
    assert [each.kind for each in algorithm.rewards] == ["correctness", "soft-overlong"]
    assert algorithm.minibatches == 16 and list(recipe.stages["rl"].check()) == []
    assert recipe.stages["rl"].selection.kind == "mixed"  # pyright: ignore
    (open_end,) = [line for line in make_plan(recipe).assumptions if "its gate draws on" in line]
    assert open_end.startswith("rl: ") and "at most 10 batches" in open_end


def test_rewards_beside_the_algorithm_are_refused_with_their_new_place():
    with pytest.raises(UserError, match=r"algorithm: \{kind: ..., rewards: \[...\]\}"):
        load(recipe_files("light-r1", "tiny"), ["stages.rl.rewards=[{kind: cosine}]"])


def test_a_recipe_survives_its_own_json():
    recipe, _ = load(recipe_files("light-r1", "tiny"))
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert (
        load_yaml(ROOT / "light-r1" / "tiny.yaml").data["stages"]["base"]["path"] == "longstep-tiny"
    )
