"""Verbs that train on what a user brings: ``longstep sft --data FILE --model M``, and so ``prefer`` and ``rl``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from longstep.cli.rows import laid_out
from longstep.cli.running import run_one, tell_of_run
from longstep.cli.terminal import quiet_libraries, run_single, say
from longstep.config import Located, UserError, load_yaml, override, validate
from longstep.run.brought import READERS, Brought, brought_recipe
from longstep.training.ranks import rank


def bringing(command: Callable[[Callable[..., None]], object], kind: str) -> None:
    """Make the verb of a stage that trains on data of the user's own, or on the settings in a file."""

    @command
    def verb(
        words: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[CONFIG] [KEY=VALUE]...",
                help="YAML with the stage's settings; and e.g. steps=100, traces.require=verified",
            ),
        ] = None,
        data: Annotated[
            str | None,
            typer.Option(
                help="a file or folder as it was published, or hub:OWNER/NAME,split=train"
            ),
        ] = None,
        model: Annotated[
            str | None, typer.Option(help="the start: a shipped name, a folder or a hub id")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="run folder; with --data, runs/NAME when not given")
        ] = None,
        layout: Annotated[
            str, typer.Option(help="how rows are laid out; auto: told from the first rows")
        ] = "auto",
        columns: Annotated[
            str | None,
            typer.Option(help="instead of a layout: prompt=COLUMN,answer=COLUMN,..."),
        ] = None,
        verifier: Annotated[
            str | None, typer.Option(help="who judges answers; default math, your own: module:name")
        ] = None,
        anyway: Annotated[
            bool, typer.Option("--anyway", help="run it although it seems to need more memory")
        ] = False,
    ) -> None:
        config, overrides = _apart(words or [])
        settings = load_yaml(config) if config else Located({})
        said = {**laid_out(layout, columns), "verifier": verifier}
        reading = {name: value for name, value in said.items() if value and value != "auto"}
        if data is None:
            if config is None or out is None or model is not None or reading:
                raise UserError(
                    f"{kind}: expected CONFIG and --out FOLDER, or --data FILE and --model MODEL"
                )
            for assignment in overrides:
                settings = override(settings, assignment)
            run_single(kind, settings, out, anyway=anyway)
            return
        brought = Brought(data, model, settings, overrides, reading)
        _train(kind, brought, out, anyway)


def _apart(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The file of settings, if one is named, and the overrides."""
    if words and (Path(words[0]).is_file() or "=" not in words[0]):
        return Path(words[0]), list(words[1:])
    return None, list(words)


def _plain(value: Any) -> str:
    return str(value).replace("'", "")


def _train(kind: str, brought: Brought, out: Path | None, anyway: bool) -> None:
    quiet_libraries()
    from longstep.run.recipe import Recipe, check
    from longstep.run.runner import Run

    located = brought_recipe(kind, brought)
    recipe = validate(Recipe, located)
    check(recipe, located)
    stage = located.data["stages"][kind]
    told = ", ".join(
        f"{name} {_plain(stage[name])}" for name in READERS[kind].defaults if name in stage
    )
    say(f"{kind}: {brought.data} -> {told}; change any by KEY=VALUE")
    task = Run(recipe, located, out or Path("runs") / recipe.name, say, anyway)
    run_one(task, [])
    if rank() == 0:
        tell_of_run(task)
        say(f"model: {task.stage_folder(kind) / 'out'}")
