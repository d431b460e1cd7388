"""``phases:`` written out as a chain of stages, and the cut by the length of prompts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_json, write_rows
from longstep.cli.families import recipe_schema
from longstep.config import UserError, dump, load_yaml, validate
from longstep.context import Context, PromptChars, Where, chosen_problems
from longstep.costs.flow import Flow, share
from longstep.progress import Progress
from longstep.report.shown import chosen
from longstep.run.plan import make_plan
from longstep.run.recipe import Recipe, load, recipe_files
from longstep.stages.rl import Rl
from longstep.types import Problem

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
HEAD = """name: chain
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8}]}
"""
RL = """    kind: rl
    data: "@problems"
    steps: 8
    batch: 8
    max_length: 128
    temperature: 1.0
"""
PHASED = f"""{HEAD}  rl:
{RL}    model: "@base"
    until: {{kind: truncation, window: 2, below: 0.3}}
    max_tokens: 16
    phases:
      short:
        where: {{prompt_chars: {{side: short}}}}
      long: {{max_tokens: 24, until: {{window: 3}}}}
      last: {{until: {{kind: steps}}, algorithm: {{kind: grpo}}, group: 4}}
  scores: {{kind: evaluate, models: {{first: "@rl-short", last: "@rl"}}, benchmarks: [chain]}}
"""
WRITTEN_OUT = f"""{HEAD}  rl-short:
{RL}    model: "@base"
    until: {{kind: truncation, window: 2, below: 0.3}}
    max_tokens: 16
    where: {{prompt_chars: {{side: short}}}}
  rl-long:
{RL}    model: "@rl-short"
    until: {{kind: truncation, window: 3, below: 0.3}}
    max_tokens: 24
  rl:
{RL}    model: "@rl-long"
    until: {{kind: steps}}
    max_tokens: 16
    algorithm: {{kind: grpo}}
    group: 4
  scores: {{kind: evaluate, models: {{first: "@rl-short", last: "@rl"}}, benchmarks: [chain]}}
"""


def loaded(folder: Path, text: str, *overrides: str, top: str = "") -> Recipe:
    files = [folder / "recipe.yaml", folder / "top.yaml"]
    files[0].write_text(text, "utf-8")
    files[1].write_text(top or "seed: 17", "utf-8")
    return load(files, overrides)[0]


def test_phases_are_the_chain_that_one_would_write(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, PHASED)
    assert dump(recipe) == dump(loaded(tmp_path, WRITTEN_OUT))
    assert recipe.order() == ["base", "problems", "rl-short", "rl-long", "rl", "scores"]
    assert recipe.needed_for(["rl-long"]) == ["base", "problems", "rl-short", "rl-long"]
    assert recipe.needed_for(["rl"])[-1] == "rl"  # --only
    assert [stage.stage for stage in make_plan(recipe).stages] == recipe.order()


def test_an_overlay_and_the_command_line_change_one_phase(tmp_path: Path) -> None:
    top = "stages: {rl: {steps: 9, phases: {long: {max_tokens: 30}, more: {max_tokens: 40}}}}"
    stages = dump(loaded(tmp_path, PHASED, "stages.rl.phases.short.steps=5", top=top))["stages"]
    phases = [name for name in stages if name.startswith("rl")]
    assert [(name, stages[name]["steps"], stages[name]["max_tokens"]) for name in phases] == [
        ("rl-short", 5, 16),
        ("rl-long", 9, 30),
        ("rl-last", 9, 16),
        ("rl", 9, 40),  # a phase more: the plain name goes to the last one
    ]
    assert stages["rl-long"]["until"]["window"] == 3


@pytest.mark.parametrize(
    ("word", "references"),
    [
        ("start", ["@base", "@base", "@base"]),
        ("phase", ["@base", "@rl-short", "@rl-long"]),
        ('"@base"', ["@base", "@base", "@base"]),
    ],
)
def test_what_a_penalty_compares_with_is_a_setting(
    tmp_path: Path, word: str, references: list[str | None]
) -> None:
    text = PHASED.replace("algorithm: {kind: grpo}, ", "")
    stages = dump(loaded(tmp_path, text, f"stages.rl.reference={word}"))["stages"]
    assert [stages[name]["reference"] for name in ("rl-short", "rl-long", "rl")] == references
    one = dump(loaded(tmp_path, text, f"stages.rl.phases.long.reference={word}"))["stages"]
    assert one["rl-long"]["reference"] == references[1] and one["rl"]["reference"] is None


@pytest.mark.parametrize("word", ["start", "phase"])
def test_a_reference_that_nothing_compares_with_is_refused(tmp_path: Path, word: str) -> None:
    """Also in the first phase, and where it is set back: GRPO of the last phase has no penalty."""
    with pytest.raises(
        UserError, match=r"stages.rl.reference: has no effect: the algorithm has no p"
    ):
        loaded(tmp_path, PHASED, f"stages.rl.reference={word}")


def test_with_adapters_the_start_of_a_phase_is_the_reference_there_is(tmp_path: Path) -> None:
    text = PHASED.replace("algorithm: {kind: grpo}, ", "")
    lora = "stages.rl.lora={r: 2}"
    stages = loaded(tmp_path, text, "stages.rl.reference=phase", lora).stages
    assert next(iter(stages["rl-long"].references())) == ("@rl-short", "model")
    assert len([ref for ref, kind in stages["rl-long"].references() if kind == "model"]) == 1
    with pytest.raises(UserError, match="with lora the penalty compares with the start"):
        loaded(tmp_path, text, "stages.rl.reference=start", lora)


def test_a_copy_that_draws_follows_the_chain(tmp_path: Path) -> None:
    stages = dump(loaded(tmp_path, PHASED, "stages.rl.by={kind: model, model: '@base'}"))["stages"]
    drawn = [stages[name]["by"]["model"] for name in ("rl-short", "rl-long", "rl")]
    assert drawn == ["@base", "@rl-short", "@rl-long"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("max_tokens: 24,", "max_tokns: 24,", r"recipe.yaml:18: stages.rl-long.max_tokns: unknown"),
        ("max_tokens: 24,", "max_tokens: 0,", r"recipe.yaml:18: stages.rl-long.max_tokens: "),
        ("window: 3", "window: 9", r"recipe.yaml:18: stages.rl-long.until.window: the rule says"),
        ("batch: 8", "batch: 9", r"recipe.yaml:9: stages.rl-short.batch: 9 completions"),
        (
            "max_tokens: 24,",
            'model: "@base",',
            r"yaml:18: stages.rl.phases.long.model: a phase starts from the model of the one before",
        ),
        (
            "max_tokens: 24,",
            "reset_optimizer: false,",
            r"a stage of kind rl alone may say optimizer_state: carried",
        ),
        ("max_tokens: 24,", "kind: sft,", r"stages.rl.phases.long.kind: the phases of a stage are"),
        ("{max_tokens: 24, until: {window: 3}}", "", r"yaml:18: stages.rl.phases.long: expected"),
        ("      long:", "      Short:", r"yaml:18: stages.rl.phases.Short: is 'short' spelt other"),
        ("      long:", "      a.b:", r"stage name 'rl-a.b' may hold letters"),
        ('    model: "@base"\n', "", r"yaml:14: stages.rl.phases: each phase starts from the mod"),
        ("  scores:", "  rl-long:", r"yaml:20: stages.rl-long: is a phase of rl; set stages.rl.ph"),
        ('"@rl"}', '"@rl-last"}', r"no stage is called '@rl-last'; did you mean '@rl-"),
    ],
)
def test_what_makes_no_chain_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert PHASED.count(old) == 1
    with pytest.raises(UserError, match=sentence):
        loaded(tmp_path, PHASED.replace(old, new))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("stages.rl.phases.lang.steps=9", "phases.lang: no phase is called that .there are: short"),
        ("stages.rl-long.steps=9", "stages.rl-long: is a phase of rl; set stages.rl.phases.long"),
        ("stages.rl.phases=[a, b]", "stages.rl.phases: expected at least one 'name:"),
        ("stages.rl.phases=null", "stages.rl.phases: expected at least one 'name:"),
    ],
)
def test_an_override_of_no_phase_is_refused(tmp_path: Path, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        loaded(tmp_path, PHASED, override)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # (longest answer, prompts and answers of a batch of rollouts, batches of them, optimiser steps on each)
        ("deepscaler", [(8192, 128, 8, 1040, 2), (16384, 128, 16, 480, 2), (24576, 128, 16, 230, 2)]),
        (
            "fastcurl",
            [(8192, 128, 8, 160, 2), (16384, 64, 8, 590, 1), (24576, 64, 8, 230, 1), (16384, 64, 16, 580, 1)],
        ),
    ],
)  # fmt: skip
def test_the_recipes_have_the_published_numbers(
    name: str, published: list[tuple[int, ...]]
) -> None:
    recipe, _ = load(recipe_files(str(RECIPES / name), "ds-1.5b"))
    phases = [each for each in recipe.stages.values() if isinstance(each, Rl)]
    found = []
    for each in phases:
        updates = each.algorithm.minibatches
        assert each.steps is not None
        prompts, batches = each.batch * updates // each.group, each.steps / updates
        found.append((each.max_tokens, prompts, each.group, batches, updates))
        assert (each.optimizer.lr, each.temperature, each.iterations) == (1e-6, 0.6, 1)
        assert dump(each.algorithm)["penalty"] == {"kind": "k3", "beta": 0.001}
        assert each.max_length - each.max_tokens == 1024 and each.batch // each.group == 64
    assert found == published


# -- prompts by their length ----------------------------------------------------------------------

#: 2, 4, 4 and 8 characters: the mean is 4.5, so three are short.
PROMPTS = ("ab", "abcd", "efgh", "abcdefgh")


def problems(folder: Path) -> Path:
    rows = [Problem(f"p{i}", p, "1", pass_rate=i / 4) for i, p in enumerate(PROMPTS)]
    folder.mkdir()
    write_rows(folder / "problems.jsonl", rows)
    return folder


def context(folder: Path) -> Context:
    folder.mkdir()
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    return Context("rl", folder, 7, {}, quiet, lambda what, facts: None)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"prompt_chars": {"side": "short"}}, ["p0", "p1", "p2"]),
        ({"prompt_chars": {"side": "long", "of": "mean"}}, ["p3"]),
        # The cut is that of all problems, whatever else is asked of them.
        ({"prompt_chars": {"side": "short"}, "pass_rate": [0.25, 1]}, ["p1", "p2"]),
    ],
)
def test_prompts_are_cut_at_the_mean_of_all(
    tmp_path: Path, where: dict[str, Any], names: list[str]
) -> None:
    data, at = problems(tmp_path / "data"), context(tmp_path / "rl")
    asked = Where.model_validate(where)
    assert [p.id for p in chosen_problems(at, str(data), asked)] == names
    facts = read_json(at.folder / "chosen.json")
    assert (facts["kept"], facts["of"], facts["mean_chars"]) == (len(names), 4, 4.5)
    (table,) = chosen(at.folder)
    assert table.rows == ((asked.told(), float(len(names)), 4.0, "4.5"),)  # pyright: ignore
    json.dumps(facts)


def test_a_prompt_as_long_as_the_mean_is_short() -> None:
    """FastCuRL's released segments: at most 317.24 characters, or more; 317 and 318 are the nearest in the files."""
    short, long = PromptChars(side="short"), PromptChars(side="long")
    assert [short.keeps("x" * n, 4.0) for n in (3, 4, 5)] == [True, True, False]
    assert [long.keeps("x" * n, 4.0) for n in (3, 4, 5)] == [False, False, True]
    assert (
        Where(prompt_chars=short, mixed=True).told() == "{mixed: true, prompt_chars: {side: short}}"
    )


def test_without_a_condition_nothing_is_read_twice_or_written(tmp_path: Path) -> None:
    def refuse() -> Any:
        raise AssertionError
        yield

    assert Where(mixed=True).edge(refuse()) is None
    at = context(tmp_path / "rl")
    assert len(chosen_problems(at, str(problems(tmp_path / "data")), Where())) == 4
    assert not (at.folder / "chosen.json").exists() and not [*chosen(at.folder)]


def test_equal_prompts_leave_no_long_one(tmp_path: Path) -> None:
    data = problems(tmp_path / "data")
    rows = [Problem(f"p{i}", "same", "1") for i in range(3)]
    shutil.rmtree(data)
    data.mkdir()
    write_rows(data / "problems.jsonl", rows)
    text = HEAD.replace(
        "  problems: {kind: curate, sources: [{kind: chain, count: 8}]}\n",
        f'  rl:\n{RL.replace("@problems", str(data))}    model: "@base"\n    max_tokens: 16\n'
        "    where: {prompt_chars: {side: long}}\n",
    )
    with pytest.raises(UserError, match=r"where: \{prompt_chars: \{side: long\}\} leaves none of"):
        make_plan(loaded(tmp_path, text))


def test_a_plan_takes_the_share_of_the_released_segments() -> None:
    """24,976 of 40,315 were short."""
    flow = Flow(problems=40_315)
    short, long = (share(Where(prompt_chars=PromptChars(side=s)), flow) for s in ("short", "long"))
    assert short == pytest.approx(24_976 / 40_315, abs=1e-3) and short + long == 1


def test_an_editor_is_told_of_phases() -> None:
    """The recipe as it is written satisfies the schema where it speaks of phases."""
    definitions = recipe_schema()["$defs"]
    assert definitions["Rl"]["properties"]["phases"]["type"] == "object"
    assert "phases" not in definitions["Evaluate"]["properties"]


def test_a_stage_by_itself_has_no_phases(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(PHASED, "utf-8")
    located = load_yaml(tmp_path / "recipe.yaml")
    with pytest.raises(
        UserError, match=r"phases: .*a stage of a recipe may have them; .* write a r"
    ):
        validate(Recipe, located)  # as the command `longstep rl` does
