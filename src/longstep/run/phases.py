"""``phases:`` of a stage written out, before a recipe is checked: a chain of stages.

    rl: {kind: rl, model: "@sft", max_tokens: 8192, phases: {8k: {steps: 100}, 16k: {max_tokens: 16384}}}

is the stages ``rl-8k`` and ``rl``: the last phase has the plain name, so ``@rl``, ``--only rl`` and ``rl`` in a plan
are what they are without phases. Each starts from the model of the one before and has the stage's settings, with those
of its phase laid over them as an overlay would. Overlays and overrides come first, so they may change a single phase:
``stages.rl.phases.8k.steps=10``.

A phase is a stage of its own, so its optimiser, warm-up and schedule begin anew, as ProRL sets them back. In ``rl``,
``optimizer_state: carried`` takes the optimiser's state over from the phase before, which then keeps it; the first
phase has nothing to take over. What model a penalty compares with is a setting, ``reference``: ``phase`` (what the
phase starts from; also without the setting), ``start`` (what the first phase starts from), or a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from longstep.config import Located, UserError, overlay
from longstep.wording import dotted, got
from longstep.yaml12 import KeyPath

PHASES = "phases"
#: Settings that make the chain, so no phase has one of its own.
_CHAINED = {
    "kind": "the phases of a stage are all of its kind",
    "model": "a phase starts from the model of the one before",
    PHASES: "a phase has no phases; make it several",
}


#: Whether a phase goes on with the optimiser of the one before.
_STATE = "optimizer_state"


def expanded(located: Located) -> Located:
    """A recipe in which no stage has ``phases:``; every value keeps its file and line.

    Raises:
        UserError: phases that make no chain.
    """

    def clash(name: str, each: str) -> str:
        phase = f"stages.{name}.{PHASES}.{each.removeprefix(f'{name}-')}"
        return f"is a phase of {name}; set {phase}, or rename one"

    return written_out(located, PHASES, _chain, clash)


def written_out(
    located: Located,
    key: str,
    several: Callable[[Located, str], Iterable[tuple[str, Located]]],
    clash: Callable[[str, str], str],
) -> Located:
    """A recipe in which each stage that has ``key`` is the stages it stands for; every value keeps its file and line.

    Args:
        located: the recipe, not checked yet.
        key: of the stages that are written out.
        several: the stages that the stage of this name stands for, by name.
        clash: what is said where a stage has the name of one of them; given the stage's name and that one.
    """
    stages = located.data.get("stages")
    if not isinstance(stages, dict):
        return located  # the recipe's own check says so
    made: dict[str, Any] = {}
    origins = {path: found for path, found in located.origins.items() if path[:1] != ("stages",)}
    for name, entry in stages.items():
        stands = isinstance(entry, dict) and key in entry
        all_ = several(located, name) if stands else [(name, below(located, ("stages", name)))]
        for each, stage in all_:
            if each != name and each in stages:
                raise refusal(located, ("stages", each), clash(name, each))
            made[each] = stage.data
            origins |= {("stages", each, *path): found for path, found in stage.origins.items()}
    return replace(located, data={**located.data, "stages": made}, origins=origins)


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a recipe as it is written: ``arms``, and ``phases`` where a stage starts from a model."""
    settings = {"type": "object", "additionalProperties": {"type": "object"}, "minProperties": 1}
    stage = schema["properties"]["stages"]["additionalProperties"]
    for reference in stage["discriminator"]["mapping"].values():
        properties = schema["$defs"][reference.rpartition("/")[2]]["properties"]
        properties["arms"] = {"title": "Arms", **settings}
        if "model" in properties:
            properties[PHASES] = {"title": "Phases", **settings}
    return schema


def _chain(located: Located, name: str) -> Iterator[tuple[str, Located]]:
    """The stages that a stage's phases are, by name."""
    entry, place = located.data["stages"][name], ("stages", name, PHASES)
    phases = entry[PHASES]
    if not isinstance(phases, dict) or not phases:
        raise refusal(
            located, place, f"expected at least one 'name: {{settings}}', got {got(phases)}"
        )
    start = entry.get("model")
    if not isinstance(start, str):
        raise refusal(
            located,
            place,
            "each phase starts from the model of the one before, and the stage names no model",
        )
    refuse_names(located, place, [*phases])
    whole = below(located, place[:-1])
    common = replace(whole, data={key: each for key, each in entry.items() if key != PHASES})
    for phase, settings in phases.items():
        _refuse(located, (*place, phase), settings)
    stages = [overlay(common, below(located, (*place, phase))) for phase in phases]
    before = start
    for number, (phase, stage) in enumerate(zip(phases, stages, strict=True), 1):
        data = _linked(stage.data, start, before)
        if number < len(stages) and stages[number].data.get(_STATE) == "carried":
            data["keep_optimizer"] = True
        yield f"{name}-{phase}" if number < len(phases) else name, replace(stage, data=data)
        before = f"@{name}-{phase}"


def refuse_names(
    located: Located, place: KeyPath, names: Sequence[str], what: str = "phase"
) -> None:
    """A phase that somebody misspelt would be one more phase."""
    seen: dict[str, str] = {}
    written = _has_line(located, place)
    for name in names:
        if written and not _has_line(located, (*place, name)):  # from the command line alone
            others = ", ".join(each for each in names if each != name)
            raise refusal(
                located, (*place, name), f"no {what} is called that (there are: {others})"
            )
        plain = re.sub(r"[\W_]", "", name).casefold()
        if (other := seen.setdefault(plain, name)) != name:
            raise refusal(located, (*place, name), f"is {other!r} spelt otherwise; write that")


def _refuse(located: Located, place: KeyPath, settings: Any) -> None:
    if not isinstance(settings, dict):
        raise refusal(
            located,
            place,
            f"expected the settings of a phase, got {got(settings)}; write {{}} for none",
        )
    for key, why in _CHAINED.items():
        if key in settings:
            raise refusal(located, (*place, key), f"{why}; leave it out")


def _linked(stage: dict[str, Any], start: str, before: str) -> dict[str, Any]:
    """A phase's settings with the models that its place in the chain gives it."""
    linked = {**stage, "model": before}
    by = stage.get("by")
    if isinstance(by, dict) and by.get("model") == start:  # a copy that draws, of the same model
        linked["by"] = {**by, "model": before}
    # Also where that is the model itself: as null it would not be refused beside a method without a penalty.
    if stage.get("reference") in ("phase", "start"):
        linked["reference"] = before if stage["reference"] == "phase" else start
    if before == start and stage.get(_STATE) == "carried":
        linked[_STATE] = "fresh"
    return linked


def below(located: Located, place: KeyPath) -> Located:
    """A part of a recipe by itself, with its origins."""
    node: Any = located.data
    for key in place:
        node = node[key]
    depth = len(place)
    found = {path[depth:]: o for path, o in located.origins.items() if path[:depth] == place}
    return Located(node, found)


def _has_line(located: Located, place: KeyPath) -> bool:
    origin = located.origin(place)
    return origin is not None and origin.line is not None


def refusal(located: Located, place: KeyPath, why: str) -> UserError:
    """A complaint with its file and line, for a recipe that is not checked yet."""
    origin = located.origin(place)
    return UserError(f"{f'{origin}: ' if origin else ''}{dotted(place)}: {why}")
