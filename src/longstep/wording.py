"""The words of complaints about a config: what is wrong, where, which name was meant, and where a key lives."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from longstep.yaml12 import KeyPath


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Give the name most like ``name``, case apart, or ``None`` when nothing resembles it."""
    by_lower = {each.lower(): each for each in sorted(names, reverse=True)}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str | None) -> str:
    """The end of a complaint that proposes a name; empty without one."""
    return f"; did you mean {name!r}?" if name else ""


def page(anchor: str) -> str:
    """The end of a complaint that leads to a longer answer."""
    return f" (docs/troubleshooting.md#{anchor})"


def choices(name: str, names: Iterable[str]) -> str:
    """The end of a complaint that proposes the nearest name and lists all, the nearest first."""
    names = list(names)
    close = nearest(name, names)
    ordered = sorted(names, key=lambda each: (each != close, each))
    return f"{did_you_mean(close)} (choices: {', '.join(ordered) or 'none'})"


# pydantic mixes names of union members into the place of an error; following the types beside
# the place tells them from the user's keys.


def locate(cls: type, details: Mapping[str, Any]) -> tuple[KeyPath, list[list[Any]]]:
    """Give the path of an error in the user's data, and the types that were possible around it, the top first."""
    path: KeyPath = ()
    around: list[list[Any]] = [[cls]]
    labelled = False
    for position, step in enumerate(details["loc"]):
        at_end = position == len(details["loc"]) - 1
        options = around[-1]
        if at_end and details["type"] in {"extra_forbidden", "missing"}:
            return (*path, step), around
        inner = [] if len(options) > 1 and not labelled else _inner(options, step)
        if inner:
            path, labelled = (*path, step), False
            around.append(inner)
        else:
            around[-1] = [o for o in options if step in _labels(o)] or options
            labelled = True
    if details["type"].startswith("union_tag_"):  # the complaint is about the entry that chooses
        path = (*path, details.get("ctx", {})["discriminator"].strip("'"))
    return path, around


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
    # Any class of pydantic's; its own base would have to be imported here.
    known = isinstance(option, type) and hasattr(option, "model_fields")
    return option.model_fields if known else {}


def _kinds(option: Any) -> list[str]:
    kind = _fields(option).get("kind")
    return [str(each) for each in get_args(kind.annotation)] if kind else []


def message(details: Mapping[str, Any], path: KeyPath, around: list[list[Any]]) -> str:
    """Say what is wrong in plain words, with the valid names when a name is wrong."""
    given, context = details["input"], details.get("ctx", {})
    name, options = str(path[-1]) if path else "", around[-1]
    match details["type"]:
        case "extra_forbidden":
            names = {each for option in options for each in _fields(option)}
            home = _home(name, path[:-1], around)
            return f"unknown key {name!r}{f'; {home}' if home else choices(name, names)}"
        case "missing":
            if isinstance(path[-1], int):
                return f"entry {path[-1] + 1} is missing: the list has {len(given)} here"
            return f"the key {name!r} is missing and has no default"
        case "union_tag_invalid" | "union_tag_not_found":
            names = {each for option in options for each in _kinds(option)}
            chosen = given.get(name) if isinstance(given, Mapping) else None
            if chosen is not None and not isinstance(chosen, str):
                return f"expected text{choices('', names)}, got {got(chosen)}"
            tag = context.get("tag", "")
            start = f"unknown {name} {tag!r}" if tag else f"the key {name!r} is missing"
            return start + choices(tag, names)
        case "literal_error":
            names = {str(each) for option in options for each in get_args(option)}
            close = nearest(given, names) if isinstance(given, str) else None
            return f"expected {context['expected']}, got {got(given)}{did_you_mean(close)}"
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "too_short" | "too_long":
            most = details["type"] == "too_long"
            bound = context["max_length" if most else "min_length"]
            ones = "entry" if bound == 1 else "entries"
            return f"expected at {'most' if most else 'least'} {bound} {ones}, got {context['actual_length']}"
        case kind:
            want = _WANTED.get(kind) or details["msg"].removeprefix("Input should be ")
            return f"expected {want}, got {got(given)}{_rewritten(want, given, options)}"


def _rewritten(want: str, given: Any, options: list[Any]) -> str:
    """How what was given is written where a mapping, a list or text must stand; empty when nobody can tell."""
    if want == "a mapping" and (given is None or isinstance(given, str)):
        kinds = [each for option in options for each in _kinds(option)]
        if isinstance(given, str) and given in kinds:
            return f"; write {{kind: {given}}}"
        return f"; it needs a kind{choices(given or '', kinds)}" if kinds else ""
    if want == "a list" and isinstance(given, str | dict):
        return "; put it into [ ]"
    return ""


def _home(name: str, path: KeyPath, around: list[list[Any]]) -> str:
    """Say where a key of this name lives: further in, further out, or beside; empty when it is known nowhere."""
    for option in filter(_fields, around[-1]):
        if told := str(option.elsewhere.get(name, "")):
            return told if " " in told else f"here it is {told!r}"
    if inside := within(name, around[-1]):
        return f"did you mean {inside!r}?"
    # Every mapping around it took one step of the path, the keys of the outermost none.
    for depth in range(min(len(around) - 1, len(path)) - 1, -1, -1):
        beside = name if any(name in _fields(option) for option in around[depth]) else ""
        if beside := beside or within(name, around[depth], depths=1):
            where = dotted((*path[:depth], beside))
            return (
                "it belongs to the top of the recipe" if where == name else f"it belongs to {where}"
            )
    own = {each for option in around[-1] for each in _fields(option)}
    return "" if nearest(name, own) else _nearly(name, around[-1])


def _nearly(name: str, options: list[Any]) -> str:
    """A suggestion for a misspelt key that lives one level further in."""
    below = {
        each: f"{field}.{each}"
        for option in options
        for field, info in _fields(option).items()
        for inner in _alternatives(info.annotation)
        for each in _fields(inner)
    }
    close = nearest(name, below, 0.8)
    return f"did you mean {below[close]!r}?" if close else ""


def within(name: str, options: list[Any], depths: int = 2) -> str:
    """The dotted path below these types under which a field has this name; the shortest, and empty without one."""
    inner = {
        field: _alternatives(info.annotation)
        for option in options
        for field, info in _fields(option).items()
    }
    for field, types_ in inner.items():
        if any(name in _fields(each) for each in types_):
            return f"{field}.{name}"
    deeper = (
        (field, within(name, types_, depths - 1)) for field, types_ in inner.items() if depths > 1
    )
    return next((f"{field}.{found}" for field, found in deeper if found), "")


def got(value: Any) -> str:
    """What was given, in few words."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return json.dumps(value, default=str)


def dotted(path: KeyPath) -> str:
    """A path as a user would write it."""
    return ".".join(map(str, path))


def joined(messages: list[str]) -> str:
    """Join the complaints about one value; a plain union's become one: expected this or that."""
    parts = [message.removeprefix("expected ").partition(", got ") for message in messages]
    ends = [end.partition("; ") for _, _, end in parts]
    gots = {first for first, _, _ in ends}
    if len(messages) > 1 and len(gots) == 1 and "" not in gots:
        hint = next((f"; {more}" for _, _, more in ends if more), "")
        return f"expected {' or '.join(want for want, _, _ in parts)}, got {gots.pop()}{hint}"
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
    "string_pattern_mismatch": "a plain name (letters, digits, dots, - and _, a letter or digit first)",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "tuple_type": "a list",
}
