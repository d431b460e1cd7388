"""``longstep eval``: run, score, report, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from longstep.cli.terminal import Json, print_json, print_table, run_single, say
from longstep.config import Located, UserError
from longstep.jobs.words import drawer, is_engine
from longstep.training.ranks import rank

evaluation = typer.Typer(
    help="Sample once, score often: run, score, report, diff.", no_args_is_help=True
)


@evaluation.command(name="run")
def eval_run(
    models: Annotated[
        list[str],
        typer.Argument(
            help="MODEL or NAME=MODEL, as many as wanted; instead of MODEL also endpoint:url=URL,model=NAME or "
            "server:command=[...],model=NAME"
        ),
    ],
    benchmark: Annotated[list[str], typer.Option(help="benchmark name; may be repeated")],
    out: Annotated[Path, typer.Option(help="run folder")],
    samples: Annotated[int | None, typer.Option(help="k of avg@k")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="longest completion")] = None,
) -> None:
    """Sample models on benchmarks, store every completion, score."""
    named = dict(map(_named, models))
    if len(named) < len(models):
        raise UserError("two models have the same name; give names of your own: NAME=MODEL")
    settings = {
        "models": named,
        "benchmarks": benchmark,
        "samples": samples,
        "max_tokens": max_tokens,
    }
    run_single("evaluate", Located(settings), out)
    if rank() == 0:
        eval_report(out / "evaluate" / "out")


@evaluation.command(name="score")
def eval_score(
    folder: Annotated[Path, typer.Argument(help="the out/ folder of an evaluate stage")],
    samples: Annotated[
        int | None, typer.Option(help="k of avg@k; refused when fewer are stored")
    ] = None,
) -> None:
    """Score stored completions again; needs no model and gives identical bytes for identical verdicts."""
    from longstep.evaluate import rescore
    from longstep.report.scores import read_scores
    from longstep.workfolder import check_sealed, reseal

    check_sealed(folder)
    results = rescore(folder, samples)
    reseal(folder)
    say(f"scored {len(results['models'])} models: {folder / 'results.json'}")
    for line in read_scores("", results).protocol:
        say(line)


@evaluation.command(name="report")
def eval_report(
    folder: Annotated[Path, typer.Argument(help="the out/ folder of an evaluate stage")],
) -> None:
    """Print the score table and the comparisons in words."""
    from longstep.artifacts import read_json
    from longstep.evaluate.store import left_out_notes
    from longstep.report import score_rows
    from longstep.report.scores import read_scores

    results = read_json(folder / "results.json")
    print_table(score_rows(results))
    for line in read_scores("", results).protocol:
        say(line)
    for comparison in results["comparisons"]:
        say(comparison["sentence"])
    for sentence in left_out_notes(folder):
        say(sentence)


@evaluation.command(name="diff")
def eval_diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="an evaluate stage's out/ folder")],
    after: Annotated[Path, typer.Argument(metavar="B", help="another one, or the same")],
    models: Annotated[str | None, typer.Option(help="MODEL_OF_A,MODEL_OF_B")] = None,
    as_json: Json = False,
) -> None:
    """Name the problems whose score differs between two evaluations, and why."""
    from dataclasses import asdict

    from longstep.evaluate import diff, found_by, summary

    pair = tuple(models.split(",")) if models else None
    if pair is not None and len(pair) != 2:
        raise UserError(f"--models {models}: expected two names, MODEL_OF_A,MODEL_OF_B")
    flips = diff(before, after, pair)
    if as_json:
        print_json([asdict(flip) for flip in flips])
        return
    for sentence in [*found_by(before, after), *(flip.sentence for flip in flips)]:
        say(sentence)
    say(summary(flips))


def _named(model: str) -> tuple[str, str | dict[str, Any]]:
    """``NAME=MODEL``, or a model that is called by its folder; a path may hold an equals sign of its own.

    An engine with its settings is called by the model it names.
    """
    if is_engine(model):
        by = drawer(model, "eval run")
        return Path(str(by.get("model", by["kind"]))).name, by
    name, equals, rest = model.partition("=")
    if equals and name and "/" not in name:
        return name, drawer(rest, "eval run") if is_engine(rest) else rest
    return Path(model).name, model
