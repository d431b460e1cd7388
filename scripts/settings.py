"""Write docs/settings.md: every setting of a recipe with its type, default and meaning, from the configs themselves.

``python scripts/settings.py`` writes the page; a test says when it is no longer what the configs say.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import types
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import longstep
from longstep.config import Strict, TypeAdapter
from longstep.run.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
PACKAGE = Path(longstep.__file__).parent
_UNION = re.compile(r"^(Any[A-Z]\w*) = ", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^ {8}(\w+): (.+(?:\n {12,}.+)*)", re.MULTILINE)
#: What the heading of a family is, where its union's name does not say it to a reader.
_CALLED = {"Contamination": "contamination rule", "Optimizer": "optimiser"}
_PLAIN: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    type(None): "null",
    Any: "anything",
    object: "anything",
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
HEAD = """# Every setting

Written by `python scripts/settings.py` from the configs themselves; `longstep show schema` gives the same to an editor.
An unknown key is refused with its line and its nearest neighbour before anything runs. What the stages are for, and how
recipes are laid over each other, is in [recipes.md](recipes.md).

A setting with alternatives is a mapping with a `kind`; *needed* means that there is no default. `trainer:` of a
training stage takes what TRL's config class takes (`SFTConfig`, `DPOConfig`, `GRPOConfig`), except what longstep sets
itself: that is refused with the name of its place.
"""

WRITTEN_OUT = """
A stage of a recipe may have `arms` and, where it trains, `phases`: mappings of names to settings that are laid over the
stage's own, written out as stages before anything is checked ([recipes.md](recipes.md#the-language)).
"""


def configs(annotation: Any) -> Iterator[type[Strict]]:
    """Every config that a value of this type may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, Strict):
        yield annotation
    for each in get_args(annotation):
        yield from configs(each)


@cache
def families() -> dict[frozenset[type[Strict]], str]:
    """Members -> what the family is called: ``engine`` for ``AnyEngine``."""
    found: dict[frozenset[type[Strict]], str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in _UNION.findall(path.read_text(encoding="utf-8")):
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            module = ".".join((longstep.__name__, *parts)).removesuffix(".__init__")
            bare = name.removeprefix("Any")
            words = re.sub(r"(?<!^)(?=[A-Z])", " ", bare).lower()
            union = vars(importlib.import_module(module))[name]
            found.setdefault(frozenset(configs(union)), _CALLED.get(bare, words))
    return found


@cache
def reached() -> dict[type[Strict], dict[str, None]]:
    """Every config that a recipe can hold -> the places that hold it, in order."""
    places: defaultdict[type[Strict], dict[str, None]] = defaultdict(dict)

    def walk(config: type[Strict]) -> None:
        for name, field in config.model_fields.items():
            for each in dict.fromkeys(configs(field.annotation)):
                new = each not in places
                places[each][f"{title(config)}: `{name}`"] = None
                if new:
                    walk(each)

    places[Recipe] = {}
    walk(Recipe)
    return places


@cache
def family_of(config: type[Strict]) -> str:
    """The largest family that a config is a member of; empty for a mapping of one form."""
    of = [
        (len(members), name)
        for members, name in families().items()
        if config in members and len(members) > 1
    ]
    return max(of, default=(0, ""))[1]


def title(config: type[Strict]) -> str:
    """The heading of a config."""
    if config is Recipe:
        return "recipe"
    family = family_of(config)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", config.__name__).lower()
    return f"{family} {config.model_fields['kind'].default}" if family else words


def anchor(heading: str) -> str:
    """The fragment that leads to a heading."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def link(heading: str) -> str:
    """A link to a heading of the page."""
    return f"[{heading}](#{anchor(heading)})"


# -- types, defaults, meanings ---------------------------------------------------------------------


def told(annotation: Any) -> str:
    """A type in words, with links."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is Annotated:
        return told(inner[0]) + _bounds(inner[1:])
    if origin is Literal:
        return " or ".join(f"`{_json(each)}`" if each is not None else "null" for each in inner)
    if origin in (Union, types.UnionType):
        return _choice(inner)
    if origin in (list, tuple, set, frozenset):
        if origin is tuple and Ellipsis not in inner:
            return f"[{', '.join(map(told, inner))}]"
        return f"list of {told(inner[0])}"
    if origin is dict or (inspect.isclass(origin) and "Mapping" in origin.__name__):
        return f"mapping of {told(inner[0])} to {told(inner[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, Strict):
        return link(title(annotation))
    return (
        "mapping"
        if annotation is dict
        else "list"
        if annotation in (list, tuple)
        else str(annotation)
    )


def _choice(inner: Sequence[Any]) -> str:
    """Alternatives; a family is one link, whatever its size."""
    members = [each for each in inner if inspect.isclass(each) and issubclass(each, Strict)]
    name = families().get(frozenset(members)) if len(members) > 1 else None
    rest = [told(each) for each in inner if each not in members or name is None]
    return " or ".join(dict.fromkeys([*([link(_section(name))] if name else []), *rest]))


def _bounds(metadata: Sequence[Any]) -> str:
    """The limits that pydantic's constraints hold."""
    said = [
        f"{words} {_json(limit)}"
        for each in metadata
        for key, words in _BOUNDS.items()
        if (limit := getattr(each, key, None)) is not None
    ]
    return f", {' and '.join(said)}" if said else ""


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def default(config: type[Strict], name: str) -> str:
    """The default of a field, as a recipe would spell it."""
    field = config.model_fields[name]
    if field.is_required():
        return "*needed*"
    given = field.get_default(call_default_factory=True)
    value = TypeAdapter(Any).dump_python(given, mode="json")
    if isinstance(given, Strict):
        changed = given.model_dump(mode="json", exclude_unset=True)
        kind = {"kind": value["kind"]} if "kind" in value else {}
        return f"`{{{_flow({**kind, **changed})}}}`" if {**kind, **changed} else "its own"
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return f"`[{', '.join(f'{{{_flow(_brief(each))}}}' for each in value)}]`"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _brief(value: dict[str, Any]) -> dict[str, Any]:
    return {"kind": value["kind"]} if "kind" in value else value


def _flow(value: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {_json(each)}" for key, each in value.items())


def meanings(config: type[Strict]) -> dict[str, str]:
    """Field -> its line in the ``Attributes`` of the class and its bases, or its own description."""
    found = {name: f.description for name, f in config.model_fields.items() if f.description}
    for base in reversed(config.__mro__):
        _, _, text = (base.__dict__.get("__doc__") or "").partition("Attributes:")
        for name, line in _ATTRIBUTE.findall(text):
            found[name] = " ".join(line.split()).replace("``None``", "``null``")
    return {name: _cell(line) for name, line in found.items()}


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|").replace("\n", " ")


def about(config: type[Strict]) -> str:
    """The first paragraph of a config's docstring."""
    doc = inspect.cleandoc(config.__doc__ or "").split("\n\n")[0]
    return " ".join(doc.split()).replace("``", "`")


# -- the page --------------------------------------------------------------------------------------


def table(config: type[Strict]) -> Iterator[str]:
    """The fields of a config."""
    fields = [name for name in config.model_fields if name != "kind"]
    if not fields:
        yield "No further setting."
        return
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    said = meanings(config)
    for name in fields:
        field = config.model_fields[name]
        kind = (told(field.annotation) + _bounds(field.metadata)).replace("|", "\\|")
        yield f"| `{name}` | {kind} | {default(config, name).replace('|', chr(92) + '|')} | {said.get(name, '')} |"


def _entry(config: type[Strict], level: str) -> Iterator[str]:
    """One config: heading, a mark for the tests, what it is, where it stands, its fields."""
    yield f"{level} {title(config)}"
    yield f"<!-- {config.__module__}.{config.__name__} -->"
    yield about(config)
    if not family_of(config) and config is not Recipe:
        yield f"Stands in {', '.join(reached()[config])}."
    yield "\n".join(table(config))


def _section(name: str) -> str:
    return f"kinds of {name}"


def page() -> str:
    """The whole page."""
    everything = list(reached())
    of: defaultdict[str, list[type[Strict]]] = defaultdict(list)
    for config in everything:
        of[family_of(config)].append(config)
    parts = [HEAD.strip(), *_entry(Recipe, "##")]
    single = sorted((each for each in of.pop("") if each is not Recipe), key=title)
    for name in sorted(of, key=lambda each: (each != "stage", each)):
        members = sorted(of[name], key=title)
        parts.append(f"## {_section(name)}")
        if name == "stage":
            parts.append(WRITTEN_OUT.strip())
        else:
            places = dict.fromkeys(place for each in members for place in reached()[each])
            parts.append(f"Stand in {', '.join(places)}.")
        for config in members:
            parts += _entry(config, "###")
    parts.append("## mappings of one form")
    for config in single:
        parts += _entry(config, "###")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
