"""Copy the two models of a finished tiny-base run into the package, with their training log and manifest."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from longstep.artifacts import verify_manifest, write_json
from longstep.models.load import SHIPPED, shipped_folder

RUN = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/tiny-base")

for stage, name in zip(("base", "rater"), SHIPPED, strict=True):
    manifest = verify_manifest(RUN / stage)
    target = shipped_folder(name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(RUN / stage / "out", target)
    (target / "training").mkdir()
    shutil.copy(RUN / stage / "metrics.jsonl", target / "training" / "metrics.jsonl")
    write_json(target / "training" / "manifest.json", {**manifest, "rebuild": "make tiny-base"})
