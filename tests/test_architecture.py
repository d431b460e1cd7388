"""Taste, tested: layers, one importer per heavy library, sizes, exports, no work at import."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import longstep
from patience import PATIENCE

PACKAGE = Path(longstep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: The house from the ground up. A unit (the first part of a path below the package) imports lower floors or itself; the
#: words of the ground floor know each other.
FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "config types wording yaml12",
        "artifacts closure disk progress",
        "curate curriculum formats generate models optimizers verify workfolder",
        "context losses merge",
        "foresight problems",
        "costs evaluate report",
        "draw scaling",
        "jobs training",
        "contrast rl",
        "stages",
        "run",
        "cli",
        "__main__",
    )
)
GROUND = FLOORS[0]
#: Heavy library -> where it may be imported.
IMPORTERS = {
    "trl": {"training/job", "training/pairs", "training/policy", "training/sft", "training/soft"},
    "transformers": {"models", "training/journal"},
    "peft": {"models"},
    "huggingface_hub": {"models", "run/push"},
    "bitsandbytes": {"optimizers/adamw8bit"},
    "math_verify": {"verify/symbolic"},
    "mpmath": {"verify/ladder/intervals"},
    "matplotlib": {"report/plots"},
    "jinja2": {"report/page"},
    "httpx": {"generate/transport"},
    "pyarrow": {"formats/parquet"},
    "orjson": {"formats/lines"},
    "zstandard": {"formats/lines"},
    "typer": {"cli"},
    "yaml": {"yaml12"},
    "pydantic": {"config"},
    "datasets": {
        "training/pairs",
        "training/policy",
        "training/sft",
        "training/soft",
        "problems/hub",
    },
}
#: What importing a configuration must not load.
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "math_verify", "matplotlib", "httpx")


def _unit(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _floor(unit: str) -> int:
    return next(number for number, units in enumerate(FLOORS) if unit in units)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Modules imported at run time; those for the type checker alone load nothing."""
    return tuple(_imported(ast.parse(path.read_text(encoding="utf-8"))))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Length of the code: a docstring is prose and is not counted."""
    first = node.body[0]
    doc = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    prose = (first.end_lineno or 0) - first.lineno + 1 if doc else 0
    return (node.end_lineno or 0) - node.lineno + 1 - prose


def test_every_unit_has_one_floor_and_every_floor_has_its_units():
    units = {_unit(path) for path in FILES} - {"__init__"}
    assert sorted(unit for floor in FLOORS for unit in floor) == sorted(units)


def test_the_root_stays_small():
    assert len({_unit(path) for path in FILES}) <= 35


def test_imports_go_strictly_downward():
    wrong = []
    for path in FILES:
        unit = _unit(path)
        if unit == "__init__":
            continue
        for module in _imports(path):
            if not module.startswith("longstep."):
                continue
            target = module.split(".")[1]
            known = target == unit or {unit, target} <= GROUND
            if not known and _floor(target) >= _floor(unit):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert wrong == []


def test_the_stages_folder_holds_stages_only_and_none_imports_another():
    for path in (PACKAGE / "stages").glob("*.py"):
        name = path.stem
        if name in ("__init__", "base"):
            continue
        kinds = re.findall(r'^    kind: Literal\["(\w+)"\]', path.read_text("utf-8"), re.MULTILINE)
        assert name in kinds, f"{name} holds no stage of its name"
        others = {m for m in _imports(path) if m.startswith("longstep.stages")}
        assert others <= {"longstep.stages.base"}, f"{name} imports {others}"


@pytest.mark.parametrize("library", IMPORTERS)
def test_a_heavy_library_has_one_importer(library: str):
    allowed = IMPORTERS[library]
    found = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for path in FILES
        if any(module.split(".")[0] == library for module in _imports(path))
    }
    assert {
        name for name in found if name not in allowed and name.split("/")[0] not in allowed
    } == set()
    assert found, f"nothing imports {library} any more: remove it here and from pyproject.toml"


def test_files_and_functions_stay_small():
    files = [(len(path.read_text(encoding="utf-8").splitlines()), str(path)) for path in FILES]
    assert [name for length, name in files if length > 400] == []
    assert statistics.median(length for length, _ in files) <= 130
    lengths = [
        (_lines(node), f"{path.name}:{node.name}") for path in FILES for node in _functions(path)
    ]
    assert [name for length, name in lengths if length > 60] == []
    assert sum(length <= 25 for length, _ in lengths) >= 0.9 * len(lengths)


def test_no_shortcuts():
    for path in FILES:
        name = str(path.relative_to(PACKAGE))
        assert path.name != "utils.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                literal = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
                assert not (node.func.id == "getattr" and literal), (
                    f"{name}:{node.lineno} getattr with a literal"
                )
                assert node.func.id not in ("print", "eval", "exec"), (
                    f"{name}:{node.lineno} {node.func.id}"
                )
            if isinstance(node, ast.ExceptHandler) and not name.startswith("verify/"):
                caught = node.type
                broad = caught is None or (
                    isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException")
                )
                assert not broad, f"{name}:{node.lineno} catches everything"


def test_only_one_file_looks_for_boxed_answers():
    looking = re.compile(r"(?:find|split|partition|search|match|compile)\([^\n]*boxed")
    assert [p.name for p in FILES if looking.search(p.read_text(encoding="utf-8"))] == [
        "extract.py"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "curate",
        "curriculum",
        "evaluate",
        "generate",
        "losses",
        "merge",
        "problems",
        "report",
        "stages",
        "verify",
    ],
)
def test_exports_are_sorted_and_real(name: str):
    module = importlib.import_module(f"longstep.{name}")
    assert list(module.__all__) == sorted(
        module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
    )
    assert [n for n in module.__all__ if n not in vars(module)] == []


def test_importing_the_recipe_language_loads_nothing_heavy_and_does_nothing():
    code = (
        "import sys, threading, longstep, longstep.run.recipe, longstep.run.plan, longstep.cli.main;"
        f"print([m for m in {HEAVY!r} if m in sys.modules], threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.strip() == "[] 1" and done.stderr == ""


def test_the_longest_test_files_are_there():
    """A file that was renamed would be begun last, and waited for, in silence."""
    from conftest import LONGEST

    assert [name for name in LONGEST if not (Path(__file__).parent / name).is_file()] == []
