"""What a method or a recipe takes by default is what was published; what was not is named as ours in its recipe.

Read in papers, released scripts and notes about them; a row says where. A default that changes must change here, with
its source, or be told in ``differs_from_paper``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from longstep.config import TypeAdapter, dump
from longstep.curriculum import AnyCurriculum
from longstep.curriculum.gates import AnyGate
from longstep.curriculum.guides import AnyGuide
from longstep.losses import AnyAlgorithm
from longstep.losses.averages import TOKEN_MEAN
from longstep.losses.bonuses import AnyBonus
from longstep.run.recipe import Recipe, load, recipe_files
from longstep.stages.rl import Rl
from longstep.stages.sample import Sample

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


@pytest.mark.parametrize(
    ("family", "kind", "published"),
    [
        # AdaRFT, the authors' script: target 0.5, sensitivity 2, step 50, from the easiest on
        (AnyCurriculum, "adarft", {"beta": 0.5, "alpha": 2, "eta": 50, "start": 0}),
        # MoPPS, 2507.04632: a flat prior, target a half
        (AnyCurriculum, "mopps", {"target": 0.5, "prior": 1}),
        # GRESO, the authors' script: a quarter of the groups without signal, from 0.5 in steps of 0.01, never below 0.01
        (AnyCurriculum, "greso", {"target": 0.25, "start": 0.5, "move": 0.01, "least": 0.01}),
        # SEC, 2505.14970: learning rate 0.5, temperature 1 (or 0.4, 0.2)
        (AnyCurriculum, "sec", {"rate": 0.5, "temperature": 1}),
        # ScaleRL, 2510.13786: retired at a running pass rate of 0.9
        (AnyCurriculum, "retire", {"at": 0.9}),
        # DAPO, the released script: at most 10 draws; what follows them there, and the surplus, are ours
        (AnyGate, "mixed", {"limit": 10, "hopeless": "drop"}),
        # Polaris, the released code: with fewer than a third of the groups good, nothing is repeated
        (AnyGate, "replace", {"least": 1 / 3}),
        # SPEED, the authors' script: 4 answers first (then 12, which a group of 16 gives)
        (AnyGate, "screen", {"first": 4}),
        # PODS, 2504.13818: sizes not published for certain; SkyRL's and the note's 32
        (AnyGate, "spread", {"drawn": 32}),
        # VCRL, 2509.19803: 0.3 for the first 20 steps, then 0.8
        (AnyGate, "variance", {"least": 0.3, "later": 0.8, "after": 20}),
        # EGSR, 2505.08364: solution and answer shown; one row, which is ours
        (AnyGuide, "egsr", {"show": "solution", "replaced": 1}),
        # LUFFY, 2504.14945: p / (p + 0.1)
        (AnyGuide, "expert", {"weight": "shaped"}),
        # Skywork-OR1: target 0.2, steps of 1e-4, at most 0.005
        (AnyBonus, "adaptive-entropy", {"target": 0.2, "rise": 1e-4, "most": 0.005}),
        # GRPO, 2402.03300: clip 0.2, divided by the spread of the group; no KL by default is ours
        (AnyAlgorithm, "grpo", {"epsilon": 0.2, "epsilon_high": 0.2, "scale_rewards": "group"}),
        # Dr. GRPO, 2503.20783: no division by the spread
        (AnyAlgorithm, "dr-grpo", {"scale_rewards": "none"}),
        # PPO as the authors of AdaRFT ran it: critic at 1e-5
        (AnyAlgorithm, "ppo", {"gamma": 1, "epsilon": 0.2}),
    ],
)  # fmt: skip
def test_a_member_named_alone_has_the_published_defaults(
    family: Any, kind: str, published: dict[str, Any]
) -> None:
    given = dump(TypeAdapter(family).validate_python({"kind": kind}))
    assert {name: given[name] for name in published} == published


def test_dapo_named_alone_is_dapo() -> None:
    """2503.14476, equations 7 to 13, and the released script."""
    stage = Rl.model_validate(
        {"model": "m", "data": "d", "steps": 1, "algorithm": {"kind": "dapo"}}
    )
    method = dump(stage.algorithm)
    assert stage.selection.kind == "mixed"
    assert stage.algorithm.average is TOKEN_MEAN
    assert (method["epsilon"], method["epsilon_high"]) == (0.2, 0.28)
    assert method["minibatches"] == 16 and stage.updates == 16
    assert method["penalty"] == {"kind": "none"} == method["bonus"]
    assert method["rewards"] == [
        {"kind": "correctness", "right": 1.0, "wrong": -1.0},
        {"kind": "soft-overlong", "cache": 4096 / 20480},
    ]
    assert method["scale_rewards"] == "group"
    assert (stage.unthinking, stage.guide.kind, stage.temperature) == (0.0, "none", 1.0)


def recipe(name: str, size: str) -> Recipe:
    return load(recipe_files(str(RECIPES / name), size))[0]


def chain(recipe: Recipe) -> list[Rl]:
    return [each for each in recipe.stages.values() if isinstance(each, Rl)]


def run_of(stage: Rl) -> dict[str, Any]:
    """What a paper says of a run, in its own terms: problems and answers of a batch of rollouts, rate, lengths."""
    assert stage.steps is not None
    updates = stage.algorithm.minibatches
    return {
        "algorithm": stage.algorithm.kind,
        "penalty": dump(stage.algorithm)["penalty"],
        "prompts": stage.batch * updates // stage.group,
        "answers": stage.group,
        "updates": updates,
        "batches": stage.steps / updates,
        "longest": stage.max_tokens,
        "lr": stage.optimizer.lr,
        "temperature": stage.temperature,
    }


LOW_KL, NO_KL = {"kind": "k3", "beta": 0.001}, {"kind": "none"}
RATE = {"lr": 1e-6}


def published(algorithm: str, penalty: Any, *numbers: int, temperature: float) -> dict[str, Any]:
    keys = ("prompts", "answers", "updates", "batches", "longest")
    named = dict(zip(keys, numbers, strict=True))
    return {"algorithm": algorithm, "penalty": penalty, "temperature": temperature, **named, **RATE}


@pytest.mark.parametrize(
    ("name", "size", "runs"),
    [
        # released scripts and README; batches from the figure of the README
        ("deepscaler", "ds-1.5b", [
            published("grpo", LOW_KL, 128, 8, 2, 1040, 8192, temperature=0.6),
            published("grpo", LOW_KL, 128, 16, 2, 480, 16384, temperature=0.6),
            published("grpo", LOW_KL, 128, 16, 2, 230, 24576, temperature=0.6),
        ]),
        # the scripts of the final release, stages 1 to 4
        ("fastcurl", "ds-1.5b", [
            published("grpo", LOW_KL, 128, 8, 2, 160, 8192, temperature=0.6),
            published("grpo", LOW_KL, 64, 8, 1, 590, 16384, temperature=0.6),
            published("grpo", LOW_KL, 64, 8, 1, 230, 24576, temperature=0.6),
            published("grpo", LOW_KL, 64, 16, 1, 580, 16384, temperature=0.6),
        ]),
        # paper and released script; the number of batches is read off the curve (said in the recipe)
        ("dapo", "qwen-32b", [published("dapo", NO_KL, 512, 16, 16, 320, 20480, temperature=1.0)]),
        # 2505.00949, section 5.1: 72 problems, 16 answers, 2 updates of 576; length and batches are ours
        ("nemotron-rl", "qwen3-8b", [published("grpo", NO_KL, 72, 16, 2, 100, 16384, temperature=1.0)]),
        # 2504.05520 and the authors' script: 1,024 answers a step, KL 0.001, 3,000 tokens, 100 steps; 8 answers are ours
        ("adarft", "qwen-math-1.5b", [published("grpo", LOW_KL, 128, 8, 1, 100, 3000, temperature=1.0)]),
        # 2505.08364, abstract and notes: GRPO; every number of the run is ours
        ("adcl-egsr", "qwen-7b", [published("grpo", NO_KL, 128, 8, 1, 54, 4096, temperature=1.0)]),
    ],
)  # fmt: skip
def test_the_real_size_of_a_recipe_is_the_published_run(
    name: str, size: str, runs: list[dict[str, Any]]
) -> None:
    assert [run_of(stage) for stage in chain(recipe(name, size))] == runs


def test_deepscaler_leaves_1024_tokens_for_a_prompt_and_starts_each_phase_anew() -> None:
    read = recipe("deepscaler", "ds-1.5b")
    first, second, third = chain(read)
    assert {each.max_length - each.max_tokens for each in chain(read)} == {1024}
    assert (first.model, second.model, third.model) == ("@base", "@rl-8k", "@rl-16k")
    assert all(each.reference == each.model for each in chain(read))  # the start of the phase
    assert [each.until.kind for each in chain(read)] == ["turn-up", "turn-up", "steps"]


def test_fastcurl_cuts_prompts_at_their_mean_and_ends_the_first_phase_at_a_tenth_cut() -> None:
    phases = chain(recipe("fastcurl", "ds-1.5b"))
    sides = [None if w is None else (w.side, w.of) for w in (p.where.prompt_chars for p in phases)]
    assert sides == [("short", "mean"), None, ("long", "mean"), None]
    assert dump(phases[0].until)["below"] == 0.1


def test_dapo_warms_up_over_ten_batches_and_punishes_the_last_4096_tokens() -> None:
    (stage,) = chain(recipe("dapo", "qwen-32b"))
    assert stage.steps is not None and stage.schedule == "constant"
    assert stage.warmup * stage.steps == 10 * stage.algorithm.minibatches
    assert dump(stage.optimizer)["weight_decay"] == 0.1 and stage.clip == 1.0
    (cache,) = [r["cache"] for r in dump(stage.algorithm)["rewards"] if "cache" in r]
    assert cache * stage.max_tokens == 4096 and stage.max_length - stage.max_tokens == 2048
    assert (stage.selection.kind, stage.batch) == ("mixed", 512)


def test_nemotron_drops_what_is_solved_three_times_in_four_and_rewards_the_form() -> None:
    read = recipe("nemotron-rl", "qwen3-8b")
    (stage,), pool = chain(read), read.stages["pool"]
    assert isinstance(pool, Sample) and pool.sampling.samples == 8
    low, high = stage.where.pass_rate or (0, 0)
    assert low == 0 and 5 / 8 <= high < 6 / 8  # the largest rate of 8 answers below 0.75
    assert [each["kind"] for each in dump(stage.algorithm)["rewards"]] == ["correctness", "format"]
    assert stage.curriculum.kind == "gaussian" and stage.batch == 576


def test_adarft_and_adcl_order_by_rates_of_the_model_itself() -> None:
    for name, size, curriculum, guide in (
        ("adarft", "qwen-math-1.5b", "adarft", "none"),
        ("adcl-egsr", "qwen-7b", "adcl", "egsr"),
    ):
        read = recipe(name, size)
        (stage,), pool = chain(read), read.stages["pool"]
        assert isinstance(pool, Sample) and (pool.rate, pool.sampling.samples) == (True, 8)
        assert (pool.sampling.temperature, pool.sampling.top_p) == (1.0, 1.0)
        assert (stage.curriculum.kind, stage.guide.kind) == (curriculum, guide)
        assert {"pass_rate"} == stage.curriculum.wants()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("deepscaler", "entropy bonus of 0.001.*none here"),
        ("deepscaler", "all four numbers ours"),
        ("fastcurl", "the published numbers of steps are the bounds"),
        ("dapo", r"released script, which are 160 updates \(the paper's text says 20\)"),
        ("dapo", r"dual clip of the release \(10.0\) is left out"),
        ("nemotron-rl", "Mean and width of the Gaussian are not published"),
        ("adarft", "GRPO with 8 answers to each of 128 problems; the paper trains by PPO"),
        ("adcl-egsr", "Eight batches, eight answers for each rating, four guided answers of which one"),
    ],
)  # fmt: skip
def test_what_differs_is_said(name: str, ours: str) -> None:
    text = (RECIPES / name / "recipe.yaml").read_text("utf-8")
    assert re.search(ours, text.partition("stages:\n")[0])
