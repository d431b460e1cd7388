"""Runs a recipe in a folder: skip what is finished, continue what is not, refuse what changed.

runs/<name>/run.json, events.jsonl, run.lock, report.html, and one folder per stage with ``config.json`` (written
first), logs and checkpoints, ``out/`` (the artifact), ``blocks.json`` (what the report shows of it) and
``manifest.json`` (written last).
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import longstep
from longstep.artifacts import (
    AppendLog,
    content_hash,
    hash_folder,
    read_json,
    read_manifest,
    sha256_file,
    sha256_json,
    verify_manifest,
    write_json,
    write_manifest,
)
from longstep.config import Located, UserError, dump, provenance
from longstep.context import CHECKPOINTS, PARTIAL, Context
from longstep.disk import disk_errors, locked
from longstep.progress import Progress
from longstep.report.blocks import write_blocks
from longstep.run.recipe import Recipe
from longstep.training.ranks import from_main, joined, rank, sharded, world
from longstep.workfolder import differences

CONFIG = "config.json"


@dataclass(frozen=True)
class Run:
    """One recipe in one folder."""

    recipe: Recipe
    located: Located
    folder: Path
    say: Callable[[str], None]

    def stage_folder(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name


@cache
def code_version() -> str:
    """Hash of the package's own source and shipped weights: an artifact made by others is another artifact."""
    root = Path(longstep.__file__).parent
    files = sorted([*root.rglob("*.py"), *root.glob("data/*/*.safetensors")])
    return sha256_json({str(path.relative_to(root)): sha256_file(path) for path in files})[:16]


def execute(run: Run, only: Sequence[str] = ()) -> list[str]:
    """Run every stage that is not finished; returns the names of the stages that ran.

    Each process of a launcher calls this. The first does everything; the others take part in stages that run together.

    Raises:
        UserError: a stage refused its input, or the folder belongs to another configuration.
    """
    names = run.recipe.needed_for(only) if only else run.recipe.order()
    with joined():
        if rank() > 0:
            return _follow(run)
        ran = _lead(run, names)
        from_main(_nothing)
    return ran


def _lead(run: Run, names: Sequence[str]) -> list[str]:
    ran: list[str] = []
    with locked(run.folder), disk_errors(run.folder):
        for name in run.recipe.order():  # before anything is written or spent
            _refuse_change(run, name, _own_parts(run, name))
        _refuse_processes(run, names)
        _write_run_file(run)
        with closing(AppendLog(run.folder / "events.jsonl")) as events:
            for name in names:
                made = parts(run, name)  # hashes inputs from outside, so only once
                if _is_finished(run, name, made):
                    _clean(run.stage_folder(name))
                    run.say(f"{name:<12} finished, verified, skipped")
                    continue
                _run_stage(run, name, made, events)
                ran.append(name)
    return ran


def _follow(run: Run) -> list[str]:
    """Take part in each stage that process 0 tells of; what is written on the way is thrown away."""
    ran: list[str] = []
    while (told := from_main(_nothing)) is not None:
        name, folder = told
        with TemporaryDirectory(prefix="longstep-") as scratch:
            context = replace(
                _context(replace(run, folder=folder), name),
                folder=Path(scratch),
                progress=lambda label, total, unit: Progress(label, total, unit, lambda line: None),
            )
            run.recipe.stages[name].run(context)
        ran.append(name)
    return ran


def _nothing() -> tuple[str, Path] | None:
    """What process 0 tells the others when no stage is left."""
    return None


def _refuse_processes(run: Run, names: Sequence[str]) -> None:
    for name in names:
        stage = run.recipe.stages[name]
        if world() > 1 and read_manifest(run.stage_folder(name)) is None:
            for complaint in stage.refusals(world(), sharded()):
                raise UserError(f"stage {name}: {complaint}")


def _write_run_file(run: Run) -> None:
    facts = {
        "name": run.recipe.name,
        "seed": run.recipe.seed,
        "version": longstep.__version__,
        "code": code_version(),
        "differs": list(run.recipe.differs_from_paper),
        "stages": run.recipe.order(),
        "makes": {name: stage.produces for name, stage in run.recipe.stages.items()},
        "recipe": dump(run.recipe),
    }
    write_json(run.folder / "run.json", facts)


def parts(run: Run, name: str) -> dict[str, Any]:
    """What a stage's result depends on: its config, seed, inputs' content and our code."""
    stage = run.recipe.stages[name]
    inputs: dict[str, str] = {}
    for reference, _ in stage.references():
        if reference.startswith("@"):
            manifest = read_manifest(run.stage_folder(reference[1:]))
            assert manifest is not None, f"{reference} must be finished first"
            inputs[reference] = manifest["content"]
        elif Path(reference).exists():
            inputs[reference] = _external(Path(reference))
    return {**_own_parts(run, name), "inputs": inputs}


def _own_parts(run: Run, name: str) -> dict[str, Any]:
    """The parts that are known before anything ran."""
    config = dump(run.recipe.stages[name])
    return {"config": config, "seed": run.recipe.seed, "code": code_version()}


def _external(path: Path) -> str:
    if path.is_dir():
        return content_hash(hash_folder(path))
    return sha256_file(path)


def _is_finished(run: Run, name: str, made: Mapping[str, Any]) -> bool:
    """Whether a stage is done under the present configuration.

    Raises:
        UserError: it was begun or finished under another one, or its files changed since.
    """
    folder = run.stage_folder(name)
    if not (folder / CONFIG).is_file():
        return False
    _refuse_change(run, name, made)
    if read_manifest(folder) is None:
        return False
    verify_manifest(folder)
    return True


def _refuse_change(run: Run, name: str, now: Mapping[str, Any]) -> None:
    """Compare the parts in ``now`` with those a stage was begun with, if it was."""
    if not (run.stage_folder(name) / CONFIG).is_file():
        return
    then = _begun_with(run.stage_folder(name))
    changes = differences({key: then[key] for key in now}, now)
    if changes:
        raise UserError(
            f"stage {name} in {run.folder}: changed since it was begun: {'; '.join(changes)}. "
            "Choose another --out; longstep run --fork starts a new folder from what still holds"
        )


def _begun_with(folder: Path) -> dict[str, Any]:
    """The parts of a stage that was begun.

    Raises:
        UserError: its record is damaged.
    """
    config = read_json(folder / CONFIG)
    then = config.get("parts") if isinstance(config, dict) else None
    if not isinstance(then, dict) or then.keys() != {"config", "seed", "inputs", "code"}:
        raise UserError(f"{folder / CONFIG}: is damaged; delete {folder} to redo the stage")
    return then


def _run_stage(run: Run, name: str, made: Mapping[str, Any], events: AppendLog) -> None:
    stage, folder = run.recipe.stages[name], run.stage_folder(name)
    if folder.is_symlink() or (folder / "out").is_symlink():
        raise UserError(
            f"{folder}: is a symbolic link; a stage is only written inside of the run folder"
        )
    resumed = (folder / CONFIG).is_file()
    if not resumed:
        facts = {
            "stage": name,
            "kind": dump(stage)["kind"],
            "parts": made,
            "origin": _origins(run, name),
        }
        write_json(folder / CONFIG, facts)
    context = replace(
        _context(run, name),
        event=lambda what, facts: events.append(
            {"time": time.time(), "stage": name, "event": what, **facts}
        ),
    )
    context.event("resumed" if resumed else "started", {})
    started = time.monotonic()
    if stage.together:
        from_main(lambda: (name, run.folder))
    try:
        stage.run(context)
    finally:  # a stage that refused its input shows best what was wrong with it
        write_blocks(folder, stage.blocks(context.out))
    seconds = time.monotonic() - started
    cost = {
        **asdict(context.cost),
        "seconds": round(seconds, 2),
        "peak_memory_mb": _peak_mb(),
        "resumed": resumed,
    }
    manifest = write_manifest(
        folder,
        stage=name,
        kind=dump(stage)["kind"],
        artifact=stage.produces,
        fingerprint=sha256_json(made),
        cost=cost,
    )
    _clean(folder)
    context.event("finished", {"seconds": round(seconds, 2), "content": manifest["content"]})
    run.say(f"{name:<12} done in {seconds:.1f} s")


def _context(run: Run, name: str) -> Context:
    """What a stage is handed; its events go nowhere."""
    return Context(
        name=name,
        folder=run.stage_folder(name),
        seed=int(sha256_json([run.recipe.seed, name])[:12], 16),
        inputs={f"@{n}": run.stage_folder(n) / "out" for n in run.recipe.inputs(name)},
        progress=lambda label, total, unit: Progress(label, total, unit),
        event=lambda what, facts: None,
    )


def _origins(run: Run, name: str) -> dict[str, str]:
    """Where each value of a stage's config came from: a file and line, the command line or a default."""
    prefix = f"stages.{name}."
    everything = provenance(run.recipe, run.located)
    return {
        path.removeprefix(prefix): origin
        for path, origin in everything.items()
        if path.startswith(prefix)
    }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _clean(folder: Path) -> None:
    """Remove what only an unfinished stage needs."""
    for scratch in (CHECKPOINTS, PARTIAL):
        shutil.rmtree(folder / scratch, ignore_errors=True)
