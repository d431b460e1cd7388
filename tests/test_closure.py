"""A config's hash covers the code it reaches: what its modules import and the members that it names, nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longstep import closure
from longstep.closure import PACKAGE, code_of, recoded
from longstep.stages import Checkpoint, Curate, Evaluate, Merge, Rl, Sample, Sft

RL = {"model": "m", "data": "d", "steps": 1}
STAGES = {
    "shuffled": Rl(**RL),
    "adaptive": Rl(**RL, curriculum={"kind": "adarft"}),
    "dapo": Rl(**RL, algorithm={"kind": "dapo"}),
    "sft": Sft(model="m", data="d", steps=1),
    "muon": Sft(model="m", data="d", steps=1, optimizer={"kind": "muon"}),
    "curate": Curate(sources=({"kind": "chain", "count": 1},)),
    "scores": Evaluate(models={"m": "m"}, benchmarks=("chain",)),
    "merged": Merge(method={"kind": "linear"}, parents=("a", "b")),
}


def sources(folder: Path) -> Path:
    """A copy of the package's source, to be edited."""
    for path in PACKAGE.rglob("*.py"):
        copy = folder / "longstep" / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder / "longstep"


@pytest.fixture
def changed_by(tmp_path: Path) -> Callable[[Callable[[Path], object]], set[str]]:
    """Gives the stages that an edit of the source is a change for."""

    def changed(edit: Callable[[Path], object]) -> set[str]:
        package = sources(tmp_path)
        then = {name: code_of(stage, (), package) for name, stage in STAGES.items()}
        edit(package)
        closure._read.cache_clear()
        closure._file.cache_clear()
        now = {name: code_of(stage, (), package) for name, stage in STAGES.items()}
        return {name for name in STAGES if recoded(then[name], now[name]) != then[name]}

    return changed


def appended(file: str, text: str = "\n# edited\n") -> Callable[[Path], object]:
    return lambda package: (package / file).write_text((package / file).read_text() + text)


def replaced(file: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(package: Path) -> None:
        text = (package / file).read_text()
        assert old in text
        (package / file).write_text(text.replace(old, new))

    return edit


def both(*edits: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda package: [edit(package) for edit in edits]


NEW_LEAVES = {
    "curriculum": both(
        lambda package: (package / "curriculum/mine.py").write_text("class Mine: ...\n"),
        replaced("curriculum/__init__.py", "    Shuffle\n", "    Mine | Shuffle\n"),
        appended("curriculum/__init__.py", "\nfrom longstep.curriculum.mine import Mine\n"),
    ),
    "source": both(  # an evaluate stage reaches all sources: a benchmark's row names one
        lambda package: (package / "problems/mine.py").write_text("class Mine: ...\n"),
        replaced("problems/__init__.py", "    Addition |", "    Mine | Addition |"),
        appended("problems/__init__.py", "\nfrom longstep.problems.mine import Mine\n"),
    ),
    "verifier": both(  # rows name verifiers, so a stage that judges reaches all of them
        lambda package: (package / "verify/mine.py").write_text("def mine(): ...\n"),
        replaced("verify/__init__.py", '    "exact": exact', '    "mine": mine, "exact": exact'),
        appended("verify/__init__.py", "\nfrom longstep.verify.mine import mine\n"),
    ),
    "stage": both(
        lambda package: (package / "stages/mine.py").write_text("class Mine: ...\n"),
        replaced("stages/__init__.py", "    Checkpoint\n", "    Mine | Checkpoint\n"),
        appended("stages/__init__.py", "\nfrom longstep.stages.mine import Mine\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", NEW_LEAVES)
def test_a_new_leaf_and_its_line_change_nothing(changed_by: Any, family: str):
    assert changed_by(NEW_LEAVES[family]) == set()


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("types.py", set(STAGES)),
        ("config.py", set(STAGES)),
        ("curriculum/adarft.py", {"adaptive"}),
        ("losses/dapo.py", {"dapo"}),
        ("training/policy.py", {"shuffled", "adaptive", "dapo"}),
        (
            "training/job.py",
            {"shuffled", "adaptive", "dapo", "sft", "muon"},
        ),  # imported inside a function
        ("merge/folders.py", {"merged"}),
        ("problems/hub.py", {"curate", "scores"}),  # benchmarks name sources in data
        ("verify/symbolic.py", {"shuffled", "adaptive", "dapo", "curate", "scores"}),  # by its name
        ("report/page.py", set()),
        ("run/runner.py", set()),
        ("cli/main.py", set()),
    ],
)
def test_an_edit_is_a_change_for_the_stages_that_reach_it(changed_by: Any, file: str, stages: set):
    assert changed_by(appended(file)) == stages


def test_of_a_front_only_what_is_asked_for_counts(changed_by: Any):
    edit = replaced("optimizers/muon.py", "momentum: float = Field(default=0.95", "momentum: float = Field(default=0.9")  # fmt: skip
    assert changed_by(edit) == {"muon"}


def test_another_function_behind_a_name_is_a_change(changed_by: Any):
    edit = replaced("verify/__init__.py", '"exact": exact', '"exact": countdown')
    assert changed_by(edit) == {"shuffled", "adaptive", "dapo", "curate", "scores"}


def test_a_piece_that_is_gone_is_a_change():
    assert recoded({"a": "1", "b": "2"}, {"a": "1", "c": "3"}) == {"a": "1"}


@pytest.mark.parametrize("edited", ["judges.py", "beside.py", "strangers.py"])
def test_a_module_from_outside_counts_with_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str
):
    (tmp_path / "judges.py").write_text("import json\nimport beside\ndef check(p, t): ...\n")
    (tmp_path / "beside.py").write_text("LIMIT = 3\n")
    (tmp_path / "strangers.py").write_text("LIMIT = 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    closure._home.cache_clear()
    source = {"kind": "jsonl", "path": "x", "verifier": "judges:check"}
    named, reader = Curate(sources=(source,)), Sample(by={"kind": "reference"}, data="@named")
    then = [code_of(named), code_of(reader, [named]), code_of(reader)]
    (tmp_path / edited).write_text((tmp_path / edited).read_text() + "# edited\n")
    closure._read.cache_clear()
    now = [code_of(named), code_of(reader, [named]), code_of(reader)]
    # the name travels in the rows to those who read them
    changed = edited != "strangers.py"
    assert [a != b for a, b in zip(then, now, strict=True)] == [changed, changed, False]
    assert "judges" not in sys.modules and "judges" in then[0] and "json" not in then[0]


def test_a_shipped_model_counts_where_it_is_named():
    named, other = (code_of(Checkpoint(path=path)) for path in ("longstep-tiny", "elsewhere"))
    assert {piece for piece in named if piece not in other} == {
        f"data/longstep-tiny/{name}"
        for name in (
            "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
            "tokenizer.json", "tokenizer_config.json",
        )
    }  # fmt: skip


def test_skimming_finds_the_imports_that_parsing_finds():
    skimmed = 0
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if (quick := closure._skimmed(text)) is not None:
            whole = set(closure._imports(ast.parse(text).body, "x"))
            assert set(closure._imports(quick.body, "x")) == whole, path
            skimmed += 1
    assert skimmed > 150


def test_imports_are_found_wherever_they_stand():
    text = """
import a.b, c as d
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import never
else:
    import otherwise
try:
    from . import near
except ImportError:
    from .. import far as near
match d:
    case 1:
        async def f():
            with d: from .x.y import (one,
                two)
"""
    assert set(closure._imports(ast.parse(text).body, "top.inner")) == {
        ("a", ("a.b", None)),
        ("d", ("c", None)),
        ("TYPE_CHECKING", ("typing", "TYPE_CHECKING")),
        ("otherwise", ("otherwise", None)),
        ("near", ("top.inner", "near")),
        ("near", ("top", "far")),
        ("one", ("top.inner.x.y", "one")),
        ("two", ("top.inner.x.y", "two")),
    }


def test_a_recipe_is_hashed_in_a_moment_and_without_torch():
    code = (
        "import sys, time; from longstep.run.recipe import load, recipe_files;"
        "from longstep.closure import code_of;"
        f"recipe, _ = load(recipe_files({str(Path(__file__).parents[1] / 'recipes/light-r1')!r}, 'tiny'));"
        "began = time.process_time(); [code_of(stage) for stage in recipe.stages.values()];"
        "print(time.process_time() - began, [m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = said.stdout.split(" ", 1)
    assert heavy.strip() == "[]"
    assert float(seconds) < 1.0  # 0.27 s where it was measured; the bound is for a slow machine
