"""Members from outside of the package: ``kind: "module:Class"`` is looked at as closely as a member of the list.

The class is one of settings, like those inside, with ``kind: str``. What it gives to a run is looked at twice: when the
recipe is read, by what ``build`` says it returns, and as it is, before the first draw. Reading a recipe that names a
class imports its module, so foreign code runs then: only that class knows which settings it has.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longstep.config import Located, Strict, UserError, lookup, validate


@dataclass(frozen=True)
class Outside:
    """Reads settings that name a class outside of the package, and leaves all others to the list of members.

    Attributes:
        base: what its class is derived from.
        does: the method of the settings that a run calls.
        live: the protocol of what that gives, where it is an object that goes through the run.
    """

    base: type[Strict]
    does: Callable[..., Any]
    live: type | None = None

    def __call__(self, given: Any, listed: Callable[[Any], Any]) -> Any:
        """Give the settings; a ``ValueError`` says what is wrong with them, and pydantic adds the place."""
        values = dict(given) if isinstance(given, Mapping | Strict) else {}
        kind = values.get("kind")
        if not isinstance(kind, str) or ":" not in kind:
            return listed(given)
        try:
            found = lookup(kind)
            if fault := next(self.faults(found), ""):
                raise UserError(f"{kind!r} {fault}{_SEE}")
            return given if isinstance(given, found) else validate(found, Located(values))
        except UserError as error:
            said = "; ".join(str(error).splitlines())
            raise ValueError(said if kind in said else f"{kind!r}: {said}") from None

    def faults(self, found: Any) -> Iterator[str]:
        """Why a run could not use what ``module:Class`` led to."""
        if not (isinstance(found, type) and issubclass(found, self.base)):
            yield f"is no class of settings derived from {self.base.__module__}.{self.base.__name__}"
            return
        kind = found.model_fields.get("kind")
        if kind is None or kind.annotation is not str:
            yield "cannot hold its own name; write kind: str in the class"
        name = self.does.__name__
        method = _defined(found).get(name)
        if method is None or method is _defined(self.base).get(name):
            yield f"has no {name}"
        elif not _takes(method, wanted := _parameters(self.does)):
            yield f"has a {name} that does not take ({', '.join(wanted)})"
        elif self.live is not None and (made := _made_by(method)) is not None:
            yield from (
                f"builds {made.__name__}, which {fault}" for fault in lacks(made, self.live)
            )


#: The end of every complaint.
_SEE = "; docs/extending.md shows one"


def lacks(made: type, protocol: type) -> Iterator[str]:
    """What a class lacks of a protocol's methods; attributes are set by its objects, so a class cannot tell."""
    have = _defined(made)
    for name, part in _parts(protocol).items():
        if inspect.isfunction(part):
            if name not in have:
                yield f"has no {name}"
            elif not _takes(have[name], wanted := _parameters(part)):
                yield f"has a {name} that does not take ({', '.join(wanted)})"


def complete(live: object, protocol: type) -> None:
    """Refuse an object that a run could not ask all that it will ask.

    Raises:
        UserError: a part of the protocol is missing.
    """
    for name in _parts(protocol):
        if not hasattr(live, name):
            kind = type(live)
            raise UserError(
                f"{kind.__module__}:{kind.__qualname__} has no {name}, and a run asks every "
                f"{protocol.__name__.lower()} for that{_SEE}"
            )


def storable(live: Any) -> None:
    """Refuse an object whose state no checkpoint could hold, or whose numbers no metric line could.

    Raises:
        UserError: in a state, what JSON has no form for or reads back otherwise; in metrics, what is no number.
    """
    kind = f"{type(live).__module__}:{type(live).__qualname__}"
    for fault in _lost({"state": live.state()}):
        raise UserError(
            f"{kind}: its state holds {fault}, which a checkpoint in JSON would lose; give mappings with names, lists, "
            f"numbers and text{_SEE}"
        )
    for name, value in live.metrics().items():
        if not isinstance(value, int | float):
            raise UserError(f"{kind}: its metric {name!r} is {value!r}; give a plain number{_SEE}")


def _lost(value: Any) -> Iterator[str]:
    """What JSON would not give back, tuples aside, which come back as lists."""
    if isinstance(value, Mapping):
        yield from (f"the key {key!r}" for key in value if not isinstance(key, str))
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _lost(each)
    elif value is not None and type(value) not in (bool, int, float, str):
        yield f"a {type(value).__name__}"


def _parts(protocol: type) -> dict[str, Any]:
    return {name: part for name, part in vars(protocol).items() if not name.startswith("_")}


def _defined(found: type) -> dict[str, Any]:
    """What a class and its bases define, by name."""
    return {name: each for base in reversed(found.__mro__) for name, each in vars(base).items()}


def _parameters(method: Callable[..., Any]) -> list[str]:
    return [*inspect.signature(method).parameters]


def _takes(method: Any, names: Sequence[str]) -> bool:
    """Whether it can be called with so many arguments by place; what is no plain function, nobody can tell."""
    if not inspect.isfunction(method):
        return True
    try:
        inspect.signature(method).bind(*names)
    except TypeError:
        return False
    return True


def _made_by(build: Any) -> type | None:
    """The class that ``build`` says it gives; ``None`` when it says nothing that can be looked at."""
    if not inspect.isfunction(build):
        return None
    said = inspect.signature(build).return_annotation
    if isinstance(said, str):
        said = vars(sys.modules[build.__module__]).get(said)
    known = isinstance(said, type) and said is not inspect.Signature.empty
    return (
        said if known and not vars(said).get("_is_protocol") else None
    )  # a protocol lacks nothing of itself
