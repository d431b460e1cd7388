"""``arms:`` written out as stages side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from longstep.config import UserError, dump
from longstep.run.plan import make_plan
from test_phases import HEAD, RL, loaded

ARMS = f"""{HEAD}  rl:
{RL}    model: "@base"
    max_tokens: 16
    arms:
      uniform: {{}}
      adarft: {{curriculum: {{kind: adarft}}}}
      long: {{max_tokens: 24, phases: {{first: {{steps: 4}}, then: {{}}}}}}
  scores: {{kind: evaluate, models: {{base: "@base", "rl-*": "@rl-*"}}, benchmarks: [chain]}}
"""
WRITTEN_OUT = f"""{HEAD}  rl-uniform:
{RL}    model: "@base"
    max_tokens: 16
  rl-adarft:
{RL}    model: "@base"
    max_tokens: 16
    curriculum: {{kind: adarft}}
  rl-long-first:
{RL.replace("8", "4", 1)}    model: "@base"
    max_tokens: 24
  rl-long:
{RL}    model: "@rl-long-first"
    max_tokens: 24
  scores:
    kind: evaluate
    models: {{base: "@base", rl-uniform: "@rl-uniform", rl-adarft: "@rl-adarft", rl-long: "@rl-long"}}
    benchmarks: [chain]
"""


def test_arms_are_the_stages_that_one_would_write(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, ARMS)
    assert dump(recipe) == dump(loaded(tmp_path, WRITTEN_OUT))
    assert recipe.needed_for(["rl-adarft"]) == ["base", "problems", "rl-adarft"]
    assert [stage.stage for stage in make_plan(recipe).stages] == recipe.order()


def test_an_overlay_and_the_command_line_change_what_all_share_or_one_arm(tmp_path: Path) -> None:
    top = (
        "stages: {rl: {batch: 16, arms: {adarft: {batch: 24}, more: {curriculum: {kind: retire}}}}}"
    )
    recipe = loaded(tmp_path, ARMS, "stages.rl.arms.uniform.steps=5", top=top)
    stages = dump(recipe)["stages"]
    got = {
        name: (stage["steps"], stage["batch"]) for name, stage in stages.items() if "rl-" in name
    }
    assert got == {
        "rl-uniform": (5, 16),
        "rl-adarft": (8, 24),
        "rl-long-first": (4, 16),
        "rl-long": (8, 16),
        "rl-more": (8, 16),
    }
    assert list(stages["scores"]["models"]) == [
        "base",
        "rl-uniform",
        "rl-adarft",
        "rl-long",
        "rl-more",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "uniform: {}",
            "uniform: 3",
            "15: stages.rl.arms.uniform: expected the settings of an arm",
        ),
        ("uniform: {}", "uniform: {kind: sft}", "arms are all of the stage's kind"),
        ("uniform: {}", "uniform: {stepps: 3}", "stages.rl-uniform.stepps: unknown key"),
        ("uniform: {}", "ada-rft: {}", "stages.rl.arms.adarft: is 'ada-rft' spelt otherwise"),
        ("arms:", "arms: {}\n    ignored:", "expected at least one 'name: {settings}'"),
        ('"rl-*": "@rl-*"', 'a: "@rl-*"', "call it 'rl-*'"),
        ('"rl-*": "@rl-*"', '"sft-*": "@sft-*"', "no stage 'sft' has arms (there are: rl)"),
        (
            '"rl-*": "@rl-*"',
            'rl: "@rl"',
            "@rl is several arms; name one of @rl-uniform, @rl-adarft",
        ),
        (
            "  scores:",
            "  rl-adarft: {kind: checkpoint, path: a}\n  scores:",
            "is an arm of rl, too",
        ),
    ],
)
def test_what_makes_no_arms_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in ARMS
    with pytest.raises(UserError) as refused:
        loaded(tmp_path, ARMS.replace(old, new))
    assert words in str(refused.value) and "recipe.yaml:" in str(refused.value)


def test_a_misspelt_arm_of_the_command_line_is_no_new_one(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no arm is called that \(there are: uniform, adarft, long\)"
    ):
        loaded(tmp_path, ARMS, "stages.rl.arms.unifrom.steps=5")
