"""One leaf file and one line: every member of docs/extending.md, in a copy of the package in which nothing else is edited.

The page's table says which list a family has; its code is the leaf; its last block is a recipe that uses them all. What
the page tells in words alone (a source, a filter, a reward, ...) has a leaf of its own here.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import longstep
from patience import PATIENCE

PACKAGE = Path(longstep.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| \[?([\w ]+)\]?.* \| `(\w+)` in `([\w/]+\.py)` \|", re.MULTILINE)

#: Family -> list and the file it stands in.
LISTS = {family.strip(): (name, file) for family, name, file in ROW.findall(PAGE)}
#: Leaf on the page -> its family.
SHOWN = {
    "stages/rounded.py": "stage",
    "curriculum/retry.py": "curriculum",
    "curriculum/gates/hard.py": "gate",
    "curriculum/guides/told.py": "guide",
    "curriculum/until/batches.py": "ending rule",
    "losses/topr.py": "loss",
    "draw/keys.py": "engine",
    "verify/bit.py": "verifier",
    "merge/task_arithmetic.py": "merge method",
    "optimizers/sgd.py": "optimiser",
}
#: Family -> a leaf of those that the page does not show.
TOLD = {
    "preference loss": '''
from typing import Any, Literal
from longstep.losses.out import LossOut
from longstep.losses.preference import PreferenceLoss, reward_metrics

class Hinge(PreferenceLoss):
    """SLiC's hinge on the gap."""
    kind: Literal["hinge"] = "hinge"

    def loss(self, chosen_B: Any, rejected_B: Any, total: float) -> LossOut:
        losses_B = (1 - (chosen_B - rejected_B)).clamp(min=0)
        return LossOut(losses_B.sum() / total, reward_metrics(chosen_B, rejected_B, 1.0))
''',
    "penalty": '''
from typing import Any, Literal
from longstep.losses.penalties.base import Towards

class Squared(Towards):
    """The squared difference of probabilities."""
    kind: Literal["squared"] = "squared"

    def each(self, logps_BT: Any, ref_BT: Any, old_BT: Any) -> Any:
        return (logps_BT.exp() - ref_BT.exp()).square()
''',
    "correction": '''
from typing import Any, Literal
from longstep.losses.corrections.base import Weighing

class Rooted(Weighing):
    """The square root of the ratio."""
    kind: Literal["rooted"] = "rooted"

    def bounded(self, ratios_BT: Any) -> Any:
        return ratios_BT.sqrt()
''',
    "reward": '''
from typing import Literal
from longstep.losses.rewards.base import Graded, Reward

class Short(Reward):
    """Minus the share of the longest answer."""
    kind: Literal["short"] = "short"

    def known(self, answer: Graded, correctness: float) -> float:
        return -answer.length / answer.longest
''',
    "bonus": '''
from typing import Literal
from longstep.losses.bonuses.base import Bonus, Earned

class Little(Bonus):
    """A millionth for a nat."""
    kind: Literal["little"] = "little"

    def build(self) -> Earned:
        return Earned(1e-6)
''',
    "value loss": '''
from typing import Any, Literal
from longstep.losses.values.base import ValueLoss

class Absolute(ValueLoss):
    """The absolute error, and one."""
    kind: Literal["absolute"] = "absolute"

    def each(self, values_BT: Any, old_BT: Any, targets_BT: Any) -> Any:
        return 1 + (values_BT - targets_BT).abs()
''',
    "strategy": '''
from typing import Literal
from longstep.scaling.base import ROOT, Extend, Play, Strategy
from longstep.scaling.votes import SameAnswer

class SecondLook(Strategy):
    """Draws a second answer where the first is long."""

    kind: Literal["second-look"] = "second-look"
    long: int = 5

    def play(self, same: SameAnswer) -> Play:
        (first,) = yield [Extend(ROOT)]
        if first.tokens > self.long:
            yield [Extend(ROOT)]

    @property
    def rows(self) -> int:
        return 1

    def answers(self, mean: float) -> float:
        return 2
''',
    "scorer": '''
from typing import ClassVar, Literal
from longstep.scaling.scorers.base import Scorer

class Brevity(Scorer):
    """Minus the tokens of a path."""
    partial: ClassVar[bool] = True
    kind: Literal["brevity"] = "brevity"

    def score(self, trails):
        return [-float(len(trail.ids)) for trail in trails]
''',
    "pick": '''
from typing import Literal
from longstep.scaling.picks.base import Pick

class FirstAnswer(Pick):
    """The first that was drawn."""
    kind: Literal["first-answer"] = "first-answer"

    def pick(self, leaves, same):
        return [float(place == 0) for place in range(len(leaves))]
''',
    "tool": '''
from typing import Literal
from longstep.scaling.toolbox.base import Tool

class Backwards(Tool):
    """The call from its end."""
    kind: Literal["backwards"] = "backwards"

    def answer(self, call: str) -> str:
        return call[::-1]
''',
    "source": '''
from collections.abc import Iterator, Mapping
from typing import Literal
from longstep.problems.source import Source, content_id
from longstep.types import Problem

class Bits(Source):
    """Single bits to repeat."""
    kind: Literal["bits"] = "bits"

    def rows(self, known: Mapping[str, int]) -> int:
        return 2

    def load(self, seed: int) -> Iterator[Problem]:
        for bit in "01":
            yield Problem(content_id("bits", bit), f"{bit}=?", bit, source="bits", verifier="bit")
''',
    "filter": '''
from typing import Literal
from longstep.config import Strict
from longstep.curate.funnel import Filter, Judge

class NoSeven(Strict):
    """Drops golds that hold a 7."""
    kind: Literal["no-seven"] = "no-seven"

    def build(self, judge: Judge) -> Filter:
        return lambda problem: ("7" not in problem.answer, "a seven" * ("7" in problem.answer))
''',
    "selection": '''
from collections.abc import Sequence
from typing import Literal
from longstep.config import Strict
from longstep.curate.candidates import Candidate, SelectionRule

class NotTheFirst(SelectionRule, Strict):
    """Leaves out the first."""
    kind: Literal["not-the-first"] = "not-the-first"

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        return ["is first"] + [""] * (len(candidates) - 1)
''',
    "edit of a trace": '''
from typing import Literal
from longstep.curate.edits.base import Edit, Edited

class Backwards(Edit):
    """The thought from its end."""
    kind: Literal["backwards"] = "backwards"

    def apply(self, trace, rng, donor=None):
        return Edited(trace.thought[::-1], trace.answer)
''',
    "pairing": '''
from typing import Literal
from longstep.curate.pairings.base import Pairing

class FirstOverFirst(Pairing):
    """The first right one over the first wrong one."""
    kind: Literal["first-over-first"] = "first-over-first"

    @property
    def statuses(self):
        return frozenset({"incorrect", "truncated"})

    @property
    def seeks(self):
        return "a right and a wrong completion"

    def pairs(self, goods, bads, rng):
        for (_, good), (_, bad) in zip(goods, bads):
            yield good, bad
''',
}
#: Family -> what ``longstep show`` calls it.
SHOW = {
    "curriculum": "curricula",
    "edit of a trace": "edits",
    "ending rule": "until",
    "loss": "losses",
    "preference loss": "losses",
    "penalty": "penalties",
    "bonus": "bonuses",
    "value loss": "values",
    "merge method": "merges",
    "optimiser": "optimizers",
    "strategy": "strategies",
}
#: Stages for the members that the page's recipe does not use.
MORE = """
  picked: {kind: select, data: "@problems", rules: [{kind: not-the-first}]}
  own: {kind: sample, by: {kind: model, model: "@base"}, data: "@problems", sampling: {samples: 2, max_tokens: 24}}
  preferred: {kind: prefer, model: "@rounded", chosen: "@traces", rejected: "@own", pairs: {kind: first-over-first}, steps: 2,
    batch: 4, max_length: 96, log_every: 1, loss: {kind: hinge}}
  turned: {kind: sample, by: {kind: edited, data: "@own", edit: {kind: backwards}}, data: "@problems"}
  valued: {kind: rl, model: "@merged", data: "@problems", algorithm: {kind: ppo, minibatches: 1, critic: {loss: {kind:
    absolute}}}, group: 2, batch: 4, steps: 1, max_tokens: 8, max_length: 96, log_every: 1}
  scaled: {kind: scale, by: {kind: model, model: "@base"}, benchmark: few, sampling: {max_tokens: 24},
    strategies: {twice: {kind: second-look}, short: {kind: rebase, n: 2, step: ["1"], scorer: {kind: brevity}},
    called: {kind: tools, begin: "=", end: "1", tool: {kind: backwards}}},
    picks: [{kind: first-answer}]}
"""
DRIVER = """
import json, sys

from typer.testing import CliRunner

from longstep.cli.main import app

said = []
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, words)
    if result.exception is not None:
        raise SystemExit(f"{words}: {result.output} {result.exception!r}")
    said.append(result.output)
print(json.dumps(said))
"""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE) if found == language]


def leaves() -> dict[str, str]:
    """Path below the package -> code, of the page."""
    named = (text.split("\n", 1) for text in blocks("python"))
    return {first.removeprefix("# src/longstep/"): code for first, code in named}


def member_of(code: str, family: str) -> str:
    """The class or function that goes into the list: the last one."""
    return [n for n in ast.parse(code).body if isinstance(n, ast.ClassDef | ast.FunctionDef)][
        -1
    ].name


def listed(text: str, where: str, leaf: str, member: str) -> str:
    """The source of a list's module with one member more: the only edit of a file that was there before."""
    node = next(
        each
        for each in ast.parse(text).body
        if isinstance(each, ast.Assign | ast.AnnAssign)
        and ast.unparse(each.targets[0] if isinstance(each, ast.Assign) else each.target) == where
    )
    lines = text.splitlines()
    old = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    took = (
        f"from longstep.{leaf.removesuffix('.py').replace('/', '.')} import {member}\n"
        if leaf
        else ""
    )
    if where.startswith("Any"):
        union = ast.unparse(node.value.slice.elts[0])  # pyright: ignore
        new = f'{where} = Annotated[{union} | {member}, Field(discriminator="kind")]'
    else:
        entry = f'"{member}": {member},' if old.endswith("}") else f"{member},"
        new = f"{old[:-1].rstrip()}\n    {entry}\n{old[-1]}"
    return text.replace(old, took + new)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with a leaf and a line for every family."""
    folder = tmp_path_factory.mktemp("one_line")
    package = folder / "longstep"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("data", "recipes"))
    for name in ("data", "recipes"):
        (package / name).symlink_to(PACKAGE / name)
    added = {path: (family, leaves()[path]) for path, family in SHOWN.items()}
    for family, code in TOLD.items():
        parent = Path(LISTS[family][1]).parent
        added[f"{parent}/of_{family.replace(' ', '_')}.py"] = (family, code)
    for leaf, (family, code) in added.items():
        assert not (package / leaf).exists()
        (package / leaf).write_text(code, "utf-8")
        edit(package, family, leaf, member_of(code, family))
    edit(package, "benchmark", "", leaves()["evaluate/benchmarks.py"].strip())
    return folder


def edit(package: Path, family: str, leaf: str, member: str) -> None:
    where, file = LISTS[family]
    text = (package / file).read_text("utf-8")
    (package / file).write_text(listed(text, where, leaf, member), "utf-8")


def recipe() -> str:
    """The page's, with the members that it tells of in words."""
    text = blocks("yaml")[-1].rstrip()
    for old, new in {
        "difficulty: [1, 2]}]": "difficulty: [1, 2]}, {kind: bits}], filters: [{kind: no-seven}]",
        "{kind: topr}": "{kind: topr, rewards: [{kind: correctness}, {kind: short}], penalty: {kind: squared}, "
        "correction: {kind: rooted}, bonus: {kind: little}}",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text + MORE


@pytest.fixture(scope="module")
def said(home: Path) -> Mapping[str, Any]:
    """What each verb says, in one process."""
    path, run = home / "mine.yaml", str(home / "run")
    path.write_text(recipe(), "utf-8")
    families = sorted({SHOW.get(family, f"{family}s") for family in LISTS})
    words = {
        "plan": ["plan", str(path), "--json"],
        **{f"show {family}": ["show", family, "--json"] for family in families},
        "run": ["run", str(path), "--out", run],
        "report": ["report", run],
        "rounded": ["status", run, "--stage", "rounded", "--json"],
    }
    env = {**os.environ, "PYTHONPATH": str(home)}
    command = [sys.executable, "-c", DRIVER, json.dumps(list(words.values()))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=env, cwd=home
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.strip().splitlines()[-1])
    return dict(zip(words, outputs, strict=True))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_page_is_short_and_tells_of_every_family():
    assert len(PAGE.splitlines()) <= 420
    assert LISTS.keys() == {*SHOWN.values(), *TOLD, "benchmark"} and len(LISTS) == 26
    assert leaves().keys() == {*SHOWN, "evaluate/benchmarks.py"}


def test_plan_asks_every_member(said: Mapping[str, Any]):
    plan = json.loads(said["plan"])
    stages = {stage["stage"]: stage for stage in plan["stages"]}
    assert all(stage["hours"] is not None for stage in stages.values())
    assert stages["taught"]["parameters"] == stages["base"]["parameters"] > 100_000
    assert stages["traces"]["tokens_generated"] == 0 < stages["trained"]["tokens_generated"]


@pytest.mark.parametrize(
    ("family", "kind", "what"),
    [
        ("stages", "rounded", "A model with weights rounded to bfloat16, stored as they were."),
        ("curricula", "retry", "A random order"),
        ("gates", "hard", "Trains on no group without a wrong answer"),
        ("guides", "told", "Where every answer is wrong"),
        ("until", "batches", "Ends after so many batches of rollouts"),
        ("losses", "topr", "TOPR"),
        ("losses", "hinge", "SLiC's hinge on the gap."),
        ("penalties", "squared", "The squared difference of probabilities."),
        ("corrections", "rooted", "The square root of the ratio."),
        ("bonuses", "little", "A millionth for a nat."),
        ("values", "absolute", "The absolute error, and one."),
        ("rewards", "short", "Minus the share of the longest answer."),
        ("engines", "keys", "The problems' own answers, as text alone."),
        ("sources", "bits", "Single bits to repeat."),
        ("filters", "no-seven", "Drops golds that hold a 7."),
        ("selections", "not-the-first", "Leaves out the first."),
        ("edits", "backwards", "The thought from its end."),
        ("pairings", "first-over-first", "The first right one over the first wrong one."),
        ("verifiers", "bit", "One binary digit."),
        ("merges", "task-arithmetic", "``base + scale"),
        ("optimizers", "sgd", "Gradient descent with momentum"),
        ("strategies", "second-look", "Draws a second answer where the first is long."),
        ("scorers", "brevity", "Minus the tokens of a path."),
        ("picks", "first-answer", "The first that was drawn."),
        ("benchmarks", "few", "chain"),
    ],
)
def test_show_lists_it(said: Mapping[str, Any], family: str, kind: str, what: str):
    members = {row["kind"]: row for row in json.loads(said[f"show {family}"])}
    assert len(members) > 1 and what in members[kind]["what"]


def test_a_stage_that_makes_a_model(home: Path, said: Mapping[str, Any]):
    import torch
    from safetensors.torch import load_file

    run = home / "run"
    after = load_file(run / "rounded" / "out" / "model.safetensors")
    assert all(torch.equal(w, w.bfloat16().float()) for w in after.values())
    assert "rounded to 8 bits" in (run / "report.html").read_text("utf-8")
    assert "rounded to 8 bits" in said["rounded"]


def test_a_strategy_a_scorer_and_a_pick(home: Path):
    out = home / "run" / "scaled" / "out"
    points = json.loads((out / "curves.json").read_text("utf-8"))["points"]
    assert [(p["strategy"], p["pick"]) for p in points] == [
        ("twice", "first-answer"),
        ("short", "first-answer"),
        ("called", "first-answer"),
    ]
    twice = rows(out / "nodes" / "twice.jsonl")
    first = {row["problem_id"]: len(row["token_ids"]) for row in twice if row["node"] == 0}
    again = {row["problem_id"] for row in twice if row["node"] == 1}
    assert again == {name for name, tokens in first.items() if tokens > 5}
    for row in rows(out / "nodes" / "short.jsonl"):
        assert row["parent"] >= 0 or row["scores"] == {"brevity": -len(row["token_ids"])}


def test_a_merge_and_an_optimiser(home: Path, said: Mapping[str, Any]):
    """Half of the mean difference from the base: ``base + (taught - base) / 4 + (rounded - base) / 4``."""
    import torch
    from safetensors.torch import load_file

    run = home / "run"
    base = load_file(PACKAGE / "data" / "longstep-tiny" / "model.safetensors")
    taught, rounded, merged = (
        load_file(run / name / "out" / "model.safetensors")
        for name in ("taught", "rounded", "merged")
    )
    assert any(not torch.equal(taught[name], rounded[name]) for name in base)
    for name, start in base.items():
        want = start + 0.25 * (taught[name] - start) + 0.25 * (rounded[name] - start)
        torch.testing.assert_close(merged[name], want, rtol=1e-5, atol=1e-6)
    taken = rows(run / "taught" / "metrics.jsonl")
    assert taken[-1]["step"] == 2


def test_an_engine_a_source_a_filter_and_a_selection(home: Path, said: Mapping[str, Any]):
    run = home / "run"
    problems = {row["id"]: row for row in rows(run / "problems" / "out" / "problems.jsonl")}
    answers = rows(run / "traces" / "out" / "completions.jsonl")
    assert {row["text"].split("</think>")[1] for row in answers} == {
        f"\\boxed{{{row['answer']}}}" for row in problems.values()
    }
    assert {row["verdict"]["status"] for row in answers} == {"correct"}
    assert sum(row["source"] == "bits" for row in problems.values()) == 2
    assert not any("7" in row["answer"] for row in problems.values())
    assert len(rows(run / "picked" / "out" / "problems.jsonl")) == len(problems) - 1


def test_a_curriculum_a_gate_a_guide_and_losses(home: Path, said: Mapping[str, Any]):
    run = home / "run"
    steps = rows(run / "trained" / "metrics.jsonl")
    assert [row["step"] for row in steps] == [1, 2] and all("mean_weight" in row for row in steps)
    ended = "until batches: 2 batches of rollouts were drawn"  # of 9
    assert ended in (run / "report.html").read_text("utf-8")
    assert all("kl" in row and row["correction_mean"] > 0 for row in steps)
    # Correctness alone would give eighths; each answer also costs its share of the longest.
    assert any(abs(8 * row["reward"] - round(8 * row["reward"])) > 1e-3 for row in steps)
    (valued,) = rows(run / "valued" / "metrics.jsonl")
    assert 1 <= valued["value_loss"] <= 2 and valued["effective_answers"] >= 0
    spent = json.loads((run / "trained" / "manifest.json").read_text("utf-8"))["cost"]
    # What the gate refused and what the guide asked for is counted apart.
    assert spent["tokens_discarded"] > 0 < spent["tokens_guided"]
    preferred = rows(run / "preferred" / "metrics.jsonl")
    assert preferred[-1]["step"] == 2 and preferred[0]["loss"] == pytest.approx(1.0)  # no gap yet
    results = json.loads((run / "scores" / "out" / "results.json").read_text("utf-8"))
    assert results["models"]["trained"]["few"]["all"]["problems"] == 4
