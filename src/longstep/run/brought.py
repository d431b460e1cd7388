"""A recipe made in memory of somebody's data and somebody's model: what ``longstep sft --data FILE --model M`` runs.

Traces for ``sft``, pairs for ``prefer``, problems with keys for ``rl``.

It is a recipe like any other: ``run.json`` of its folder holds it whole, every setting can be overridden, and a killed
run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstep.config import Located, UserError, overlay, override
from longstep.jobs.merged import COMPLETIONS, PAIRS, PROBLEMS
from longstep.jobs.words import stem, table


def _published(kind: str) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """A stage that reads a data set as it was published."""
    return lambda data, reading: {"kind": kind, "data": data, **reading}


def _keyed(data: str, reading: Mapping[str, Any]) -> dict[str, Any]:
    """A stage that takes problems, without those that nobody could be judged by."""
    filters = [{"kind": "has_answer"}, {"kind": "verifiable_gold"}]
    return {"kind": "curate", "sources": [{**table(data), **reading}], "filters": filters}


#: How long is trained is said by one of them.
_LENGTHS = ("steps", "epochs")


@dataclass(frozen=True)
class DataReader:
    """How a trainer's data are read: the name of a stage, its settings, and the file that such a stage makes."""

    stage: str
    reads: Callable[[str, Mapping[str, Any]], dict[str, Any]]
    makes: str
    #: What the trainer is given where the user says nothing; printed, because it is a guess about the method.
    defaults: Mapping[str, Any]


READERS: Mapping[str, DataReader] = {
    "sft": DataReader(
        "traces",
        _published("traces"),
        COMPLETIONS,
        {
            "epochs": 3,
            "max_length": 16384,
            "micro_batch": 1,
            "optimizer": {"kind": "adamw", "lr": 1e-5},
        },
    ),
    "rl": DataReader(
        "problems",
        _keyed,
        PROBLEMS,
        {
            "algorithm": {"kind": "grpo"},
            "steps": 100,
            "batch": 128,
            "max_tokens": 4096,
            "max_length": 8192,
            "micro_batch": 1,
            "optimizer": {"kind": "adamw", "lr": 1e-6},
        },
    ),
    "prefer": DataReader(
        "pairs",
        _published("pairs"),
        PAIRS,
        {
            "epochs": 1,
            "batch": 8,
            "max_length": 16384,
            "micro_batch": 1,
            "optimizer": {"kind": "adamw", "lr": 5e-7},
        },
    ),
}


@dataclass(frozen=True)
class Brought:
    """What a user brings.

    Attributes:
        data: a published data set or a file of problems, or the folder of an artifact that a stage made of one.
        model: a shipped name, a folder or a hub id; ``None`` where the settings name one.
        settings: of the trainer, from a file.
        overrides: ``key=value`` of the trainer, ``traces.key=value``, ``pairs.key=value`` or ``problems.key=value`` of
            the reading stage, ``base.key=value`` of the model's.
        reading: how rows are read, as options gave it.
    """

    data: str
    model: str | None = None
    settings: Located = field(default_factory=lambda: Located({}))
    overrides: Sequence[str] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)


def brought_recipe(kind: str, brought: Brought) -> Located:
    """The recipe that trains a model on data.

    Raises:
        UserError: no model is named, an override cannot be read, or rows are to be read again.
    """
    reader = READERS[kind]
    ready = Path(brought.data, reader.makes).is_file()
    if ready and brought.reading:
        raise UserError(
            f"{kind} --data {brought.data}: its rows were read and judged by an earlier stage; leave out "
            f"{', '.join(f'--{name}' for name in brought.reading)}"
        )
    lengths = {name: reader.defaults[name] for name in _LENGTHS if name in reader.defaults}
    trainer: dict[str, Any] = {"kind": kind}
    trainer |= {name: value for name, value in reader.defaults.items() if name not in lengths}
    model = brought.model or brought.settings.data.get("model")
    if model is None:
        raise UserError(f"{kind} --data: needs --model: a shipped name, a folder or a hub id")
    stages: dict[str, Any] = {
        "base": {"kind": "checkpoint", "path": model},
        **({} if ready else {reader.stage: reader.reads(brought.data, brought.reading)}),
        kind: trainer,
    }
    recipe = Located({"name": name_of(kind, brought.data), "stages": stages})
    origins = {("stages", kind, *path): at for path, at in brought.settings.origins.items()}
    recipe = overlay(recipe, Located({"stages": {kind: brought.settings.data}}, origins))
    for assignment in brought.overrides:
        recipe = override(recipe, _placed(assignment, kind, stages))
    data = brought.data if ready else f"@{reader.stage}"
    chosen = {**recipe.data["stages"][kind], "model": "@base", "data": data}
    if all(chosen.get(name) is None for name in _LENGTHS):
        chosen |= lengths
    return Located(
        {**recipe.data, "stages": {**recipe.data["stages"], kind: chosen}}, recipe.origins
    )


def name_of(kind: str, data: str) -> str:
    """How the recipe is called, and its run folder: after the trainer and the data."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in stem(data))
    return f"{kind}-{plain.strip('-') or 'data'}"


def _placed(assignment: str, kind: str, stages: Mapping[str, Any]) -> str:
    first = assignment.partition("=")[0].partition(".")[0].strip()
    if first in ("stages", "seed", "plan", "launch"):
        return assignment
    return f"stages.{assignment}" if first in stages else f"stages.{kind}.{assignment}"
