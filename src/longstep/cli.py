"""The program: run, plan, status, show, report, doctor, eval, chat, and each stage as a verb."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from longstep.config import Located, UserError
from longstep.ranks import rank


class Interrupted(UserError):
    """The user pressed Ctrl-C."""

    exit_code = 130


app = typer.Typer(
    help="Train long chain-of-thought reasoners cheaply, step by step: from raw problems to a judged model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
evaluation = typer.Typer(
    help="Sample once, score often: run, score, report, diff.", no_args_is_help=True
)
app.add_typer(evaluation, name="eval")
console = Console(highlight=False, soft_wrap=True)

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="recipe name, folder or YAML file")
]
Size = Annotated[str | None, typer.Option(help="overlay beside the recipe, e.g. tiny or qwen-7b")]
Out = Annotated[Path | None, typer.Option(help="run folder; default runs/<name>[-<size>]")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. stages.sft1.batch=16")
]
Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]


def say(text: str) -> None:
    """Print one plain line."""
    console.print(text, markup=False)


def print_json(value: object) -> None:
    """Print JSON for a machine."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def print_table(rows: list[list[str]], title: str = "") -> None:
    """Print rows, the first one as header."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        table.add_column(name)
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table, markup=False)


def _load(recipe: str, size: str | None, overrides: list[str] | None) -> Any:
    from longstep.recipe import load, recipe_files

    return load(recipe_files(recipe, size), overrides or [])


def _folder(out: Path | None, name: str, size: str | None) -> Path:
    return out or Path("runs") / (f"{name}-{size}" if size else name)


def quiet_libraries() -> None:
    """Keep libraries from going online or writing over our progress lines; torch gets the cores there are."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # TRL sets options by the names transformers is about to rename; nothing a user of ours can act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\.")


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
) -> None:
    """Run a recipe; the same command continues an interrupted run."""
    quiet_libraries()
    from longstep import report, runner

    loaded, located = _load(recipe, size, overrides)
    task = runner.Run(loaded, located, _folder(out, loaded.name, size), say)
    if fork and rank() == 0:
        task = runner.fork(task)
        say(f"forked into {task.folder}")
    try:
        runner.execute(task, only or [])
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command continues") from None
    if rank() > 0:
        return
    page = report.build_report(task.folder)
    rows = report.table(task.folder)
    if len(rows) > 1:
        print_table(rows, f"{loaded.name}: held-out scores, 95 % intervals")
    say(f"report: {page}")


@app.command()
def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """Print stages, tokens, memory per device, hours and dollars, with the assumptions; runs nothing."""
    from longstep.plan import make_plan, plan_table

    loaded, _ = _load(recipe, size, overrides)
    made = make_plan(
        loaded, ["run", recipe, *(["--size", size] if size else []), *(overrides or [])]
    )
    if as_json:
        print_json(made.as_json())
        return
    print_table(plan_table(made), f"{loaded.name}{f' ({size})' if size else ''}")
    for line in made.assumptions:
        say(f"* {line}")


@app.command()
def status(run_folder: RunFolder, as_json: Json = False) -> None:
    """Say how far a run is, stage by stage."""
    from longstep.status import stage_rows

    rows = stage_rows(run_folder)
    if as_json:
        print_json(rows)
        return
    header = ["stage", "kind", "state", "seconds", "tokens trained", "tokens generated"]
    print_table(
        [
            header,
            *[
                [str(row.get(key) if row.get(key) is not None else "") for key in header]
                for row in rows
            ],
        ]
    )


@app.command()
def show(
    family: Annotated[
        str, typer.Argument(help="a family (sources, losses, stages, ...) or schema")
    ],
    as_json: Json = False,
) -> None:
    """List the members of a family with their defaults, or print the recipe's JSON Schema."""
    from longstep.families import family_rows, recipe_schema

    if family == "schema":
        print_json(recipe_schema())
        return
    rows = family_rows(family)
    if as_json:
        print_json(rows)
        return
    print_table(
        [
            ["kind", "what", "defaults"],
            *[[row["kind"], row["what"], row["defaults"]] for row in rows],
        ],
        family,
    )


@app.command(name="report")
def report_command(run_folder: RunFolder) -> None:
    """Write the HTML report of a run."""
    from longstep.report import build_report

    say(f"report: {build_report(run_folder)}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Print versions, devices and what is missing, then sample from the shipped model."""
    quiet_libraries()
    from longstep.doctor import examine

    facts = examine()
    if as_json:
        print_json(facts)
    else:
        print_table([["what", "found"], *[[key, str(value)] for key, value in facts.items()]])
    if facts["problems"]:
        raise typer.Exit(1)


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="shipped name, folder or hub id")],
    question: Annotated[str | None, typer.Option(help="ask once instead of a conversation")] = None,
    thinking: Annotated[bool, typer.Option(help="let the model think before it answers")] = True,
    max_tokens: Annotated[int, typer.Option(help="longest answer")] = 2048,
) -> None:
    """Ask a model, one question at a time."""
    quiet_libraries()
    from longstep.chat import Chat

    talk = Chat(model, thinking, max_tokens)
    if question is not None:
        say(talk.ask(question))
        return
    for line in sys.stdin:
        if line.strip():
            say(talk.ask(line.strip()))


@evaluation.command(name="run")
def eval_run(
    models: Annotated[list[str], typer.Argument(help="NAME=MODEL or MODEL, as many as wanted")],
    benchmark: Annotated[list[str], typer.Option(help="benchmark name; may be repeated")],
    out: Annotated[Path, typer.Option(help="run folder")],
    samples: Annotated[int | None, typer.Option(help="k of avg@k")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="longest completion")] = None,
) -> None:
    """Sample models on benchmarks, store every completion, score."""
    parted = [model.rpartition("=") for model in models]
    named = {name or Path(model).name: model for name, _, model in parted}
    if len(named) < len(models):
        raise UserError("two models have the same name; give names of your own: NAME=MODEL")
    settings = {
        "models": named,
        "benchmarks": benchmark,
        "samples": samples,
        "max_tokens": max_tokens,
    }
    _run_single("evaluate", Located(settings), out)


@evaluation.command(name="score")
def eval_score(
    folder: Annotated[Path, typer.Argument(help="the out/ folder of an evaluate stage")],
    samples: Annotated[
        int | None, typer.Option(help="k of avg@k; refused when fewer are stored")
    ] = None,
) -> None:
    """Score stored completions again; needs no model and gives identical bytes for identical verdicts."""
    from longstep.evaluate import rescore
    from longstep.runner import check_sealed, reseal

    check_sealed(folder)
    results = rescore(folder, samples)
    reseal(folder)
    say(f"scored {len(results['models'])} models: {folder / 'results.json'}")


@evaluation.command(name="report")
def eval_report(
    folder: Annotated[Path, typer.Argument(help="the out/ folder of an evaluate stage")],
) -> None:
    """Print the score table and the comparisons in words."""
    from longstep.artifacts import read_json
    from longstep.report import score_rows

    results = read_json(folder / "results.json")
    print_table(score_rows(results))
    for comparison in results["comparisons"]:
        say(comparison["sentence"])


@evaluation.command(name="diff")
def eval_diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="an evaluate stage's out/ folder")],
    after: Annotated[Path, typer.Argument(metavar="B", help="another one, or the same")],
    models: Annotated[str | None, typer.Option(help="MODEL_OF_A,MODEL_OF_B")] = None,
    as_json: Json = False,
) -> None:
    """Name the problems whose score differs between two evaluations, and why."""
    from dataclasses import asdict

    from longstep.evaluate import diff, summary

    pair = tuple(models.split(",")) if models else None
    if pair is not None and len(pair) != 2:
        raise UserError(f"--models {models}: expected two names, MODEL_OF_A,MODEL_OF_B")
    flips = diff(before, after, pair)
    if as_json:
        print_json([asdict(flip) for flip in flips])
        return
    for flip in flips:
        say(flip.sentence)
    say(summary(flips))


def _run_single(kind: str, settings: Located, out: Path) -> None:
    """Run one stage outside of a recipe."""
    quiet_libraries()
    from longstep.config import validate
    from longstep.recipe import Recipe, check
    from longstep.runner import Run, execute

    data = {"name": kind, "stages": {kind: {"kind": kind, **settings.data}}}
    origins = {("stages", kind, *path): origin for path, origin in settings.origins.items()}
    located = Located(data, origins)
    recipe = validate(Recipe, located)
    check(recipe, located)
    execute(Run(recipe, located, out, say))
    if rank() == 0:
        say(f"{kind}: {out / kind / 'out'}")


def _stage_verb(kind: str, about: str) -> Callable[..., None]:
    def verb(
        config: Annotated[Path, typer.Argument(help="YAML with the stage's settings")],
        out: Annotated[Path, typer.Option(help="run folder")],
        overrides: Overrides = None,
    ) -> None:
        from longstep.config import load_yaml, override

        located = load_yaml(config)
        for assignment in overrides or []:
            located = override(located, assignment)
        _run_single(kind, located, out)

    verb.__doc__ = about
    return verb


def _add_stage_verbs() -> None:
    from longstep.families import stage_verbs

    for kind, about in stage_verbs().items():
        app.command(name=kind, rich_help_panel="Stages, one at a time")(_stage_verb(kind, about))


def _who() -> str:
    return f"process {rank()}: " if rank() else ""


def main() -> None:
    """Entry point: user errors become one sentence and an exit code."""
    _add_stage_verbs()
    try:
        app()
    except UserError as error:
        console_err = Console(stderr=True, soft_wrap=True)
        console_err.print(f"{_who()}error: {error}", markup=False, style="red")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
