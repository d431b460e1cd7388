"""docs/settings.md is what the configs say, and says it of every setting."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from longstep.cli.families import recipe_schema

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import settings  # noqa: E402

PAGE = settings.PAGE.read_text("utf-8")


def test_the_page_is_current() -> None:
    assert settings.page() == PAGE, "run python scripts/settings.py"


def fields_by_title() -> dict[str, list[set[str]]]:
    """Class name -> the field names of each section of such a class, read from the page alone."""
    found: dict[str, list[set[str]]] = {}
    for name, text in re.findall(
        r"<!-- longstep\.[\w.]*?(\w+) -->(.*?)(?=\n##|\Z)", PAGE, re.DOTALL
    ):
        found.setdefault(name, []).append(set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)))
    return found


def test_every_setting_of_the_schema_stands_on_the_page() -> None:
    """Against the JSON Schema, which pydantic makes and the page's script does not read."""
    told = fields_by_title()
    schema: dict[str, Any] = recipe_schema()
    defined = [schema, *schema["$defs"].values()]
    objects = [each for each in defined if "properties" in each]
    assert len(objects) > 100
    missing = [
        f"{each['title']}: {sorted(fields)}"
        for each in objects
        if (fields := set(each["properties"]) - {"kind", "arms", "phases"})
        not in told.get(each["title"], [])
    ]
    assert missing == []
    assert all(f"`{name}`" in PAGE.split("### stage")[0] for name in ("arms", "phases"))


def test_every_setting_has_a_meaning_and_every_link_a_heading() -> None:
    silent = [
        line
        for line in PAGE.splitlines()
        if re.match(r"\| `\w+` \|", line) and line.endswith("|  |")
    ]
    assert silent == []
    headings = {
        settings.anchor(heading) for heading in re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_types_defaults_and_bounds_by_hand() -> None:
    rows = {
        line.split("|")[1].strip(): line
        for line in PAGE.split("### stage rl\n")[1].split("\n##")[0].splitlines()
        if "| `" in line
    }
    assert rows["`group`"].split("|")[2:4] == [" whole number, at least 2 ", " `8` "]
    assert rows["`model`"].split("|")[2:4] == [" text ", " *needed* "]
    assert rows["`by`"].split("|")[2] == " [kinds of engine](#kinds-of-engine) or null "
    assert rows["`algorithm`"].split("|")[3] == " `{kind: light-r1}` "
    endpoint = PAGE.split("### engine endpoint\n")[1].split("\n##")[0]
    assert "| `endpoints` | list of [address](#address) | `[]` |" in endpoint
