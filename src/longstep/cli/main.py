"""The program: run, plan, status, show, report, doctor, eval, chat, and each stage as a verb."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

import longstep
from longstep.cli.data import data
from longstep.cli.evaluation import evaluation
from longstep.cli.models import models
from longstep.cli.running import (
    push_after,
    run_one,
    run_seeds,
    seed_numbers,
    tell_of_run,
    tell_of_several,
    tell_status,
)
from longstep.cli.scaling import scaling
from longstep.cli.terminal import (
    Json,
    harmless,
    print_json,
    print_table,
    quiet_libraries,
    say,
)
from longstep.cli.verbs import Verbs
from longstep.config import UserError
from longstep.run.extras import missing
from longstep.training.ranks import rank

app = typer.Typer(
    cls=Verbs,
    help="Train long chain-of-thought reasoners cheaply, step by step: from raw problems to a judged model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(evaluation, name="eval")
app.add_typer(data, name="data")
app.add_typer(models)
app.add_typer(scaling, name="scale")
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="recipe name, folder or YAML file")
]
Size = Annotated[str | None, typer.Option(help="overlay beside the recipe, e.g. tiny or qwen-7b")]
Out = Annotated[Path | None, typer.Option(help="run folder; default runs/<name>[-<size>]")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. stages.sft1.batch=16")
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="run stages that seem to need more memory than there is")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]


def _say_version(asked: bool) -> None:
    if asked:
        say(f"longstep {longstep.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="print the version"),
    ] = False,
) -> None:
    """What stands before any command: nothing but its version."""


def _load(recipe: str, size: str | None, overrides: list[str] | None) -> Any:
    from longstep.run.recipe import load, recipe_files

    return load(recipe_files(recipe, size), overrides or [])


def _refuse_sizeless(recipe: str, size: str | None) -> None:
    """A recipe with sizes beside it is written for the largest, which nobody means to fetch by a short command."""
    from longstep.run.recipe import find_recipe, sizes_told

    found = find_recipe(recipe)
    if size is None and found.is_dir() and (told := sizes_told(found)):
        raise UserError(
            f"run {recipe}: which size? --size takes one of these, and nothing was fetched or started:\n"
            + "\n".join(f"  {name:<14} {about}" for name, about in told.items())
        )


def _folder(out: Path | None, name: str, size: str | None) -> Path:
    return out or Path("runs") / (f"{name}-{size}" if size else name)


@app.command()
def run(
    recipe: RecipeName,
    overrides: Overrides = None,
    size: Size = None,
    out: Out = None,
    only: Annotated[
        list[str] | None, typer.Option(help="this stage and what it needs; may be repeated")
    ] = None,
    fork: Annotated[
        bool, typer.Option("--fork", help="start a new folder from what still holds")
    ] = False,
    anyway: Anyway = False,
    seeds: Annotated[
        str | None,
        typer.Option(help="run once for each seed, e.g. 1-5, and print one table of them all"),
    ] = None,
) -> None:
    """Run a recipe; the same command continues an interrupted run."""
    quiet_libraries()
    from longstep.run.fork import fork as forked
    from longstep.run.runner import Run

    _refuse_sizeless(recipe, size)
    loaded, located = _load(recipe, size, overrides)
    task = Run(loaded, located, _folder(out, loaded.name, size), say, anyway)
    if seeds is not None:
        if fork:
            raise UserError("--fork goes with one run; leave out --seeds")
        if loaded.push is not None:
            raise UserError(
                "push: one name holds one model; leave it out, and type longstep push for the seed that you choose"
            )

        def seeded(seed: int) -> Run:
            own, where = _load(recipe, size, [*(overrides or []), f"seed={seed}"])
            return Run(own, where, task.folder / f"seed-{seed}", say, anyway)

        run_seeds(seeded, seed_numbers(seeds), task.folder, only or [])
        return
    if fork and rank() == 0:
        task = forked(task)
        say(f"forked into {task.folder}")
    run_one(task, only or [])
    if rank() == 0:
        tell_of_run(task)
        push_after(task)


@app.command()
def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """Print stages, tokens, memory per device, hours and dollars, with the assumptions; runs nothing."""
    quiet_libraries()
    from longstep.run.plan import make_plan, plan_table

    loaded, located = _load(recipe, size, overrides)
    words = ["run", recipe, *(["--size", size] if size else []), *(overrides or [])]
    made = make_plan(loaded, words, located)
    if as_json:
        print_json(made.as_json())
        return
    print_table(plan_table(made), f"{loaded.name}{f' ({size})' if size else ''}")
    for line in made.assumptions:
        say(f"* {line}")


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="problems, traces or pairs")],
    model: Annotated[
        str, typer.Option(help="the model to train: hub id, folder or shipped name")
    ] = "Qwen/Qwen2.5-1.5B-Instruct",
    layout: Annotated[str, typer.Option(help="how rows are laid out; auto: told")] = "auto",
    columns: Annotated[
        str | None, typer.Option(help="instead of a layout: prompt=COLUMN,answer=COLUMN,...")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="recipe to write; default ./FILE.yaml")] = None,
) -> None:
    """Write a first recipe for rows of your own, each choice with what was seen of them."""
    from longstep.cli.beginning import begin

    begin(file, model, (layout, columns), out)


@app.command()
def status(
    run_folder: RunFolder,
    stage: Annotated[
        str | None, typer.Option(help="what this stage shows of itself, as on the page")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="look again every two seconds, as long as it runs")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say how far a run is, stage by stage: done, running, interrupted or failed, and what went wrong."""
    if stage is not None:
        from longstep.report import stage_tables

        found = stage_tables(run_folder, stage)
        if as_json:
            print_json([{"title": title, "rows": rows} for title, rows in found])
            return
        for title, rows in found:
            print_table(rows, title)
        return
    tell_status(run_folder, watch, as_json)


@app.command()
def show(
    family: Annotated[
        str,
        typer.Argument(help="a family (recipes, sources, losses, stages, ...), or schema"),
    ],
    as_json: Json = False,
) -> None:
    """List the members of a family with their defaults, or print the recipe's JSON Schema."""
    from longstep.cli.families import family_rows, recipe_schema

    if family == "schema":
        print_json(recipe_schema())
        return
    rows = family_rows(family)
    if as_json:
        print_json(rows)
        return
    names = ("kind", "what", "defaults")
    print_table([list(names), *[[row[name] for name in names] for row in rows]], family)


@app.command(name="report")
def report_command(
    run_folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="run folders; several are compared on one page"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="several runs: where the page goes; default comparison.html")
    ] = None,
) -> None:
    """Write the HTML report of a run, or put several runs on one page."""
    from longstep.report import build_report

    if len(run_folders) > 1 or not (run_folders[0] / "run.json").exists():
        tell_of_several(run_folders, out)
        return
    if out is not None:
        raise UserError("--out is for several runs; the page of one is report.html in its folder")
    say(f"report: {build_report(run_folders[0])}")


@app.command()
def card(
    run_folder: RunFolder,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="a stage that made a model")],
    out: Annotated[
        Path | None, typer.Option(help="file to write, such as README.md; default: print")
    ] = None,
) -> None:
    """Give a model's card with scores, their protocol, and what the whole way to it cost."""
    from longstep.artifacts import write_bytes
    from longstep.run.card import whole_card

    text = whole_card(run_folder, stage)
    if out is None:
        say(text)
        return
    write_bytes(out, text.encode())
    say(f"card: {out}")


@app.command()
def push(
    run_folder: RunFolder,
    to: Annotated[
        str | None,
        typer.Argument(metavar="OWNER/NAME", help="on the hub; default: what the recipe says"),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="whose model; default: the last one")] = None,
    public: Annotated[
        bool, typer.Option("--public", help="shown to everybody; else to its owner alone")
    ] = False,
) -> None:
    """Upload the model of a finished run, with its card, to the Hugging Face hub."""
    quiet_libraries()
    from longstep.config import Located, validate
    from longstep.run.push import Push, push_run

    if to is None and (stage is not None or public):
        raise UserError(
            "push: --stage and --public go with OWNER/NAME; else the recipe says all three"
        )
    given = {"to": to, "stage": stage, "private": not public}
    push_run(run_folder, None if to is None else validate(Push, Located(given)), say)


def _who() -> str:
    return f"process {rank()}: " if rank() else ""


def main() -> None:
    """Entry point: user errors, and libraries that an extra brings, become one sentence and an exit code."""
    # Read once, when torch is loaded. Its threads spin for milliseconds until the slowest is there, and where another
    # process has that one's core, a small model draws ten times slower than with one thread. A thousand turns will do.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except UserError as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        refusal = missing(error)
        if refusal is None:
            raise
        _refuse(refusal)


def _refuse(error: UserError) -> NoReturn:
    console_err = Console(stderr=True, soft_wrap=True)
    console_err.print(harmless(f"{_who()}error: {error}"), markup=False, style="red")
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
