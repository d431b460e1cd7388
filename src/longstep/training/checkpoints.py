"""Training checkpoints that can be trusted: each carries a manifest, written last, of every file's hash.

The trainer's own code writes a checkpoint file by file; until the manifest is there the folder is only debris, and
a manifest that does not verify makes it debris again. So "latest" is always whole, whatever moment a kill chose.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.artifacts import MANIFEST, hash_folder, read_json, write_json
from longstep.config import UserError

PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Side:
    """State beside the trainer's own that a checkpoint must carry, JSON-ready."""

    state: Callable[[], dict[str, Any]]
    restore: Callable[[dict[str, Any]], None]


def seal(checkpoint: Path) -> None:
    """Write the manifest of a complete checkpoint: its last file."""
    write_json(checkpoint / MANIFEST, {"files": hash_folder(checkpoint)})


def verified(checkpoint: Path) -> bool:
    """Whether a checkpoint is whole: sealed, and every file as it was."""
    if not (checkpoint / MANIFEST).is_file():
        return False
    files = {name: entry for name, entry in hash_folder(checkpoint).items() if name != MANIFEST}
    try:
        return read_json(checkpoint / MANIFEST) == {"files": files}
    except UserError:  # the manifest itself is damaged
        return False


def step_of(checkpoint: Path) -> int:
    """The optimiser step a checkpoint was taken after."""
    return int(checkpoint.name.removeprefix(PREFIX))


def latest(folder: Path) -> Path | None:
    """The newest verified checkpoint; everything newer or broken is removed, so that nothing picks it up."""
    if not folder.is_dir():
        return None
    newest_first = sorted(
        (path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()),
        key=step_of,
        reverse=True,
    )
    for checkpoint in newest_first:
        if verified(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None
