"""A stage from outside of the package: one class and its line in ``AnyStage``, and every verb knows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from patience import PATIENCE

STAGES = '''
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import read_rows, write_json, write_rows
from longstep.context import Artifact, Context
from longstep.report.blocks import Bars, Block, Series, Curves, Meter, Table, Text
from longstep.stages.base import Stage
from longstep.types import Problem


class Copied(Stage):
    """A model, copied."""

    produces: ClassVar[Artifact] = "model"
    kind: Literal["copied"] = "copied"
    model: str

    def references(self) -> Iterator[tuple[str, Artifact]]:
        yield self.model, "model"

    def run(self, context: Context) -> None:
        shutil.copytree(context.model(self.model), context.fresh_out(), dirs_exist_ok=True)


class Halved(Stage):
    """Every other problem."""

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["halved"] = "halved"
    data: str

    def references(self) -> Iterator[tuple[str, Artifact]]:
        yield self.data, "rows"

    def run(self, context: Context) -> None:
        rows = list(read_rows(context.rows(self.data, "problems.jsonl"), Problem))
        write_rows(context.fresh_out() / "problems.jsonl", rows[::2])


class Told(Stage):
    """How many problems there are."""

    produces: ClassVar[Artifact] = "report"
    kind: Literal["told"] = "told"
    data: str

    def references(self) -> Iterator[tuple[str, Artifact]]:
        yield self.data, "rows"

    def run(self, context: Context) -> None:
        rows = list(read_rows(context.rows(self.data, "problems.jsonl"), Problem))
        write_json(context.fresh_out() / "told.json", {"problems": len(rows)})

    def blocks(self, out: Path) -> Iterator[Block]:
        yield Text("my heading", "my sentence")
        yield Table("my table", ("what", "of all"), (("half", Meter((0.5, 0.5))),))
        yield Bars("my bars", (3, 1))
        yield Curves("my curves", (Series("my line", (1, 2), (4, 8)),))
'''

DRIVER = """
import json, sys
from typing import Annotated, get_args

from typer.testing import CliRunner

import longstep.stages
from longstep.config import Field
from outside import Copied, Halved, Told

members = get_args(longstep.stages.AnyStage)[0] | Copied | Halved | Told
longstep.stages.AnyStage = Annotated[members, Field(discriminator="kind")]  # the one line

from longstep.cli.main import app

said = []
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, words)
    if result.exception is not None:
        raise result.exception
    said.append(result.output)
print(json.dumps(said))
"""

RECIPE = """
name: outside
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 2]}]}
  mine: {kind: copied, model: "@base"}
  fewer: {kind: halved, data: "@problems"}
  told: {kind: told, data: "@fewer"}
  traces: {kind: sample, by: {kind: reference, model: "@mine"}, data: "@fewer"}
  trained: {kind: sft, model: "@mine", data: "@traces", steps: 1, batch: 2, max_length: 96}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each verb says, and the run folder."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "outside.py").write_text(STAGES)
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe, run = str(folder / "recipe.yaml"), str(folder / "run")
    words = {
        "plan": ["plan", recipe, "--json"],
        "table": ["plan", recipe],
        "show": ["show", "stages", "--json"],
        "run": ["run", recipe, "--out", run, "--only", "told", "--only", "mine"],
        "again": ["run", recipe, "--out", run, "--only", "told", "--only", "mine"],
        "report": ["report", run],
        "status": ["status", run, "--json"],
        "told": ["status", run, "--stage", "told", "--json"],
    }
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-c", DRIVER, json.dumps(list(words.values()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=env)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.strip().splitlines()[-1])
    return {**dict(zip(words, outputs, strict=True)), "folder": folder / "run"}


def test_plan_hands_its_parent_on_and_says_that_it_cannot_tell(said: dict[str, Any]) -> None:
    plan = json.loads(said["plan"])
    stages = {stage["stage"]: stage for stage in plan["stages"]}
    assert [stages[name]["hours"] for name in ("mine", "fewer", "told")] == [None] * 3
    assert "mine: stages of kind copied are not estimated" in plan["assumptions"]
    # The tiny model's shape goes through ``mine``, and 0.8 of 8 problems through ``fewer``.
    assert stages["trained"]["parameters"] == stages["base"]["parameters"] > 100_000
    assert stages["traces"]["rows"] == pytest.approx(0.8 * 8)
    assert stages["trained"]["hours"] > 0 and plan["hours"] == stages["trained"]["hours"]
    assert "?" in next(line for line in said["table"].splitlines() if " mine " in line)


def test_show_lists_it(said: dict[str, Any]) -> None:
    rows = {row["kind"]: row for row in json.loads(said["show"])}
    assert rows["copied"]["what"] == "A model, copied."
    assert rows["told"]["defaults"] == "data (needed)"


def test_it_runs_once(said: dict[str, Any]) -> None:
    assert json.loads((said["folder"] / "told" / "out" / "told.json").read_text()) == {
        "problems": 4
    }
    assert (said["folder"] / "mine" / "out" / "model.safetensors").is_file()
    assert said["again"].count("finished, verified, skipped") == 5


def test_the_page_shows_what_it_shows_of_itself(said: dict[str, Any]) -> None:
    page = (said["folder"] / "report.html").read_text()
    data = page.split('id="data"')[1].split("</section>")[0]
    for words in ("my heading", "my sentence", "my table", "half", "my bars", "my curves", "4 → 8"):
        assert words in data, words
    assert data.count("<svg") == 2


def test_the_console_draws_the_same(said: dict[str, Any]) -> None:
    assert json.loads(said["told"]) == [
        {"title": "my heading", "rows": [["text"], ["my sentence"]]},
        {"title": "my table", "rows": [["what", "of all"], ["half", "50% + 50%"]]},
        {"title": "my bars", "rows": [["from", "count"], ["", "3"], ["", "1"]]},
        {"title": "my curves", "rows": [["line", "first", "last"], ["my line", "4", "8"]]},
    ]


def test_the_run_says_what_it_makes(said: dict[str, Any]) -> None:
    makes = {row["stage"]: row["makes"] for row in json.loads(said["status"])}
    assert [makes[name] for name in ("mine", "fewer", "told")] == ["model", "rows", "report"]
    page = (said["folder"] / "report.html").read_text()
    assert "Still to come: trained (not run)." in page
