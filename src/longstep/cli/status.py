"""How far a run is, read from its folder: who holds it is told by its lock, the rest by what stages wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, read_manifest
from longstep.config import UserError
from longstep.context import PARTIAL
from longstep.disk import held
from longstep.progress import FILE as PROGRESS
from longstep.progress import clock

#: Narrow enough for 80 columns; ``--json`` has the rest. ``!`` counts health rules that fired.
COLUMNS = ("stage", "state", "how far", "last", "time", "!")
#: What a training stage's last metric line is told by, the first that it has.
_TOLD = ("reward", "loss")
_TAIL = 1 << 16
_BEGINS = ("started", "resumed")


def stage_rows(folder: Path) -> list[dict[str, Any]]:
    """One row per stage in order.

    ``state`` is ``done``, ``running``, ``interrupted`` (by Ctrl-C or a kill: the same command goes on), ``failed``
    or ``damaged`` (with ``error``) or ``not begun``; ``done``, ``total``, ``unit`` and ``left`` (seconds) say how far.

    Raises:
        UserError: the folder is not a run.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder}: not a run folder (no run.json)")
    facts = read_json(folder / "run.json")
    last, busy = _last_events(folder), _at_work(folder)
    return [_row(folder, facts, name, last.get(name, {}), name == busy) for name in facts["stages"]]


def status_table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as text, the header first."""
    return [list(COLUMNS), *map(_cells, rows)]


def sentences(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What went wrong, stage by stage."""
    for row in rows:
        if row["error"]:
            yield f"{row['stage']} {row['state']}: {row['error']}"
        for note in row["warnings"]:
            times = (
                f", {note['times']} times, the last at step {note['step']}"
                if note["times"] > 1
                else ""
            )
            yield f"{row['stage']} {note['level']}: {note['rule']}{times}: {note['cause']}"


def is_running(rows: list[dict[str, Any]]) -> bool:
    """Whether a stage is at work."""
    return any(row["state"] == "running" for row in rows)


def _row(
    folder: Path, facts: Mapping[str, Any], name: str, event: Mapping[str, Any], busy: bool
) -> dict[str, Any]:
    manifest, damage = _manifest(folder / name)
    begun = (folder / name / "config.json").is_file()
    failed = event.get("event") == "failed"
    state = (
        "damaged" if damage else "done" if manifest else "running" if busy else "failed" if failed
        else "interrupted" if begun else "not begun"
    )  # fmt: skip
    cost = manifest["cost"] if manifest else {}
    return {
        "stage": name,
        "makes": facts.get("makes", {}).get(name, ""),  # a folder of an older version does not say
        "kind": facts["recipe"]["stages"][name]["kind"],
        "state": state,
        "error": damage or (event.get("error", "") if state == "failed" else ""),
        **_headway(folder / name, running=state == "running"),
        "metrics": _last_metrics(folder / name / "metrics.jsonl"),
        "warnings": list(_warnings(folder / name / "health.jsonl")),
        "seconds": cost.get("seconds"),
        "tokens trained": cost.get("tokens_trained"),
        "tokens generated": cost.get("tokens_generated"),
    }


def _manifest(stage: Path) -> tuple[dict[str, Any] | None, str]:
    """The manifest of a finished stage, or what is wrong with it."""
    try:
        return read_manifest(stage), ""
    except UserError as error:
        return None, str(error)


def _headway(stage: Path, running: bool) -> dict[str, Any]:
    """How far the present piece of a stage's work is, and how many seconds it will take at the speed so far."""
    path = stage / PARTIAL / PROGRESS
    found = read_json(path) if path.is_file() else {}
    keys = ("label", "done", "total", "unit")
    headway = {key: found.get(key) for key in keys}
    speed = found.get("speed") or 0.0
    left = (found["total"] - found["done"]) / speed if running and speed > 0 else None
    return {**headway, "left": left}


def _last_events(folder: Path) -> dict[str, dict[str, Any]]:
    """The last thing that the run recorded of each stage's beginning and end."""
    found: dict[str, dict[str, Any]] = {}
    for row in _lines(folder / "events.jsonl"):
        if row.get("event") in (*_BEGINS, "interrupted", "failed", "finished"):
            found[str(row.get("stage"))] = row
    return found


def _at_work(folder: Path) -> str | None:
    """The stage that a living process works on."""
    if not held(folder):
        return None
    name = None
    for row in _lines(folder / "events.jsonl"):
        if row.get("event") in _BEGINS:
            name = str(row.get("stage"))
    return name


def _warnings(path: Path) -> Iterator[dict[str, Any]]:
    """Each rule that fired: how often, and what it said last; notes are no warnings."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _lines(path):
        if row.get("level") != "note":
            key = str(row.get("level")), str(row.get("rule"))
            times = found.get(key, {}).get("times", 0) + 1
            shown = {each: row.get(each) for each in ("level", "rule", "cause", "step")}
            found[key] = {**shown, "times": times}
    yield from found.values()


def _last_metrics(path: Path) -> dict[str, float]:
    """The numbers of the last whole line; the file may be longer than memory."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        whole = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
    row = _parsed(whole[-1]) if whole else {}
    return {key: value for key, value in row.items() if isinstance(value, int | float)}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        with path.open("rb") as file:
            yield from map(_parsed, file)


def _parsed(line: bytes) -> dict[str, Any]:
    """One line; a torn one, which a later process will cut off, is nothing."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _cells(row: Mapping[str, Any]) -> list[str]:
    far = "" if row["done"] is None else f"{row['done']:,}/{row['total']:,} {row['unit']}"
    told = next((name for name in _TOLD if name in row["metrics"]), None)
    time = "" if row["left"] is None else f"{clock(row['left'])} left"
    return [
        row["stage"],
        row["state"],
        far if row["label"] in (None, row["stage"]) else f"{row['label']} {far}",
        "" if told is None else f"{told} {row['metrics'][told]:.3g}",
        time if row["seconds"] is None else clock(row["seconds"]),
        str(len(row["warnings"]) or ""),
    ]
