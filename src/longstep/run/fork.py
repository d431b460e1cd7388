"""A new run beside an old one, from the stages that still hold."""

from __future__ import annotations

import shutil
from pathlib import Path

from longstep.artifacts import (
    MANIFEST,
    read_json,
    read_manifest,
    verify_manifest,
    write_json,
)
from longstep.run.runner import CONFIG, Run, _begun_with, parts


def fork(run: Run) -> Run:
    """A new run beside this one, holding every finished stage whose config, seed and inputs still match.

    Code may differ: that is what a fork is for; the manifest of a copied stage names the folder it came from.
    """
    number = 2
    while (target := run.folder.with_name(f"{run.folder.name}.{number}")).exists():
        number += 1
    forked = Run(run.recipe, run.located, target, run.say)
    target.mkdir(parents=True)
    for name in run.recipe.order():
        source = run.stage_folder(name)
        if any(not (target / needed).is_dir() for needed in run.recipe.inputs(name)):
            continue
        if read_manifest(source) is None or not _same_but_code(source, forked, name):
            continue
        manifest = verify_manifest(source)
        shutil.copytree(source, target / name)
        config = read_json(source / CONFIG)
        write_json(target / name / CONFIG, {**config, "parts": parts(forked, name)})
        write_json(target / name / MANIFEST, {**manifest, "copied_from": str(source)})
        run.say(f"{name:<12} copied from {source}")
    return forked


def _same_but_code(source: Path, forked: Run, name: str) -> bool:
    then, now = _begun_with(source), parts(forked, name)
    return {**then, "code": ""} == {**now, "code": ""}
