"""``arms:`` of a stage written out, before a recipe is checked: stages side by side that differ in little.

    rl: {kind: rl, model: "@start", steps: 20, arms: {uniform: {}, adarft: {curriculum: {kind: adarft}}}}

is the stages ``rl-uniform`` and ``rl-adarft``: each has the stage's settings with those of its arm laid over them, as
an overlay would. No stage is called ``rl`` then. A mapping of references takes all of them at once, in their order:
``models: {start: "@start", "rl-*": "@rl-*"}``. An arm may have ``phases``.

What is compared fairly differs in one thing, so what the arms share is written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from longstep.config import Located, Origin, overlay
from longstep.run.phases import below, refusal, refuse_names, written_out
from longstep.wording import got
from longstep.yaml12 import KeyPath

ARMS = "arms"


def spread(located: Located) -> Located:
    """A recipe in which no stage has ``arms:``; every value keeps its file and line.

    Raises:
        UserError: arms that are no stages, or references to the stage that they take the place of.
    """
    arms: dict[str, list[str]] = {}

    def several(located: Located, name: str) -> list[tuple[str, Located]]:
        found = list(_arms(located, name))
        arms[name] = [each for each, _ in found]
        return found

    def clash(name: str, each: str) -> str:
        return f"is an arm of {name}, too; rename one of the two"

    found = written_out(located, ARMS, several, clash)
    return _all_named(found, arms) if arms else found


def _arms(located: Located, name: str) -> Iterator[tuple[str, Located]]:
    """The stages that a stage's arms are, by name."""
    entry, place = located.data["stages"][name], ("stages", name, ARMS)
    arms = entry[ARMS]
    if not isinstance(arms, dict) or not arms:
        why = f"expected at least one 'name: {{settings}}', got {got(arms)}"
        raise refusal(located, place, why)
    refuse_names(located, place, [*arms], "arm")
    whole = below(located, place[:-1])
    common = replace(whole, data={key: each for key, each in entry.items() if key != ARMS})
    for arm, settings in arms.items():
        if not isinstance(settings, dict):
            why = f"expected the settings of an arm, got {got(settings)}; write {{}} for none"
            raise refusal(located, (*place, arm), why)
        for key in {"kind", ARMS} & settings.keys():
            raise refusal(
                located, (*place, arm, key), "arms are all of the stage's kind; leave it out"
            )
        yield f"{name}-{arm}", overlay(common, below(located, (*place, arm)))


def _all_named(located: Located, arms: Mapping[str, list[str]]) -> Located:
    """Write ``"rl-*": "@rl-*"`` out, and refuse references to a stage that is arms now."""
    origins = dict(located.origins)

    def replaced(node: Any, path: KeyPath) -> Any:
        if isinstance(node, list):
            return [replaced(each, (*path, place)) for place, each in enumerate(node)]
        if not isinstance(node, dict):
            if isinstance(node, str) and node.startswith("@") and node[1:] in arms:
                names = ", ".join(f"@{each}" for each in arms[node[1:]])
                raise refusal(located, path, f"{node} is several arms; name one of {names}")
            return node
        made: dict[Any, Any] = {}
        for key, value in node.items():
            whole = _starred(located, (*path, key), key, value, arms)
            for name in whole:
                made[name] = f"@{name}"
                _copy(origins, (*path, key), (*path, name))
            if not whole:
                made[key] = replaced(value, (*path, key))
        return made

    stages = replaced(located.data["stages"], ("stages",))
    return replace(located, data={**located.data, "stages": stages}, origins=origins)


def _starred(
    located: Located, path: KeyPath, key: Any, value: Any, arms: Mapping[str, list[str]]
) -> list[str]:
    """The arms that an entry such as ``"rl-*": "@rl-*"`` stands for; none for any other entry."""
    if not (isinstance(value, str) and value.startswith("@") and value.endswith("-*")):
        return []
    name = value[1:-2]
    if name not in arms:
        known = ", ".join(arms)
        raise refusal(located, path, f"no stage {name!r} has arms (there are: {known})")
    if key != value[1:]:
        raise refusal(
            located, path, f"call it {value[1:]!r}, as each arm is called by its own name"
        )
    return arms[name]


def _copy(origins: dict[KeyPath, Origin], source: KeyPath, target: KeyPath) -> None:
    if source in origins:
        origins[target] = origins[source]
