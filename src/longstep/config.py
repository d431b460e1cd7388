"""Strict configs: a closed pydantic schema, recipes in YAML, overlays and overrides.

The way of a recipe: ``load_yaml`` the recipe, ``overlay`` the size file on it, ``override`` from
the command line, ``validate`` into a config. Each step keeps, beside the data, where every value
was written, so that a complaint and the saved ``config.json`` can name the file and the line.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from longstep.wording import did_you_mean, dotted, got, joined, locate, message, nearest, page
from longstep.yaml12 import KeyPath, Located, Origin, YamlError, overlay, parse, walk

__all__ = [
    "AS_ITS_CLASS",
    "Field",
    "Located",
    "Origin",
    "PrivateAttr",
    "Strict",
    "TypeAdapter",
    "UserError",
    "ValidationError",
    "WrapValidator",
    "dump",
    "field_validator",
    "json_schema",
    "load_yaml",
    "lookup",
    "members",
    "model_validator",
    "nearest",
    "overlay",
    "override",
    "provenance",
    "validate",
]

#: A member is written out with all settings of its own class, not with those of the class that it is annotated as. To a
#: type checker pydantic's marker is no class.
AS_ITS_CLASS: Any = SerializeAsAny()  # pyright: ignore[reportCallIssue]

MAX_BYTES = 1_000_000


class Strict(BaseModel):
    """Base of every config: no unknown keys, no changes, checked defaults, finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    #: Keys that other tools use -> where it is set here, or a sentence that says what to do.
    elsewhere: ClassVar[Mapping[str, str]] = {}

    def check(self) -> Iterator[str]:
        """Complaints that the settings alone justify, as ``key: sentence``; made before any stage runs."""
        yield from ()

    def absent(self) -> Iterator[str]:
        """What this machine lacks to do it, as ``key: sentence``; asked before a run, not by ``plan``."""
        yield from ()

    def libraries(self) -> frozenset[str]:
        """Modules it imports when it works, of those that not every installation has."""
        return frozenset()

    def wants(self) -> frozenset[str]:
        """What it wants of the problems a stage reads: ``pass_rate``, ``difficulty`` or ``solution``."""
        return frozenset()

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
        here = Path(f"{module_name.replace('.', '/')}.py").is_file()
        hint = "; it lies here: start with PYTHONPATH=. in front" if here else ""
        raise UserError(
            f"{spec!r}: no module named {error.name!r} on the Python path{page('own-modules')}{hint}"
        ) from None
    for name in attribute.split("."):
        if not hasattr(found, name):
            close = nearest(name, (each for each in dir(found) if not each.startswith("_")))
            raise UserError(f"{spec!r}: {module_name} has no {name!r}{did_you_mean(close)}")
        found = getattr(found, name)
    return found


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
        raise UserError(f"{path}:{lines[()]}: expected 'key: value' at the top, got {got(data)}")
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
            raise UserError(f"override {assignment!r}: {place} is {got(node)}; {hint}")
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
        for path, said in _converted(located.data, dump(config)):
            complaints[path] = [said]
        if not complaints:
            return config
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path, around = locate(cls, details)
            said = message(details, path, around)
            if said not in complaints.setdefault(path, []):
                complaints[path].append(said)
    lines = [
        f"{_at(located, path)}{dotted(path) or 'top level'}: {joined(messages)}"
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
            origins[dotted(path)] = _source(path, nodes, located)
    return origins


def json_schema(cls: type[Strict]) -> dict[str, Any]:
    """Give the JSON Schema of a config, for editors."""
    return cls.model_json_schema()


def members(config: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Strict]]:
    """Give a config and every config inside of it, each with its place."""
    if isinstance(config, Strict):
        yield path, config
        for name in type(config).model_fields:
            yield from members(getattr(config, name), (*path, name))
    elif isinstance(config, dict | list | tuple):
        pairs = config.items() if isinstance(config, dict) else enumerate(config)
        for key, each in pairs:
            yield from members(each, (*path, key))


def dump(config: Strict) -> dict[str, Any]:
    """Give a config as JSON-ready values, nulls and defaults included."""
    return config.model_dump(mode="json")


def _converted(given: Any, taken: Any) -> Iterator[tuple[KeyPath, str]]:
    """Find the values that pydantic changed from text, number or boolean into another of these."""
    results = dict(walk(taken, ()))
    for path, value in walk(given, ()):
        want = _scalar_name(results.get(path))
        if want and _scalar_name(value) not in {"", want}:
            yield path, f"expected {want}, got {got(value)}"


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
