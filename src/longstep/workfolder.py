"""What the folders of stages and of data jobs have in common: what they were begun with, and how they are sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longstep.artifacts import (
    read_manifest,
    sha256_file,
    write_manifest,
)
from longstep.config import UserError


def differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``path: before -> after`` for every leaf that differs."""
    found: list[str] = []
    for key in sorted(then.keys() | now.keys()):
        before, after = then.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found.extend(differences(before, after, f"{prefix}{key}."))
        else:
            found.append(f"{prefix}{key}: {_short(before)} -> {_short(after)}")
    return found


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_sealed(out: Path) -> None:
    """Refuse to score files that are not those the stage wrote; an exported evaluation has nothing to compare with.

    ``results.json`` may be missing or old: it is about to be written again.
    """
    manifest = read_manifest(out.parent)
    for name, entry in (manifest["files"] if manifest else {}).items():
        path = out / name
        if name != "results.json" and (not path.is_file() or sha256_file(path) != entry["sha256"]):
            raise UserError(
                f"{path}: is not the file the stage wrote; restore it, or score a copy without manifest.json"
            )


def reseal(out: Path) -> None:
    """Write a finished stage's manifest again after its results were scored anew, keeping what it cost.

    A folder that is not inside of a stage (an exported evaluation) has no manifest to keep.
    """
    manifest = read_manifest(out.parent)
    if manifest is not None:
        facts = {key: value for key, value in manifest.items() if key not in ("files", "content")}
        write_manifest(out.parent, **facts)
