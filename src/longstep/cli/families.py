"""The families of longstep as tables: every member, what it is, its defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

from longstep.config import Strict, UserError, json_schema, nearest
from longstep.contrast.targets import AnyPositions, AnyTarget
from longstep.curate import AnyContamination, AnyFilter, AnyPairing, AnySelection
from longstep.curate.edits import AnyEdit
from longstep.curriculum import AnyCurriculum
from longstep.curriculum.gates import AnyGate
from longstep.curriculum.guides import AnyGuide
from longstep.curriculum.until import AnyUntil
from longstep.draw.samplers import AnyEngine
from longstep.evaluate import BENCHMARKS, REDUCERS
from longstep.losses import AnyAlgorithm, AnyPreferenceLoss
from longstep.losses.bonuses import AnyBonus
from longstep.losses.corrections import AnyCorrection
from longstep.losses.penalties import AnyPenalty
from longstep.losses.rewards import AnyReward
from longstep.losses.values import AnyValueLoss
from longstep.merge import AnyMerge
from longstep.optimizers import AnyOptimizer
from longstep.problems import AnySource
from longstep.run.phases import described
from longstep.run.recipe import RECIPE_FILE, Recipe, known_recipes, sizes_of
from longstep.scaling import AnyStrategy
from longstep.scaling.picks import AnyPick
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.toolbox import AnyTool
from longstep.stages import AnyStage
from longstep.verify import VERIFIERS


def _members(union: Any) -> list[type[Strict]]:
    inner = get_args(union)[0]
    return list(get_args(inner)) or [inner]


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _config_rows(union: Any) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for member in _members(union):
        fields = {k: f for k, f in member.model_fields.items() if k != "kind"}
        known = {
            k: f.get_default(call_default_factory=True)
            for k, f in fields.items()
            if not f.is_required()
        }
        needed = [k for k, f in fields.items() if f.is_required()]
        text = ", ".join(
            [*(f"{k} (needed)" for k in needed), *(f"{k}={_plain(v)}" for k, v in known.items())]
        )
        rows.append(
            {
                "kind": str(member.model_fields["kind"].default),
                "what": _first_line(member),
                "defaults": text,
            }
        )
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, Strict):
        value = value.model_dump(mode="json")
    return json.dumps(value, default=str)


def _table_rows(table: Any) -> list[dict[str, str]]:
    return [
        {"kind": name, "what": _first_line(member), "defaults": ""}
        for name, member in table.items()
    ]


def _benchmark_rows() -> list[dict[str, str]]:
    return [
        {
            "kind": name,
            "what": b.note or json.dumps(b.source.model_dump(mode="json", exclude_unset=True)),
            "defaults": f"avg@{b.samples}, T={b.temperature}",
        }
        for name, b in BENCHMARKS.items()
    ]


def _recipe_rows() -> list[dict[str, str]]:
    return [
        {
            "kind": name,
            "what": _about(folder / RECIPE_FILE),
            "defaults": ", ".join(f"--size {size}" for size in sizes_of(folder)),
        }
        for name, folder in known_recipes().items()
    ]


def _about(recipe: Path) -> str:
    """The first sentence of the comment at the top of a recipe."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    return re.split(r"(?<=\.)\s", " ".join(line.lstrip("# ") for line in comment))[0]


FAMILIES: dict[str, Callable[[], list[dict[str, str]]]] = {
    "benchmarks": _benchmark_rows,
    "bonuses": lambda: _config_rows(AnyBonus),
    "contamination": lambda: _config_rows(AnyContamination),
    "corrections": lambda: _config_rows(AnyCorrection),
    "curricula": lambda: _config_rows(AnyCurriculum),
    "edits": lambda: _config_rows(AnyEdit),
    "engines": lambda: _config_rows(AnyEngine),
    "filters": lambda: _config_rows(AnyFilter),
    "gates": lambda: _config_rows(AnyGate),
    "guides": lambda: _config_rows(AnyGuide),
    "losses": lambda: [*_config_rows(AnyAlgorithm), *_config_rows(AnyPreferenceLoss)],
    "merges": lambda: _config_rows(AnyMerge),
    "optimizers": lambda: _config_rows(AnyOptimizer),
    "pairings": lambda: _config_rows(AnyPairing),
    "penalties": lambda: _config_rows(AnyPenalty),
    "picks": lambda: _config_rows(AnyPick),
    "positions": lambda: _config_rows(AnyPositions),
    "recipes": _recipe_rows,
    "reducers": lambda: _table_rows(REDUCERS),
    "rewards": lambda: _config_rows(AnyReward),
    "scorers": lambda: _config_rows(AnyScorer),
    "selections": lambda: _config_rows(AnySelection),
    "sources": lambda: _config_rows(AnySource),
    "stages": lambda: _config_rows(AnyStage),
    "strategies": lambda: _config_rows(AnyStrategy),
    "targets": lambda: _config_rows(AnyTarget),
    "tools": lambda: _config_rows(AnyTool),
    "until": lambda: _config_rows(AnyUntil),
    "values": lambda: _config_rows(AnyValueLoss),
    "verifiers": lambda: _table_rows(VERIFIERS),
}


def family_rows(family: str) -> list[dict[str, str]]:
    """One row per member.

    Raises:
        UserError: no such family.
    """
    if family not in FAMILIES:
        close = nearest(family, FAMILIES)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UserError(
            f"no family is called {family!r}{hint} (there are: {', '.join(FAMILIES)}, schema)"
        )
    return FAMILIES[family]()


def stage_verbs() -> dict[str, str]:
    """Every stage kind with a line about it; those that have better verbs of their own are left out."""
    return {
        row["kind"]: row["what"]
        for row in _config_rows(AnyStage)
        if row["kind"] not in ("checkpoint", "scale")
    }


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of a recipe file, for editors."""
    return described(json_schema(Recipe))
