"""A member answers for itself: nobody outside of a family's package asks which member it holds.

The families are the unions called ``Any...``; a base that only members of one family have counts as a member.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import longstep
from longstep.config import Strict

PACKAGE = Path(longstep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
UNION = re.compile(r"^(Any[A-Z]\w*) = ", re.MULTILINE)

#: Where a member is still asked for, and how often. This list only shrinks.
ALLOWED: Counter[str] = Counter()


def _unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _classes(union: Any) -> Iterator[type]:
    if inspect.isclass(union):
        yield union
    for argument in get_args(union):
        yield from _classes(argument)


def families() -> set[tuple[str, str]]:
    """(unit, class name) of every member and of the bases that are ours."""
    found: set[tuple[str, str]] = set()
    for path in FILES:
        for name in UNION.findall(path.read_text(encoding="utf-8")):
            module = ".".join(("longstep", *path.relative_to(PACKAGE).with_suffix("").parts))
            union = vars(importlib.import_module(module.removesuffix(".__init__")))[name]
            for member in _classes(union):
                ours = [base for base in member.__mro__ if base.__module__.startswith("longstep.")]
                found |= {
                    (base.__module__.split(".")[1], base.__name__)
                    for base in ours
                    if base is not Strict
                }
    return found


def _asked(tree: ast.AST) -> Iterator[ast.expr]:
    """Every class that an ``isinstance`` or a ``match`` asks for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass):
            yield node.cls
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            yield from (n for n in ast.walk(node.args[1]) if isinstance(n, ast.Name))


def _imported(tree: ast.AST) -> dict[str, tuple[str, str]]:
    """Local name -> (unit, name there) of everything imported from the package."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("longstep."):
            for alias in node.names:
                unit = (node.module or "").split(".")[1]
                found[alias.asname or alias.name] = (unit, alias.name)
    return found


def places() -> Counter[str]:
    """``file: class`` of every question asked outside of the member's package."""
    members = families()
    found: Counter[str] = Counter()
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = _imported(tree)
        for asked in _asked(tree):
            name = asked.id if isinstance(asked, ast.Name) else ""
            unit, original = imported.get(name, ("", ""))
            if (unit, original) in members and unit != _unit(path):
                found[f"{path.relative_to(PACKAGE)}: {original}"] += 1
    return found


def test_the_families_are_found():
    known = families()
    assert {
        ("stages", "Rl"),
        ("losses", "LightR1"),
        ("problems", "Table"),
        ("draw", "ByModel"),
    } <= known
    assert ("training", "Training") in known and ("config", "Strict") not in known


def test_nobody_asks_which_member_it_holds():
    found = places()
    assert found - ALLOWED == Counter(), (
        "a member must answer for itself: add a method to its family"
    )
    assert ALLOWED - found == Counter(), "these are gone: take them out of ALLOWED"


if __name__ == "__main__":
    print(places().total(), json.dumps(places(), indent=4))
