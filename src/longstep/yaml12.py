"""Read YAML as its 1.2 core schema says, with the line of every entry.

PyYAML finds the structure; the meaning of scalars is decided here, because PyYAML follows YAML
1.1, where ``1e-6`` is text, ``no`` is false, ``0123`` is 83 and ``12:30:45`` is 45045. What a
recipe never needs (tags, anchors, aliases, duplicate keys) is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["KeyPath", "Located", "Origin", "YamlError", "overlay", "parse", "scalar", "walk"]

#: Where a value sits: mapping keys and list positions from the top of the document.
KeyPath = tuple[str | int, ...]

MAX_DEPTH = 50

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES = frozenset({"true", "True", "TRUE"})
_FALSES = frozenset({"false", "False", "FALSE"})
_BASES = (
    (re.compile(r"[-+]?[0-9]+"), 10),
    (re.compile(r"0o[0-7]+"), 8),
    (re.compile(r"0x[0-9a-fA-F]+"), 16),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NANS = frozenset({".nan", ".NaN", ".NAN"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 100  # far below the length at which Python refuses to write an integer as text

_HINTS = {
    "cannot start any token": "put the value in quotes",
    "mapping values are not allowed": "check the indentation, and quote text that contains ': '",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written; no ``line`` for a place without lines: the command line."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        """Give ``file:line``."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Located:
    """A mapping of plain values, and the origin of each of its entries."""

    data: dict[str, Any]
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> Origin | None:
        """Give the origin of the entry at ``path``, or of the closest entry around it."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path)


def walk(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Give every entry of a tree with its path, the top first."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


def overlay(base: Located, top: Located) -> Located:
    """Lay ``top`` over ``base``: mappings merge key by key; lists and scalars, null too, replace.

    A mapping whose ``kind`` differs from the one below replaces it whole: the settings of one kind
    mean nothing to another.
    """
    origins: dict[KeyPath, Origin] = {}

    def keep(source: Located, node: Any, path: KeyPath) -> Any:
        for where, _ in walk(node, path):
            if origin := source.origin(where):
                origins[where] = origin
        return node

    def merge(below: Any, above: Any, path: KeyPath) -> Any:
        if not isinstance(below, dict) or not isinstance(above, dict):
            return keep(top, above, path)
        if "kind" in below and "kind" in above and below["kind"] != above["kind"]:
            return keep(top, above, path)
        if origin := base.origin(path):
            origins[path] = origin
        merged = {}
        for key in (*below, *(key for key in above if key not in below)):
            if key not in above:
                merged[key] = keep(base, below[key], (*path, key))
            elif key not in below:
                merged[key] = keep(top, above[key], (*path, key))
            else:
                merged[key] = merge(below[key], above[key], (*path, key))
        return merged

    return Located(merge(base.data, top.data, ()), origins)


class YamlError(ValueError):
    """The text is not YAML that longstep reads; ``line`` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        """Keep the line beside the message: the caller knows the name of the file."""
        super().__init__(message)
        self.line = line


def parse(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Read one document into plain dicts, lists and scalars.

    Args:
        text: the whole document.

    Returns:
        The value and the 1-based line of every entry: of its key in a mapping, of the item in a
        list.

    Raises:
        YamlError: on malformed text, and on tags, anchors, aliases, merge keys, directives,
            duplicate keys, keys that are not text, more than one document or more than
            ``MAX_DEPTH`` levels.
    """
    try:
        return _document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _plain_words(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"control character {error.character!r} is not allowed in YAML; remove it"
        raise YamlError(line, message) from None


def scalar(text: str) -> str | int | float | bool | None:
    """Give an unquoted scalar its YAML 1.2 core schema value; whatever matches no rule is text.

    Raises:
        ValueError: for a number too large to be held.
    """
    if text in _NULLS:
        return None
    if text in _TRUES or text in _FALSES:
        return text in _TRUES
    for pattern, base in _BASES:
        if pattern.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise ValueError("the number is too long")
            return int(text, base)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{text[:40]} is too large for a number; infinity is written .inf")
        return number
    if match := _INFINITY.fullmatch(text):
        return -math.inf if match[1] == "-" else math.inf
    return math.nan if text in _NANS else text


def _document(events: Iterator[yaml.Event]) -> tuple[Any, dict[KeyPath, int]]:
    next(events)  # the start of the stream
    start = next(events)
    if isinstance(start, yaml.StreamEndEvent):
        raise YamlError(1, "it is empty")
    assert isinstance(start, yaml.DocumentStartEvent)
    if start.version or start.tags:
        raise YamlError(_line(start), "YAML directives (%YAML, %TAG) are not read; remove the line")
    lines: dict[KeyPath, int] = {}
    value = _node(next(events), events, (), lines)
    next(events)  # the end of the document
    after = next(events)
    if not isinstance(after, yaml.StreamEndEvent):
        raise YamlError(_line(after), "a second document starts here; keep one document per file")
    return value, lines


def _node(
    event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath, lines: dict[KeyPath, int]
) -> Any:
    lines.setdefault(path, _line(event))  # a mapping has already noted the line of the key
    if isinstance(event, yaml.AliasEvent):
        raise YamlError(_line(event), f"alias *{event.anchor} is not allowed; repeat the value")
    assert isinstance(event, yaml.NodeEvent)
    if event.anchor is not None:
        raise YamlError(_line(event), f"anchor &{event.anchor} is not allowed; remove it")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    assert isinstance(event, yaml.CollectionStartEvent)
    _refuse_tag(event)
    if len(path) >= MAX_DEPTH:
        raise YamlError(_line(event), f"more than {MAX_DEPTH} levels of nesting")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(inner := next(events), yaml.SequenceEndEvent):
            items.append(_node(inner, events, (*path, len(items)), lines))
        return items
    return _mapping(events, path, lines)


def _mapping(
    events: Iterator[yaml.Event], path: KeyPath, lines: dict[KeyPath, int]
) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _key(event)
        here = (*path, key)
        if key in mapping:
            where = f"lines {lines[here]} and {_line(event)}"
            raise YamlError(_line(event), f"key {key!r} is given twice, on {where}; keep one")
        lines[here] = _line(event)
        mapping[key] = _node(next(events), events, here, lines)
    return mapping


def _key(event: yaml.Event) -> str:
    if isinstance(event, yaml.AliasEvent):
        raise YamlError(_line(event), f"alias *{event.anchor} is not allowed; write the key again")
    if not isinstance(event, yaml.ScalarEvent):
        raise YamlError(_line(event), "a key must be text, not a list or a mapping")
    if event.anchor is not None:
        raise YamlError(_line(event), f"anchor &{event.anchor} is not allowed; remove it")
    key = _scalar(event)
    if not isinstance(key, str):
        shown = event.value or "(nothing)"
        raise YamlError(_line(event), f"key {shown} is not text; put it in quotes")
    if key == "<<" and event.style is None:
        raise YamlError(_line(event), "merge key << is not allowed; write the keys out")
    return key


def _scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    _refuse_tag(event)
    if _SURROGATE.search(event.value):
        raise YamlError(_line(event), "half of a surrogate pair; write the character itself")
    if event.style is not None:  # quoted or block text
        return event.value
    try:
        return scalar(event.value)
    except ValueError as error:
        raise YamlError(_line(event), str(error)) from None


def _refuse_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.tag is not None:
        raise YamlError(_line(event), f"tag {event.tag} is not allowed; write the plain value")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1


def _plain_words(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    message = f"not valid YAML: {error.problem or error.context}"
    if error.context_mark and error.context_mark.line + 1 != line:
        message += f" (in what starts on line {error.context_mark.line + 1})"
    hint = next((hint for sign, hint in _HINTS.items() if sign in message), None)
    return YamlError(line, f"{message}; {hint}" if hint else message)
