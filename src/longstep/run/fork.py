"""A new run beside an old one, from the stages that still hold."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

from longstep.artifacts import MANIFEST, read_json, read_manifest, verify_manifest, write_json
from longstep.config import UserError
from longstep.context import CHECKPOINTS
from longstep.disk import locked
from longstep.run.runner import CONFIG, Run, parts
from longstep.workfolder import differences

#: Two names for one file are refused across file systems, and by some that have no such thing.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


def fork(run: Run) -> Run:
    """A new run beside this one, with every stage whose config, seed and inputs still match.

    Code may differ: that is what a fork is for; the manifest says which folder a stage came from. A finished stage is
    kept; an unfinished one goes on from where it is, unless a process is at work on it.
    """
    target = _beside(run.folder)
    forked = replace(run, folder=target)
    for name in run.recipe.order():
        source = run.work(name)
        if not source.begun() or any(
            read_manifest(target / needed) is None for needed in run.recipe.inputs(name)
        ):
            continue
        then, now = source.facts()["parts"], parts(forked, name)
        if differences({**then, "code": ""}, {**now, "code": ""}):
            continue
        if read_manifest(source.path) is None:
            _continue(run, forked, name)
            continue
        manifest = verify_manifest(source.path)
        _keep(source.path, target / name, linked=("out",))
        record = {**source.facts(), "parts": now}
        write_json(target / name / CONFIG, record)
        write_json(target / name / MANIFEST, {**manifest, "copied_from": str(source.path)})
        run.say(f"{name:<12} kept from {source.path}")
    return forked


def _beside(folder: Path) -> Path:
    """The first free one of ``<folder>.2``, ``<folder>.3``, ..., made."""
    number = 2
    while True:
        target = folder.with_name(f"{folder.name}.{number}")
        try:
            target.mkdir(parents=True)
            return target
        except FileExistsError:
            number += 1


def _continue(run: Run, forked: Run, name: str) -> None:
    """Take over unfinished work. Its logs are appended to and are copied; sealed checkpoints are only ever read."""
    source, target = run.stage_folder(name), forked.stage_folder(name)
    try:
        with locked(run.folder):
            _keep(source, target, linked=(CHECKPOINTS,))
    except UserError as error:
        run.say(f"{name:<12} not continued: {error}")
        return
    record = {**read_json(source / CONFIG), "parts": parts(forked, name)}
    write_json(target / CONFIG, {**record, "continued_from": str(source)})
    run.say(f"{name:<12} goes on from {source}")


def _keep(source: Path, target: Path, linked: tuple[str, ...]) -> None:
    """Copy a stage; files below ``linked`` become second names of the same files, for nothing writes into these.

    Whatever replaces one of them writes beside it and renames, so the other run never sees it. Logs may be reopened.
    """
    for path in sorted(source.iterdir()):
        place = target / path.name
        if not path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        else:
            shutil.copytree(
                path, place, copy_function=_link if path.name in linked else shutil.copy2
            )


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, target)
