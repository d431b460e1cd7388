"""How far a run is, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, read_manifest
from longstep.config import UserError


def stage_rows(folder: Path) -> list[dict[str, Any]]:
    """One row per stage in order: state, cost.

    Raises:
        UserError: the folder is not a run.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder}: not a run folder (no run.json)")
    facts = read_json(folder / "run.json")
    rows: list[dict[str, Any]] = []
    for name in facts["stages"]:
        manifest = read_manifest(folder / name)
        begun = (folder / name / "config.json").is_file()
        state = "finished" if manifest else "unfinished" if begun else "not begun"
        cost = manifest["cost"] if manifest else {}
        rows.append(
            {
                "stage": name,
                "makes": facts.get("makes", {}).get(
                    name, ""
                ),  # a folder of an older version does not say
                "kind": facts["recipe"]["stages"][name]["kind"],
                "state": state,
                "seconds": cost.get("seconds"),
                "tokens trained": cost.get("tokens_trained"),
                "tokens generated": cost.get("tokens_generated"),
            }
        )
    return rows
