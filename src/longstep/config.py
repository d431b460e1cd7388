"""Strict configs: a closed pydantic schema, recipes in YAML, overlays and overrides.

The way of a recipe: ``load_yaml`` the recipe, ``overlay`` the size file on it, ``override`` from
the command line, ``validate`` into a config. Each step keeps, beside the data, where every value
was written, so that a complaint and the saved ``config.json`` can name the file and the line.
"""

from __future__ import annotations

import difflib
import importlib
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from longstep.yaml12 import KeyPath, Located, Origin, YamlError, overlay, parse, walk

__all__ = [
    "Field",
    "Located",
    "Origin",
    "PrivateAttr",
    "Strict",
    "TypeAdapter",
    "UserError",
    "ValidationError",
    "dump",
    "field_validator",
    "json_schema",
    "load_yaml",
    "lookup",
    "model_validator",
    "nearest",
    "overlay",
    "override",
    "provenance",
    "validate",
]

MAX_BYTES = 1_000_000


class Strict(BaseModel):
    """Base of every config: no unknown keys, no changes, checked defaults, finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    def free_fields(self) -> frozenset[str]:
        """Fields that change no byte of the result, such as how often something is written down."""
        return frozenset()

    def rounding_fields(self) -> frozenset[str]:
        """Fields that change the order of sums and nothing else: what the hardware can hold at once."""
        return frozenset()


class UserError(Exception):
    """Something the user can put right, said in one clear sentence.

    Inside a pydantic validator raise ``ValueError`` instead: ``validate`` then adds the place.
    """

    exit_code: int = 2


S = TypeVar("S", bound=Strict)


# -- names ----------------------------------------------------------------------------------------


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Give the name most like ``name``, case apart, or ``None`` when nothing resembles it."""
    by_lower = {each.lower(): each for each in sorted(names, reverse=True)}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def lookup(spec: str) -> Any:
    """Import the object that ``package.module:attribute`` names.

    Raises:
        UserError: when there is no such module or attribute; an import that fails inside an
            existing module raises as it is.
    """
    module_name, colon, attribute = spec.partition(":")
    if not (module_name and colon and attribute) or module_name.startswith("."):
        raise UserError(f"{spec!r} does not name an object; write it as package.module:attribute")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; one that it imports is not
        raise UserError(f"{spec!r}: no module named {error.name!r} on the Python path") from None
    for name in attribute.split("."):
        if not hasattr(found, name):
            close = nearest(name, (each for each in dir(found) if not each.startswith("_")))
            raise UserError(f"{spec!r}: {module_name} has no {name!r}{_suggest(close)}")
        found = getattr(found, name)
    return found


def _suggest(name: str | None) -> str:
    return f"; did you mean {name!r}?" if name else ""


# -- reading and combining ------------------------------------------------------------------------


def load_yaml(path: Path | str) -> Located:
    """Read a YAML file whose top level is a mapping; see ``yaml12`` for what is refused."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path}:1: larger than {MAX_BYTES} bytes; is it a recipe?")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    try:
        data, lines = parse(text)
    except YamlError as error:
        raise UserError(f"{path}:{error.line}: {error}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}:{lines[()]}: expected 'key: value' at the top, got {_got(data)}")
    return Located(data, {where: Origin(str(path), line) for where, line in lines.items()})


def override(located: Located, assignment: str) -> Located:
    """Lay one ``dotted.path=value`` from the command line over a config, as ``overlay`` would.

    The value is YAML, except that one starting with ``@`` is text: references need no quotes.
    """
    dotted, equals, text = assignment.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"override {assignment!r}: expected dotted.path=value")
    node: Any = located.data
    for depth, key in enumerate(keys):
        if node is not None and not isinstance(node, dict):
            place = ".".join(keys[:depth])
            hint = f"give the whole list: {place}=[...]" if isinstance(node, list) else "shorten it"
            raise UserError(f"override {assignment!r}: {place} is {_got(node)}; {hint}")
        node = node.get(key) if node else None
    try:
        value: Any = text if text.startswith("@") else parse(text)[0]
    except YamlError as error:
        raise UserError(f"override {assignment!r}: the value is not understood: {error}") from None
    for key in reversed(keys):
        value = {key: value}
    return overlay(located, Located(value, {(): Origin("command line")}))


# -- validating -----------------------------------------------------------------------------------


def validate(cls: type[S], located: Located) -> S:
    """Build a config, or raise one ``UserError`` listing ``file:line: dotted.path: what is wrong``.

    A list may fill a tuple and ``1e3`` a whole number, but text is never read as a number or a
    boolean, nor a boolean as a number.
    """
    complaints: dict[KeyPath, list[str]] = {}
    try:
        config = cls.model_validate(located.data)
        for path, message in _converted(located.data, dump(config)):
            complaints[path] = [message]
        if not complaints:
            return config
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path, options = _locate(cls, details)
            message = _message(details, path, options)
            if message not in complaints.setdefault(path, []):
                complaints[path].append(message)
    lines = [
        f"{_at(located, path)}{_dotted(path) or 'top level'}: {_join(messages)}"
        for path, messages in complaints.items()
        # Where a name or a mapping may stand, what is wrong inside the mapping says more than "expected text".
        if not any(path == other[: len(path)] for other in complaints if other != path)
    ]
    raise UserError("\n".join(lines))


def provenance(config: Strict, located: Located) -> dict[str, str]:
    """Say of each leaf where it came from: ``default``, ``file:line`` or ``command line``."""
    origins, nodes = {}, dict(walk(located.data, ()))
    for path, value in walk(dump(config), ()):
        if path and (not isinstance(value, dict | list) or not value):
            origins[_dotted(path)] = _source(path, nodes, located)
    return origins


def json_schema(cls: type[Strict]) -> dict[str, Any]:
    """Give the JSON Schema of a config, for editors."""
    return cls.model_json_schema()


def dump(config: Strict) -> dict[str, Any]:
    """Give a config as JSON-ready values, nulls and defaults included."""
    return config.model_dump(mode="json")


def _converted(given: Any, taken: Any) -> Iterator[tuple[KeyPath, str]]:
    """Find the values that pydantic changed from text, number or boolean into another of these."""
    results = dict(walk(taken, ()))
    for path, value in walk(given, ()):
        want = _scalar_name(results.get(path))
        if want and _scalar_name(value) not in {"", want}:
            yield path, f"expected {want}, got {_got(value)}"


def _scalar_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else ""


def _source(path: KeyPath, nodes: Mapping[KeyPath, Any], located: Located) -> str:
    given = path
    while given not in nodes:
        given = given[:-1]
    if given != path and isinstance(nodes[given], dict | list):
        return "default"
    return str(located.origin(given) or "given")  # a validator may have expanded a short form


def _at(located: Located, path: KeyPath) -> str:
    origin = located.origin(path)
    return f"{origin}: " if origin else ""


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


# pydantic mixes names of union members into the place of an error; following the types beside
# the place tells them from the user's keys.


def _locate(cls: type[Strict], details: ErrorDetails) -> tuple[KeyPath, list[Any]]:
    """Give the path of an error in the user's data, and the types that were possible around it."""
    path: KeyPath = ()
    options: list[Any] = [cls]
    labelled = False
    for position, step in enumerate(details["loc"]):
        at_end = position == len(details["loc"]) - 1
        if at_end and details["type"] in {"extra_forbidden", "missing"}:
            return (*path, step), options
        inner = [] if len(options) > 1 and not labelled else _inner(options, step)
        if inner:
            path, options, labelled = (*path, step), inner, False
        else:
            options, labelled = [o for o in options if step in _labels(o)] or options, True
    if details["type"].startswith("union_tag_"):  # the complaint is about the entry that chooses
        path = (*path, details.get("ctx", {})["discriminator"].strip("'"))
    return path, options


def _labels(option: Any) -> list[str]:
    """Give the names pydantic may use for a member of a union."""
    return [*_kinds(option), option.__name__] if isinstance(option, type) else []


def _alternatives(annotation: Any) -> list[Any]:
    """Flatten a type into its alternatives: annotations taken off, unions opened, None left out."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [each for member in get_args(annotation) for each in _alternatives(member)]
    return [] if annotation is types.NoneType else [annotation]


def _inner(options: list[Any], step: str | int) -> list[Any]:
    """Give the types one step further in: under a field, a key or a position."""
    found: list[Any] = []
    for option in options:
        origin, args = get_origin(option), get_args(option)
        if fields := _fields(option):
            found += _alternatives(fields[step].annotation) if step in fields else []
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            found += _alternatives(args[1])
        elif isinstance(origin, type) and isinstance(step, int):
            if origin is tuple and Ellipsis not in args:
                args = args[step : step + 1]
            found += [each for arg in args for each in _alternatives(arg)]
    return found


def _fields(option: Any) -> Mapping[Any, Any]:
    return option.model_fields if isinstance(option, type) and issubclass(option, BaseModel) else {}


def _kinds(option: Any) -> list[str]:
    kind = _fields(option).get("kind")
    return [str(each) for each in get_args(kind.annotation)] if kind else []


def _message(details: ErrorDetails, path: KeyPath, options: list[Any]) -> str:
    """Say what is wrong in plain words, with the valid names when a name is wrong."""
    given, context = details["input"], details.get("ctx", {})
    name = str(path[-1]) if path else ""
    match details["type"]:
        case "extra_forbidden":
            names = {each for option in options for each in _fields(option)}
            return f"unknown key {name!r}{_choices(name, names)}"
        case "missing":
            what = f"the key {name!r}" if isinstance(path[-1], str) else f"item {name}, from 0,"
            return f"{what} is missing and has no default"
        case "union_tag_invalid" | "union_tag_not_found":
            names = {each for option in options for each in _kinds(option)}
            tag = context.get("tag", "")
            start = f"unknown {name} {tag!r}" if tag else f"the key {name!r} is missing"
            return start + _choices(tag, names)
        case "literal_error":
            names = {str(each) for option in options for each in get_args(option)}
            close = nearest(given, names) if isinstance(given, str) else None
            return f"expected {context['expected']}, got {_got(given)}{_suggest(close)}"
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "too_short" | "too_long":
            most = details["type"] == "too_long"
            bound = context["max_length" if most else "min_length"]
            ones = "entry" if bound == 1 else "entries"
            return f"expected at {'most' if most else 'least'} {bound} {ones}, got {context['actual_length']}"
        case kind:
            want = _WANTED.get(kind) or details["msg"].removeprefix("Input should be ")
            return f"expected {want}, got {_got(given)}"


def _choices(name: str, names: Iterable[str]) -> str:
    close = nearest(name, names)
    ordered = sorted(names, key=lambda each: (each != close, each))
    return f"{_suggest(close)} (choices: {', '.join(ordered) or 'none'})"


def _got(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return json.dumps(value, default=str)


def _join(messages: list[str]) -> str:
    """Join the complaints about one value; a plain union's become one: expected this or that."""
    parts = [message.removeprefix("expected ").partition(", got ") for message in messages]
    gots = {got for _, _, got in parts}
    if len(messages) > 1 and len(gots) == 1 and "" not in gots:
        return f"expected {' or '.join(want for want, _, _ in parts)}, got {gots.pop()}"
    return "; ".join(messages)


_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "text",
    "tuple_type": "a list",
}
