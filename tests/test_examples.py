"""The examples run, and every line of code and every table in the documentation is true.

``python tests/test_examples.py`` writes the field tables of docs/recipes.md again.
"""

from __future__ import annotations

import json
import math
import re
import runpy
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from longstep.config import Strict, TypeAdapter
from longstep.curriculum.groups import RowOrigin
from longstep.types import Completion, Problem, Status, Verdict
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
EXTENDING = ROOT / "docs" / "extending.md"
RECIPES = ROOT / "docs" / "recipes.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# -- docs/extending.md ----------------------------------------------------------------------------
# tests/test_one_line.py takes every member of the page through plan, show, two steps and the report. Here each is
# compared with values worked out by hand, as the page asks of a member's test.


def leaf(path: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute a block as the module it says it is, without writing into the package."""
    code = next(
        text
        for language, text in BLOCK.findall(EXTENDING.read_text("utf-8"))
        if language == "python" and text.startswith(f"# src/longstep/{path}\n")
    )
    module = types.ModuleType("longstep." + path.removesuffix(".py").replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, f"docs/extending.md:{path}", "exec"), module.__dict__)
    return module.__dict__


def went(index: int, *correctness: float | None) -> Any:
    from longstep.curriculum import Outcome

    return Outcome(index, "train", correctness, (1,) * len(correctness), truncated=0, step=0)


PROBLEMS = [Problem(str(i), f"{i}?", str(i)) for i in range(5)]


def test_the_documented_curriculum_asks_again_for_what_went_wrong(monkeypatch):
    from longstep.curriculum import Ask, Horizon, Shuffle

    retry = leaf("curriculum/retry.py", monkeypatch)["Retry"]()
    horizon = Horizon(steps=10, groups=2, seed=3)
    order, fresh = (retry.build(PROBLEMS, horizon) for _ in range(2))
    plain = Shuffle().build(PROBLEMS, horizon).pick(3, 0)
    first, second = order.pick(2, 0)
    assert [first, second] == plain[:2]
    order.observe([went(first.index, 1.0, 0.0), went(second.index, 1.0, None)])
    fresh.restore(json.loads(json.dumps(order.state())))
    assert order.pick(2, 1) == [Ask(first.index), plain[2]] == fresh.pick(2, 1)
    assert fresh.pick(20, 2) == order.pick(20, 2)


def test_the_documented_gate_draws_again_and_gives_up(monkeypatch):
    from longstep.curriculum import Horizon

    gate = leaf("curriculum/gates/hard.py", monkeypatch)["Hard"]().build(4, Horizon(10, 2, 0))
    assert gate.rounds == (4,)
    assert [gate.admits(went(0, *c), 0) for c in ((1.0, 1.0), (1.0, 0.0), (0.0, 0.0))] == [
        "all right",
        "",
        "",
    ]
    # Two wanted: two at first; one kept of two leaves one; five drawn of at most six leave one; six leave none.
    asked = [gate.more(*state) for state in ((0, 2, 0), (1, 2, 2), (0, 2, 5), (0, 2, 6))]
    assert asked == [2, 1, 1, 0]


def test_the_documented_guide_replaces_the_last_row_by_a_right_one(monkeypatch):
    from longstep.curriculum import Horizon
    from longstep.curriculum.groups import DrawnGroup, DrawnRow

    def row(sample: int, status: Status, origin: RowOrigin = "own") -> DrawnRow:
        said = Completion("0", sample, (), (1,), "", "stop", verdict=Verdict(status, None))
        return DrawnRow(said, origin, "behaviour")

    guide = leaf("curriculum/guides/told.py", monkeypatch)["Told"]().build(
        PROBLEMS, Horizon(9, 2, 0)
    )
    assert [guide.wanted(went(0, *c)) for c in ((0.0, 0.0), (0.0, 1.0), (None, 0.0))] == [1, 0, 0]
    assert guide.guidance(PROBLEMS[3], 1).shown == "33?"
    group = DrawnGroup("k", went(0, 0.0, 0.0), (row(0, "incorrect"), row(1, "incorrect")))
    helped = row(7, "correct", "guided")
    kept, taken = guide.admit(group, [row(6, "incorrect", "guided"), helped]).rows
    assert kept == group.rows[0] and taken == replace(helped, weight="own")
    assert guide.admit(group, [row(6, "incorrect", "guided")]) == group


def test_the_documented_loss_by_hand(monkeypatch):
    import torch

    from longstep.losses import Tokens, Whole

    topr = leaf("losses/topr.py", monkeypatch)["Topr"]()
    # Ratios 2 and 8 of a right answer, 1/2 and 4 of a wrong one; the last places are padding. Four tokens train.
    old = torch.tensor([[-1.0, -3.0, float("nan")], [-1.0, -2.0, float("nan")]])
    new = (old + torch.tensor([[2.0, 8.0, 1.0], [0.5, 4.0, 1.0]]).log()).requires_grad_()
    mask, worth = torch.tensor([[1.0, 1.0, 0.0]] * 2), torch.tensor([[1.0], [-2.0]])
    given = Tokens(logps_BT=new, old_BT=old, advantages_BT=worth, mask_BT=mask)
    out = topr.loss(given, topr.divisor(Whole(2, 4, 9)))
    # Weights 1, 1, 1/2, 1: -((-1 + ln 2) + (-3 + ln 8) - 2 * 0.5 * (-1 - ln 2) - 2 * (-2 + ln 4)) / 4
    want = (0.306853 + 0.920558 - 1.693147 - 2 * 0.613706) / 4
    assert out.loss.item() == pytest.approx(want, abs=1e-5)
    (gradient,) = torch.autograd.grad(out.loss, new)
    assert gradient.flatten().tolist() == pytest.approx([-0.25, -0.25, 0, 0.25, 0.5, 0])
    assert out.metrics["mean_weight"].item() == pytest.approx(3.5 / 4)


def test_the_documented_verifier_serves_by_name_and_from_outside(monkeypatch):
    from longstep.verify import VERIFIERS, judge

    bit = leaf("verify/bit.py", monkeypatch)["bit"]
    outside = Problem("1", "?", "1", verifier="longstep.verify.bit:bit")
    assert judge(outside, r"\boxed{1}").status == "correct"
    monkeypatch.setitem(VERIFIERS, "bit", bit)
    inside = Problem("1", "?", "1", verifier="bit")
    texts = (r"\boxed{0}", r"\boxed{one}", "none", r"<think>\boxed{1}", r"\boxed{" * 100_000)
    found = [judge(inside, text).status for text in texts]
    assert found == ["incorrect"] + ["unparseable"] * 4


def test_the_documented_merge_and_optimiser_by_hand(monkeypatch):
    import torch

    merge = leaf("merge/task_arithmetic.py", monkeypatch)["TaskArithmetic"]
    base = torch.tensor([1.0, 1.0])
    parents = [torch.tensor([2.0, 1.0]), torch.tensor([1.0, -3.0])]
    merged = merge(weights=(0.5, 0.25), scale=2.0).merge("w", parents, base, 0)
    assert merged.tolist() == [2.0, -1.0]  # 1 + 2 * (0.5 * 1), 1 + 2 * (0.25 * -4)
    assert "needs a base" in next(merge().complaints(2, False))
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 3.0)
    optimizer = leaf("optimizers/sgd.py", monkeypatch)["Sgd"](lr=0.1, momentum=0.5).build(layer)
    for want in (2.9, 2.75):  # a gradient of 1: 3 - 0.1 * 1, then 2.9 - 0.1 * (0.5 * 1 + 1)
        layer.weight.grad = torch.ones(1, 1)
        optimizer.step()
        assert layer.weight.item() == pytest.approx(want)


# -- docs/recipes.md ------------------------------------------------------------------------------


def _kinds() -> dict[str, type[Strict]]:
    from longstep.stages import AnyStage

    found = {cls.model_fields["kind"].default: cls for cls in get_args(get_args(AnyStage)[0])}
    return dict(sorted(found.items()))


#: Fields whose class has no ``Attributes``.
MORE = {"architecture": "shape of the model with random weights.", "model": "the start."}


def described(cls: type[Strict]) -> dict[str, str]:
    """Field -> its line in the ``Attributes`` of the class and its bases."""
    found = {name: line for name, line in MORE.items() if name in cls.model_fields}
    for base in reversed(cls.__mro__):
        _, _, text = (base.__dict__.get("__doc__") or "").partition("Attributes:")
        for name, line in re.findall(r"^ {8}(\w+): (.+(?:\n {12,}.+)*)", text, re.MULTILINE):
            found[name] = " ".join(line.split()).replace("``", "`").replace("`None`", "`null`")
    return found


def _default(cls: type[Strict], name: str) -> str:
    field = cls.model_fields[name]
    if field.is_required():
        return "*needed*"
    value = TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return f"`[{{kind: {value[0]['kind']}}}]`"
    if isinstance(value, dict):
        return f"`{{kind: {value['kind']}}}`" if "kind" in value else "its own" if value else "`{}`"
    return f"`{json.dumps(value)}`"


def table(cls: type[Strict], skip: frozenset[str] = frozenset()) -> str:
    """Markdown table of a config's fields."""
    text = described(cls)
    rows = ["| field | default | meaning |", "|---|---|---|"]
    for name in cls.model_fields:
        if name != "kind" and name not in skip:
            rows.append(
                f"| `{name}` | {_default(cls, name)} | {text.get(name, '').replace('|', chr(92) + '|')} |"
            )
    return "\n".join(rows)


def tables() -> dict[str, str]:
    """Marker -> table: what training stages share, each kind without that, then the settings inside of settings."""
    from longstep.context import Where
    from longstep.curate import Adaptive, Decontaminate, KeyAudit, PairConfig
    from longstep.generate import Sampling
    from longstep.losses import Grpo
    from longstep.losses.critic import CriticConfig
    from longstep.models.tiny import TinySpec
    from longstep.rl.health import HealthConfig
    from longstep.scaling.fit import Fitting
    from longstep.scaling.head import Cutting
    from longstep.training.config import Training

    shared = frozenset(Training.model_fields)
    each = {
        kind: table(cls, shared if issubclass(cls, Training) else frozenset())
        for kind, cls in _kinds().items()
    }
    parts = {
        "where": Where,
        "sampling": Sampling,
        "adaptive": Adaptive,
        "audit": KeyAudit,
        "pairing": PairConfig,
        "contamination": Decontaminate,
        "algorithm": Grpo,
        "critic": CriticConfig,
        "health": HealthConfig,
        "architecture": TinySpec,
        "cutting": Cutting,
        "fitting": Fitting,
    }
    return {
        "training": table(Training),
        **each,
        **{name: table(cls) for name, cls in parts.items()},
    }


MARKED = re.compile(r"(<!-- fields: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def columns(markdown: str) -> list[list[str]]:
    """Field and default of each row."""
    return [
        [cell.strip() for cell in line.split("|")[1:3]] for line in markdown.strip().splitlines()
    ]


def test_every_stage_has_a_table_with_its_fields_and_defaults():
    found = {match[2]: match[3] for match in MARKED.finditer(RECIPES.read_text("utf-8"))}
    wanted = tables()
    assert list(found) == list(wanted)
    for kind, text in wanted.items():
        assert columns(found[kind]) == columns(text), f"{kind}: run python tests/test_examples.py"


def test_every_field_of_every_stage_is_described():
    for kind, cls in _kinds().items():
        assert cls.model_fields.keys() - {"kind"} <= described(cls).keys(), kind


def test_the_recipes_in_the_documentation_are_recipes(tmp_path):
    from longstep.run.recipe import Recipe, load

    blocks = [
        text for language, text in BLOCK.findall(RECIPES.read_text("utf-8")) if language == "yaml"
    ]
    assert len(blocks) == 3
    files = []
    for number, text in enumerate(blocks):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    recipe, _ = load(files[:1])
    assert isinstance(recipe, Recipe) and recipe.order()[0] == "base"
    small, _ = load(files[:2], ["stages.sft.steps=2"])
    changed = {name for name in small.stages if small.stages[name] != recipe.stages[name]}
    assert changed == {"problems", "sft"}
    phased, _ = load([files[0], files[2]], ["stages.sft.phases.easy.steps=5"])
    steps = {name: stage.steps for name, stage in phased.stages.items() if name[:3] == "sft"}  # pyright: ignore
    assert steps == {"sft-easy": 5, "sft": 20}


def test_the_table_of_verbs_is_complete():
    from longstep.cli.data import data
    from longstep.cli.evaluation import evaluation
    from longstep.cli.families import stage_verbs
    from longstep.cli.main import app
    from longstep.cli.models import models
    from longstep.cli.scaling import scaling

    text = RECIPES.read_text("utf-8")
    top = [*app.registered_commands, *models.registered_commands]
    verbs = {c.name or c.callback.__name__ for c in top if c.callback}
    verbs = {verb.removesuffix("_command") for verb in verbs} - stage_verbs().keys()
    verbs |= {f"eval {c.name}" for c in evaluation.registered_commands}
    verbs |= {f"scale {c.name}" for c in scaling.registered_commands}
    verbs |= {
        f"data {c.name or c.callback.__name__}" for c in data.registered_commands if c.callback
    }
    told = set(re.findall(r"^\| `longstep ((?:eval |data |scale )?[a-z]+)", text, re.MULTILINE))
    assert told == verbs


# -- examples -------------------------------------------------------------------------------------


def run(file: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_grpo_in_one_file_learns_from_verdicts(tmp_path):
    """Two steps on few rollouts.

    The reward is the share of right answers; the policy is the reference in the first step and no longer in the
    second; the folder written loads.
    """
    from longstep.models.load import load_model, locate

    out = tmp_path / "model"
    text = run(
        "grpo_in_one_file.py", "--warm", "20", "--steps", "2", "--questions", "8", "--out", str(out)
    )
    steps = re.findall(
        r"^step +\d+  reward ([+-][\d.]+)  right ([\d.]+).*kl ([\d.]+)", text, re.MULTILINE
    )
    assert len(steps) == 2
    assert all(
        float(reward) == pytest.approx(float(right), abs=0.006) for reward, right, _ in steps
    )
    assert float(steps[0][2]) == 0 < float(steps[1][2])
    before, after = (
        load_model(folder).get_input_embeddings().weight
        for folder in (locate("longstep-tiny"), out)
    )
    assert before.shape == after.shape and not before.equal(after)


def test_my_verifier_is_found_by_its_name():
    lines = run("my_verifier.py").splitlines()
    dropped = [line for line in lines if line.startswith("dropped")]
    assert len(dropped) == 1 and "bad_gold" in dropped[0]
    statuses = [line.split()[0] for line in lines[-4:]]
    assert statuses == ["correct", "incorrect", "unparseable", "unparseable"]


if __name__ == "__main__":
    fresh = tables()
    text = RECIPES.read_text("utf-8")
    RECIPES.write_text(
        MARKED.sub(lambda match: f"{match[1]}{fresh[match[2]]}\n{match[4]}", text), "utf-8"
    )


@pytest.mark.parametrize(
    "name",
    ["evidence", "lightreasoner_evidence", "curricula_evidence", "head_evidence", "dial_evidence"],
)
def test_a_script_of_evidence_says_how_it_is_called(name: str, monkeypatch: pytest.MonkeyPatch):
    """All that it imports is there: it is run by hand, after an hour of training."""
    path = ROOT / "scripts" / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.syspath_prepend(str(path.parent))
    with pytest.raises(SystemExit, match="longstep run"):
        runpy.run_path(str(path), run_name="__main__")


def test_exams_along_the_way_are_compared_by_straight_lines(monkeypatch: pytest.MonkeyPatch):
    """20 %, 40 % and 80 % before 0, 100 and 200 tokens: means 30 % and 60 %; 50 % is reached a quarter of the way."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    found = runpy.run_path(str(ROOT / "scripts" / "curricula_evidence.py"))
    exams = found["Exams"](
        np.array([0.0, 100, 200]), np.array([0.0, 2, 4]), np.array([0.2, 0.4, 0.8])
    )
    assert exams.area(200) == pytest.approx(0.45) and exams.area(100) == pytest.approx(0.3)
    assert exams.area(150) == pytest.approx((0.3 * 100 + 0.5 * 50) / 150)  # 40 to 60 % in between
    assert exams.after(3) == pytest.approx(0.6)
    assert exams.reaches(0.5) == pytest.approx(125) and math.isnan(exams.reaches(0.9))
    control = found["control_of"]
    there = ["rl-uniform", "rl-uniform_16", "rl-mixed", "rl-mixed_16", "rl-dapo", "rl-dapo_x"]
    assert [control(arm, there) for arm in there] == [
        "rl-uniform",
        "rl-uniform",
        "rl-uniform",
        "rl-uniform_16",
        "rl-uniform",
        "rl-dapo",
    ]
