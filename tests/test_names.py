"""Names and shapes that a reader meets: few parameters, one meaning for the name of a type, no key unread."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import longstep
from longstep.config import Located, Origin, UserError, load_yaml, validate
from longstep.run.recipe import Recipe

PACKAGE = Path(longstep.__file__).parent
TREES = {
    str(path.relative_to(PACKAGE).with_suffix("")): ast.parse(path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Names of classes and type aliases that stand in several modules. The list only shrinks from 35: a new double is
#: renamed, not listed.
DOUBLES = frozenset(
    name
    for line in (
        "Answers Asked Column Comparison Contrast Cost Counts Decontaminate Features Floats",
        "Group HealthNote Item Job Journal Kind Layout LightR1 Message Omit Pair Pool Row Run",
        "S1 Sample Select Side Stage Table Tokens Unit Watch Work Worker",
    )
    for name in line.split()
)


def _is_verb(function: Function) -> bool:
    """A command of the program: its parameters are the options a user types, and typer wants each by name."""
    return any(
        "command" in ast.unparse(decorator) or ast.unparse(decorator) == "over_rows"
        for decorator in function.decorator_list
    )


def _parameters(function: Function) -> int:
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    spread = [each for each in (given.vararg, given.kwarg) if each is not None]
    return len([name for name in names if name not in ("self", "cls")]) + len(spread)


def _crowded() -> Iterator[str]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, Function) or (module.startswith("cli/") and _is_verb(node)):
                continue
            if _parameters(node) > 6:
                yield f"{module}:{node.name}"


def test_functions_have_at_most_six_parameters():
    assert list(_crowded()) == [], "put what belongs together into a dataclass or a config"


def _types(tree: ast.Module) -> Iterator[str]:
    """Public classes and type aliases of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if (
                    isinstance(target, ast.Name)
                    and target.id[0].isupper()
                    and not target.id.isupper()
                ):
                    yield target.id


def test_the_name_of_a_type_means_one_thing():
    where: defaultdict[str, set[str]] = defaultdict(set)
    for module, tree in TREES.items():
        for name in _types(tree):
            where[name].add(module)
    doubles = {name: modules for name, modules in where.items() if len(modules) > 1}
    new = {name: sorted(modules) for name, modules in doubles.items() if name not in DOUBLES}
    assert new == {}, "rename one of them"
    assert DOUBLES - doubles.keys() == set(), "single by now: take it off the list"
    assert len(DOUBLES) <= 35


RECIPE = """
name: r
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  scores:
    kind: evaluate
    models: {base: "@base"}
    benchmarks:
      - {name: easy, source: {kind: chain, count: 2, difficulty: [1, 2]}, max_tokens: 24}
      - name: hard
        source: {kind: chain, count: 2}
"""


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ("        max_tokns: 9", 12, "max_tokns: unknown key 'max_tokns'; did you mean 'max_tokens'?"),
        ("        source: {kind: chain, cuont: 2}", 11, "source.cuont: unknown key 'cuont'; did you mean 'count'?"),
        ("        source:\n          kind: chian", 12, "source.kind: unknown kind 'chian'; did you mean 'chain'?"),
        ("        source:\n          kind: jsonl\n          path: 7", 13, "source.path: expected a path, got 7"),
    ],
)  # fmt: skip
def test_a_wrong_key_inside_a_benchmark_is_refused_at_load(
    wrong: str, line: int, said: str, tmp_path: Path
):
    path = tmp_path / "recipe.yaml"
    text = RECIPE.rstrip("\n").split("\n")
    keep = text if "max_tokns" in wrong else text[:-1]
    path.write_text("\n".join([*keep[1:], wrong, ""]), "utf-8")
    with pytest.raises(UserError) as caught:
        validate(Recipe, load_yaml(path))
    lines = str(caught.value).splitlines()
    assert f"{path}:{line - 1}: stages.scores.benchmarks.1.{said}" in "\n".join(lines)
    assert "expected text, got a mapping" not in str(caught.value)


def test_a_name_where_a_benchmark_may_stand_is_still_a_name():
    data = {"name": "r", "stages": {"s": {"kind": "evaluate", "models": {}, "benchmarks": [7]}}}
    with pytest.raises(
        UserError, match=r"stages\.s\.benchmarks\.0: expected text or a mapping, got 7"
    ):
        validate(Recipe, Located(data, {(): Origin("here")}))
