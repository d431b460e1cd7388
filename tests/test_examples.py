"""The examples run, and every line of code and every table in the documentation is true.

``python tests/test_examples.py`` writes the field tables of docs/recipes.md again.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest

from longstep.config import Field, Strict, TypeAdapter, ValidationError
from longstep.yaml12 import parse

ROOT = Path(__file__).resolve().parents[1]
EXTENDING = ROOT / "docs" / "extending.md"
RECIPES = ROOT / "docs" / "recipes.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: Module of a section's leaf -> the list that its one line belongs into, and the class that goes there.
UNIONS = {
    "longstep.curriculum.retry": ("longstep.curriculum:AnyCurriculum", "Retry"),
    "longstep.losses.cispo": ("longstep.losses:AnyAlgorithm", "Cispo"),
    "longstep.problems.parity": ("longstep.problems:AnySource", "Parity"),
    "longstep.curate.no_picture": ("longstep.curate:AnyFilter", "NoPicture"),
    "longstep.target_length": ("longstep.losses.rewards:AnyReward", "TargetLength"),
    "longstep.merge.task_arithmetic": ("longstep.merge:AnyMerge", "TaskArithmetic"),
    "longstep.stages.lengths": ("longstep.stages:AnyStage", "Lengths"),
}


# -- docs/extending.md ----------------------------------------------------------------------------


def sections() -> dict[str, list[tuple[str, str]]]:
    """Heading -> fenced blocks as (language, text)."""
    parts = re.split(r"^## (.+)$", EXTENDING.read_text("utf-8"), flags=re.MULTILINE)
    return {head: BLOCK.findall(body) for head, body in zip(parts[1::2], parts[2::2], strict=True)}


SECTIONS = sections()


def python_blocks(head: str) -> dict[str, str]:
    """Path in the first line -> code."""
    return {
        text.split("\n", 1)[0].removeprefix("# "): text
        for language, text in SECTIONS[head]
        if language == "python"
    }


def load(name: str, path: str, code: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Execute a block as the module it says it is, without writing into the package."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, f"docs/extending.md:{path}", "exec"), module.__dict__)
    return module


def leaf(head: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType | None:
    for path, code in python_blocks(head).items():
        if path.startswith("src/"):
            name = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
            return load(name, path, code, monkeypatch)
    return None


def documented_tests() -> Iterator[tuple[str, str]]:
    for head in SECTIONS:
        for path, code in python_blocks(head).items():
            if path.startswith("tests/"):
                yield from (
                    (head, name) for name in re.findall(r"^def (test_\w+)", code, re.MULTILINE)
                )


@pytest.mark.parametrize("head, name", list(documented_tests()))
def test_the_documented_test_passes(head, name, monkeypatch, tmp_path):
    leaf(head, monkeypatch)
    path, code = next((p, c) for p, c in python_blocks(head).items() if p.startswith("tests/"))
    function = load(f"documented_{Path(path).stem}", path, code, monkeypatch).__dict__[name]
    wanted = set(function.__code__.co_varnames[: function.__code__.co_argcount])
    marks = [mark for mark in function.__dict__.get("pytestmark", []) if mark.name == "parametrize"]
    fixtures = {"tmp_path": tmp_path}
    for row in marks[0].args[1] if marks else [()]:
        named = dict(zip(re.split(r",\s*", marks[0].args[0]), row, strict=True)) if marks else {}
        function(**named, **{key: value for key, value in fixtures.items() if key in wanted})


def test_every_section_has_a_test_and_a_use():
    members = [head for head in SECTIONS if head.startswith("A ")]
    assert len(members) == 9
    for head in members:
        paths = python_blocks(head)
        assert any(path.startswith("tests/") for path in paths), head
        assert any(language == "yaml" for language, _ in SECTIONS[head]), head


def _values(node: Any) -> Iterator[Any]:
    yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from _values(child)


@pytest.mark.parametrize(
    "head", [h for h in SECTIONS if h.startswith("A ") and h not in ("A verifier", "A benchmark")]
)
def test_the_documented_yaml_reaches_the_new_member(head, monkeypatch):
    """The member's one line in its list is enough for the YAML beside it; a key it lacks is refused."""
    module = leaf(head, monkeypatch)
    assert module is not None
    spec, name = UNIONS[module.__name__]
    where, union = spec.split(":")
    old = vars(importlib.import_module(where))[union]
    cls = module.__dict__[name]
    members = TypeAdapter(Annotated[get_args(old)[0] | cls, Field(discriminator="kind")])
    kind = cls.model_fields["kind"].default
    written = [text for language, text in SECTIONS[head] if language == "yaml"]
    used = [
        v for v in _values(parse(written[0])[0]) if isinstance(v, dict) and v.get("kind") == kind
    ]
    assert used, f"the YAML of {head!r} does not use kind {kind!r}"
    assert type(members.validate_python(used[0])) is cls
    with pytest.raises(ValidationError, match="foreign"):
        members.validate_python({**used[0], "foreign": 1})
    with pytest.raises(ValidationError):
        TypeAdapter(old).validate_python(used[0])  # the list was needed


def test_the_documented_verifier_serves_by_name_and_from_outside(monkeypatch):
    from longstep.types import Problem
    from longstep.verify import VERIFIERS, judge

    module = leaf("A verifier", monkeypatch)
    assert module is not None
    outside = Problem("1", "?", "B", verifier="longstep.verify.choice:choice")
    assert judge(outside, r"\boxed{b}").status == "correct"
    monkeypatch.setitem(VERIFIERS, "choice", module.__dict__["choice"])
    assert judge(Problem("1", "?", "B", verifier="choice"), r"\boxed{a}").status == "incorrect"


def test_the_documented_benchmark_is_a_benchmark_and_decontaminates():
    from longstep.evaluate import Benchmark
    from longstep.stages import Curate, Evaluate

    written = next(text for language, text in SECTIONS["A benchmark"] if language == "yaml")
    members = parse(written)[0]["scores"]["benchmarks"]
    stage = Evaluate.model_validate({"models": {"a": "longstep-tiny"}, "benchmarks": members})
    assert isinstance(stage.benchmarks[0], Benchmark) and len(stage.benchmarks[0].load()) == 40
    source = {"kind": "chain", "count": 1}
    assert (
        Curate.model_validate({"sources": [source], "decontaminate": members}).decontaminate
        == stage.benchmarks
    )


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
    from longstep.losses import ClippedLoss
    from longstep.models.tiny import TinySpec
    from longstep.rl.health import HealthConfig
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
        "pairs": PairConfig,
        "contamination": Decontaminate,
        "algorithm": ClippedLoss,
        "health": HealthConfig,
        "architecture": TinySpec,
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
    assert len(blocks) == 2
    files = []
    for number, text in enumerate(blocks):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    recipe, _ = load(files[:1])
    assert isinstance(recipe, Recipe) and recipe.order()[0] == "base"
    small, _ = load(files, ["stages.sft.steps=2"])
    changed = {name for name in small.stages if small.stages[name] != recipe.stages[name]}
    assert changed == {"problems", "sft"}


def test_the_table_of_verbs_is_complete():
    from longstep.cli.data import data
    from longstep.cli.evaluation import evaluation
    from longstep.cli.families import stage_verbs
    from longstep.cli.main import app

    text = RECIPES.read_text("utf-8")
    verbs = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    verbs = {verb.removesuffix("_command") for verb in verbs} - stage_verbs().keys()
    verbs |= {f"eval {c.name}" for c in evaluation.registered_commands}
    verbs |= {
        f"data {c.name or c.callback.__name__}" for c in data.registered_commands if c.callback
    }
    told = set(re.findall(r"^\| `longstep ((?:eval |data )?[a-z]+)", text, re.MULTILINE))
    assert told == verbs


# -- examples -------------------------------------------------------------------------------------


def run(file: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
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
