"""``longstep eval``: run, score, report, diff."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from longstep.cli.terminal import Json, print_json, print_table, run_single, say
from longstep.config import Located, UserError
from longstep.jobs.words import HUB, is_engine, pairs, sampler, table
from longstep.training.ranks import rank

evaluation = typer.Typer(
    help="Sample once, score often: run, score, report, diff.", no_args_is_help=True
)
Folder = Annotated[
    Path, typer.Argument(help="a run, or the folder of an evaluate stage in it; out/ may be added")
]
Questions = Annotated[
    list[str],
    typer.Option(
        metavar="NAME|FILE",
        help="a benchmark by name (longstep show benchmarks), a file of problems, NAME=FILE, or "
        "hub:OWNER/NAME,split=test; repeatable",
    ),
]
Servers = Annotated[
    list[str] | None,
    typer.Option(metavar="URL,...", help="servers that serve every MODEL by this name; repeatable"),
]
ServersKey = Annotated[
    str | None, typer.Option(help="environment variable that holds the servers' key")
]
_OWN = "Benchmarks of your own"
OwnColumns = Annotated[
    str | None,
    typer.Option(help="prompt=COLUMN,answer=COLUMN where not told", rich_help_panel=_OWN),
]
OwnLayout = Annotated[
    str | None, typer.Option(help="how their rows are laid out; default auto", rich_help_panel=_OWN)
]
OwnVerifier = Annotated[
    str | None, typer.Option(help="who judges; default math", rich_help_panel=_OWN)
]
OwnSuffix = Annotated[
    str | None, typer.Option(help="added to every prompt; default nothing", rich_help_panel=_OWN)
]


@evaluation.command(name="run")
def eval_run(
    models: Annotated[
        list[str],
        typer.Argument(
            help="MODEL or NAME=MODEL, as many as wanted; instead of MODEL also endpoint:url=URL,model=NAME or "
            "server:command=[...],model=NAME"
        ),
    ],
    benchmark: Questions,
    out: Annotated[Path, typer.Option(help="run folder")],
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="k of avg@k; default the benchmark's own, 64 for files"),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="longest completion; default the benchmark's own")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="default the benchmark's own, 0.6 for files")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of samples and intervals; default 17")] = None,
    thinking: Annotated[bool, typer.Option(help="let models in this process think first")] = True,
    endpoint: Servers = None,
    api_key_env: ServersKey = None,
    columns: OwnColumns = None,
    layout: OwnLayout = None,
    verifier: OwnVerifier = None,
    suffix: OwnSuffix = None,
) -> None:
    """Sample models on benchmarks, store every completion, score, and print the table."""
    servers = (endpoint or [], api_key_env)
    named = dict(_named(model, servers) for model in models)
    if len(named) < len(models):
        raise UserError("two models have the same name; give names of your own: NAME=MODEL")
    read = {"columns": columns, "layout": layout, "verifier": verifier, "prompt_suffix": suffix}
    settings = {
        "models": named,
        "benchmarks": _benchmarks(
            benchmark, {key: value for key, value in read.items() if value is not None}
        ),
        "samples": samples,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "thinking": thinking,
    }
    run_single("evaluate", Located(settings), out, seed)
    if rank() == 0:
        eval_report(out / "evaluate")


@evaluation.command(name="score")
def eval_score(
    folder: Folder,
    samples: Annotated[
        int | None, typer.Option(help="k of avg@k; refused when fewer are stored")
    ] = None,
) -> None:
    """Score stored completions again; needs no model and gives identical bytes for identical verdicts."""
    from longstep.evaluate import evaluation_in, rescore
    from longstep.report.scores import read_scores
    from longstep.workfolder import check_sealed, reseal

    folder = evaluation_in(folder)
    check_sealed(folder)
    results = rescore(folder, samples)
    reseal(folder)
    say(f"scored {len(results['models'])} models: {folder / 'results.json'}")
    for line in read_scores("", results).protocol:
        say(line)


@evaluation.command(name="report")
def eval_report(folder: Folder) -> None:
    """Print the score table and the comparisons in words."""
    from longstep.artifacts import read_json
    from longstep.evaluate import evaluation_in
    from longstep.evaluate.store import left_out_notes
    from longstep.report import score_rows
    from longstep.report.scores import legend, narrowed, read_scores

    folder = evaluation_in(folder)
    results = read_json(folder / "results.json")
    print_table(score_rows(results))
    scores = read_scores("", results)
    for line in (*filter(None, [legend([scores])]), *scores.protocol, *narrowed(scores)):
        say(line)
    for comparison in results["comparisons"]:
        say(comparison["sentence"])
    for sentence in left_out_notes(folder):
        say(sentence)


@evaluation.command(name="diff")
def eval_diff(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="a run, or the folder of an evaluate stage")
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="another one, or the same")],
    models: Annotated[str | None, typer.Option(help="MODEL_OF_A,MODEL_OF_B")] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="problems named in each direction; 0 names all")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Compare two evaluations question by question: what was gained and lost, how sure that is, and why."""
    from dataclasses import asdict

    from longstep.evaluate import Side, diff, evaluation_in, notes, sentences

    pair_of_models = tuple(models.split(",")) if models else None
    if pair_of_models is not None and len(pair_of_models) != 2:
        raise UserError(f"--models {models}: expected two names, MODEL_OF_A,MODEL_OF_B")
    a, b = (Side(evaluation_in(each), str(each)) for each in (before, after))
    found, said = diff(a, b, pair_of_models), list(notes(a, b))
    if as_json:
        sides = {
            name: {"folder": str(side.folder), "protocol": side.said}
            for name, side in (("a", a), ("b", b))
        }
        print_json({**sides, "notes": said, "comparisons": [asdict(each) for each in found]})
        return
    for sentence in [*said, *(line for each in found for line in sentences(each, limit))]:
        say(sentence)


def _named(
    model: str, servers: tuple[Sequence[str], str | None]
) -> tuple[str, str | dict[str, Any]]:
    """``NAME=MODEL``, or a model that is called by its folder; a path may hold an equals sign of its own.

    An engine with its settings is called by the model it names.
    """
    if is_engine(model):
        by = sampler(model, *servers, "eval run")
        return Path(str(by.get("model", by["kind"]))).name, by
    name, equals, rest = model.partition("=")
    if not (equals and name and "/" not in name):
        name, rest = Path(model).name, model
    by = sampler(rest, *servers, "eval run")
    return name, rest if by["kind"] == "model" else by


def _benchmarks(words: Sequence[str], read: dict[str, Any]) -> list[str | dict[str, Any]]:
    """Names as they are, files and hub datasets as whole benchmarks of their own."""
    found = [_benchmark(word, dict(read)) for word in words]
    if read and all(isinstance(each, str) for each in found):
        raise UserError(
            f"eval run: {', '.join(read)} say how a file of your own is read and asked; {', '.join(words)} is none"
        )
    return found


def _benchmark(word: str, read: dict[str, Any]) -> str | dict[str, Any]:
    name, equals, rest = word.partition("=")
    if not equals or "/" in name or name.startswith(HUB):
        name, rest = "", word
    if not (rest.startswith(HUB) or Path(rest).is_file()):
        if name or "/" in rest or Path(rest).suffix:
            raise UserError(
                f"--benchmark {word}: no file {rest!r}; expected a file of problems, or a benchmark's name"
            )
        return word
    source = table(rest)
    place = Path(source.get("path") or source["name"])
    if columns := read.pop("columns", None):
        source["columns"] = pairs(columns.split(","), "--columns")
    source |= {key: read.pop(key) for key in ("layout", "verifier") if key in read}
    return {"name": name or place.name.split(".")[0], "source": source, **read}
