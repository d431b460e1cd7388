"""Runs a recipe in a folder: skip what is finished, continue what is not, refuse what changed.

runs/<name>/run.json, commands.jsonl (who ran it where, with what), events.jsonl, run.lock, report.html, and one folder
per stage with ``config.json`` (written first), logs and checkpoints, ``out/`` (the artifact), ``blocks.json`` (what the
report shows of it) and ``manifest.json`` (written last).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import longstep
from longstep.artifacts import (
    AppendLog,
    hash_input,
    read_manifest,
    sha256_json,
    write_json,
)
from longstep.closure import code_of
from longstep.config import Located, UserError, dump, provenance
from longstep.context import CHECKPOINTS, PARTIAL, Context, stage_seed
from longstep.disk import disk_errors, locked
from longstep.progress import FILE as PROGRESS
from longstep.progress import Progress
from longstep.report.blocks import write_blocks
from longstep.report.shown import chosen
from longstep.run.early import refuse_early
from longstep.run.fit import refuse_unfit
from longstep.run.origin import COMMANDS, circumstances
from longstep.run.peak import begin_peak, peak_memory
from longstep.run.recipe import Recipe
from longstep.training.ranks import from_main, joined, rank, sharded, world
from longstep.workfolder import WorkFolder, changeable, differences, rounding, settled

CONFIG = "config.json"


@dataclass(frozen=True)
class Run:
    """One recipe in one folder; ``anyway`` runs stages that this machine seems to have too little memory for."""

    recipe: Recipe
    located: Located
    folder: Path
    say: Callable[[str], None]
    anyway: bool = False

    def stage_folder(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def work(self, name: str) -> WorkFolder:
        """A stage's folder as work that is begun, resumed and sealed."""
        return WorkFolder(
            self.stage_folder(name),
            CONFIG,
            f"stage {name} in {self.folder}",
            "let longstep run --fork start a new folder from what still holds",
            (CHECKPOINTS, PARTIAL),
        )


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
            run.work(name).refuse_change(_own_parts(run, name))
        _refuse_processes(run, names)
        todo = [name for name in names if read_manifest(run.stage_folder(name)) is None]
        refuse_early(run.recipe, run.located, todo, here=True)
        refuse_unfit(run.recipe, run.located, todo, run.say if run.anyway else None)
        _write_run_file(run)
        with closing(AppendLog(run.folder / COMMANDS)) as commands:
            commands.append({"time": time.time(), **circumstances()})
        with closing(AppendLog(run.folder / "events.jsonl")) as events:
            for name in names:
                made = parts(run, name)  # hashes inputs from outside, so only once
                work = run.work(name)
                work.refuse_change(made)
                if work.begun() and work.finished() is not None:
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
        "code": sha256_json([code_of(stage) for stage in run.recipe.stages.values()])[:16],
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
            inputs[reference] = hash_input(Path(reference))
    return {**_own_parts(run, name), "inputs": inputs}


def _own_parts(run: Run, name: str) -> dict[str, Any]:
    """The parts that are known before anything ran."""
    stages = run.recipe.stages
    earlier = [stages[each] for each in run.recipe.needed_for([name]) if each != name]
    return {
        "config": settled(stages[name]),
        "seed": run.recipe.seed,
        "code": code_of(stages[name], earlier),
    }


def _run_stage(run: Run, name: str, made: Mapping[str, Any], events: AppendLog) -> None:
    stage, work = run.recipe.stages[name], run.work(name)
    folder = work.path
    if folder.is_symlink() or (folder / "out").is_symlink():
        raise UserError(
            f"{folder}: is a symbolic link; a stage is only written inside of the run folder"
        )
    may_change = changeable(stage)
    resumed = work.begin(
        made,
        stage=name,
        kind=dump(stage)["kind"],
        may_change=may_change,
        origin=_origins(run, name),
    )
    context = replace(
        _context(run, name),
        event=lambda what, facts: events.append(
            {"time": time.time(), "stage": name, "event": what, **facts}
        ),
    )
    begun = work.facts()
    changed = differences(begun.get("may_change", {}), may_change)
    context.event("resumed" if resumed else "started", {"changed": changed} if changed else {})
    _tell_of_rounding(run, name, changed)
    started, own_peak = time.monotonic(), begin_peak()
    if stage.together:
        from_main(lambda: (name, run.folder))
    with _Ending(context.event):
        try:
            stage.run(context)
        finally:  # a stage that refused its input shows best what was wrong with it
            write_blocks(folder, [*stage.blocks(context.out), *chosen(folder)])
    seconds = time.monotonic() - started
    cost = {
        **asdict(context.cost),
        "seconds": round(seconds, 2),
        **peak_memory(own_peak),
        "resumed": resumed,
    }
    manifest = work.seal(
        stage=name,
        kind=dump(stage)["kind"],
        artifact=stage.produces,
        fingerprint=sha256_json(made),
        cost=cost,
        **{key: begun[key] for key in ("continued_from",) if key in begun},
    )
    context.event("finished", {"seconds": round(seconds, 2), "content": manifest["content"]})
    run.say(f"{name:<12} done in {seconds:.1f} s")


@dataclass(frozen=True)
class _Ending:
    """Records why a stage ended before its end; a process that is killed cannot, which leaves its lock free instead."""

    event: Callable[[str, Mapping[str, object]], None]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if kind is None:
            return
        with suppress(OSError):  # a full disk has said so already
            if issubclass(kind, KeyboardInterrupt):
                self.event("interrupted", {})
            else:
                self.event("failed", {"error": str(error) or kind.__name__})


def _tell_of_rounding(run: Run, name: str, changed: Sequence[str]) -> None:
    """Say what of the result another order of sums may change; what changes nothing needs no word."""
    paths = rounding(run.recipe.stages[name])
    if sums := [change for change in changed if change.partition(":")[0] in paths]:
        run.say(
            f"{name:<12} goes on with {', '.join(sums)}: sums are made in another order, so the result is that of the "
            "recipe up to rounding, not bit for bit"
        )


def _context(run: Run, name: str) -> Context:
    """What a stage is handed; its events go nowhere."""
    return Context(
        name=name,
        folder=run.stage_folder(name),
        seed=stage_seed(run.recipe.seed, name),
        inputs={f"@{n}": run.stage_folder(n) / "out" for n in run.recipe.inputs(name)},
        progress=lambda label, total, unit: Progress(
            label,
            total,
            unit,
            note=partial(write_json, run.stage_folder(name) / PARTIAL / PROGRESS),
        ),
        event=lambda what, facts: None,
        datasets=_datasets(run, name),
        trackers=run.recipe.trackers,
    )


def _datasets(run: Run, name: str) -> tuple[str, ...]:
    """What the rows of a stage, and of all that it reads, come from."""
    stages = run.recipe.stages
    needed = run.recipe.needed_for([name])
    return tuple(dict.fromkeys(each for one in needed for each in stages[one].datasets()))


def _origins(run: Run, name: str) -> dict[str, str]:
    """Where each value of a stage's config came from: a file and line, the command line or a default."""
    prefix = f"stages.{name}."
    everything = provenance(run.recipe, run.located)
    return {
        path.removeprefix(prefix): origin
        for path, origin in everything.items()
        if path.startswith(prefix)
    }
