"""``longstep data``: check, convert, decontaminate, dedup, verify, rate, select, show.

Each verb builds the config of a job and runs it in a folder; the same command continues a killed one. Nothing here
loads torch or transformers (``rate`` by a model apart), so the verbs run where memory is short.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longstep.artifacts import read_json
from longstep.config import Located, UserError, validate
from longstep.jobs.words import benchmarks, member, pair, rating
from longstep.terminal import Interrupted, Json, print_json, print_table, run_single, say

if TYPE_CHECKING:
    from longstep.jobs.base import Job

data = typer.Typer(
    help="Data files: check, convert, decontaminate, deduplicate, verify, rate, select, show.",
    no_args_is_help=True,
)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="JSONL, CSV or Parquet; also .gz and .zst")
]
Out = Annotated[Path | None, typer.Option(help="folder for the results; default ./FILE-VERB")]
Workers = Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")]
Layout = Annotated[str, typer.Option(help="how rows are laid out; auto: told from the first rows")]
Columns = Annotated[
    str | None, typer.Option(help="instead of a layout: prompt=COLUMN,answer=COLUMN,...")
]
MaxBad = Annotated[float, typer.Option(help="most lines that may be no rows, as a share")]
Encoding = Annotated[str, typer.Option(help="of the text in the files")]


@data.command()
def check(
    files: Files,
    out: Out = None,
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 1.0,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Look at every row: layout, types, encoding, torn lines, repeated ids, missing answers, lengths.

    Exits with 1 when a line is no row or an id occurs twice.
    """
    from longstep.jobs.check import Check

    settings = _rows(layout, columns, max_bad, encoding)
    manifest = _run(Check, files, settings, out, workers, as_json)
    rows = manifest["counts"]["rows"]
    if rows["bad"] or rows["id repeats an earlier one"]:
        raise typer.Exit(1)


@data.command()
def convert(
    files: Files,
    to: Annotated[str, typer.Option(help="layout to write")],
    out: Out = None,
    file: Annotated[str | None, typer.Option(help="jsonl, jsonl.gz, jsonl.zst, parquet")] = None,
    name: Annotated[str, typer.Option(help="of the file and the dataset")] = "data",
    extra: Annotated[str, typer.Option(help="keep or drop fields without a column")] = "keep",
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Write the rows in another layout, nothing lost."""
    from longstep.jobs.convert import Convert

    settings = {
        **_rows(layout, columns, max_bad, encoding),
        "to": to,
        "file": file,
        "name": name,
        "extra": extra,
    }
    manifest = _run(Convert, files, settings, out, workers, as_json)
    differs = manifest["first rows that auto reads differently"]
    if differs and not as_json:
        say(
            f"{differs} of the first rows of the new file look like another layout; name the layout: --layout {to}"
        )


@data.command()
def decontaminate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the rows to clean")],
    against: Annotated[
        list[str],
        typer.Option(metavar="NAME|FILE,...", help="benchmarks, by name or as files; repeatable"),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="", help="more names of benchmarks", hidden=True)
    ] = None,
    out: Out = None,
    mode: Annotated[
        str, typer.Option(help="overlap, light-r1, open-r1 or s1, with settings: s1:words=13")
    ] = "overlap",
    remove: Annotated[
        str | None, typer.Option(help="classes to remove, e.g. identical,reworded")
    ] = None,
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Set rows aside that hold a benchmark's question, each with class, score, span and both texts."""
    from longstep.jobs.decontaminate import Decontaminate

    contamination = member(mode, "--mode")
    if remove is not None:
        contamination["remove"] = [each.strip() for each in remove.split(",") if each.strip()]
    settings = {
        **_rows(layout, columns, max_bad, encoding),
        "against": benchmarks(against, more or []),
        "contamination": contamination,
    }
    if not as_json:
        say(f"cleaning {file} against {', '.join(settings['against'])}")
    _run(Decontaminate, [file], settings, out, workers, as_json)


@data.command()
def dedup(
    files: Files,
    out: Out = None,
    match: Annotated[
        str, typer.Option(help="exact, normalised, or near:similarity=0.7")
    ] = "normalised",
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Keep the first of equal questions; set groups whose answers contradict each other aside."""
    from longstep.jobs.dedup import Dedup

    settings = {"match": member(match, "--match"), **_rows(layout, columns, max_bad, encoding)}
    _run(Dedup, files, settings, out, workers, as_json)


@data.command()
def verify(
    files: Files,
    out: Out = None,
    verifier: Annotated[str, typer.Option(help="who judges")] = "math",
    second: Annotated[str | None, typer.Option(help="another one; differences are queued")] = None,
    completions: Annotated[str | None, typer.Option(help="column of the completions")] = None,
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Judge golds and completions, and queue the rows that a person should look at."""
    from longstep.jobs.verify import Verify

    settings = {
        **_rows(layout, columns, max_bad, encoding),
        "verifier": verifier,
        "second": second,
        "completions": completions,
    }
    _run(Verify, files, settings, out, workers, as_json)


@data.command()
def rate(
    files: Files,
    out: Out = None,
    column: Annotated[
        str | None, typer.Option("--import", help="column of ratings; needs --unit and --samples")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="solved or failed, count, share or percent: failed_percent")
    ] = None,
    model: Annotated[str | None, typer.Option(help="sample this model instead")] = None,
    endpoint: Annotated[str | None, typer.Option(help="URL that serves the model")] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="per problem; 8 with --model, no default with --import"),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="longest completion; 4096 with --model")
    ] = None,
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Pass rate of every problem: imported from a column, or measured with a model or an endpoint."""
    from longstep.jobs.rate import Problems, Rate

    settings = _rows(layout, columns, max_bad, encoding)
    if (column is None) == (model is None):
        raise UserError("rate: expected --import COLUMN or --model MODEL, one of the two")
    if column is not None:
        if endpoint is not None or max_tokens is not None:
            option = "--endpoint" if endpoint is not None else "--max-tokens"
            raise UserError(f"rate: {option} has no effect with --import; it belongs to --model")
        ratings = rating("rate", column, unit, samples)
        _run(Rate, files, {**settings, "ratings": ratings}, out, workers, as_json)
        return
    from longstep.jobs.rate import sampling

    if unit is not None:
        raise UserError("rate: --unit belongs to --import; --model measures the rate itself")
    folder = out or Path(f"{_stem(files[0])}-rate")
    _begin(Problems, files, settings, folder / "problems", workers)
    by = {"kind": "endpoint", "url": endpoint} if endpoint else {"kind": "model"}
    made = folder / "problems" / "out" / "problems.jsonl"
    settings = sampling(made, {**by, "model": model}, samples or 8, max_tokens or 4096)
    if as_json:
        with redirect_stdout(sys.stderr):
            run_single("sample", Located(settings, {}), folder)
        print_json(read_json(folder / "sample" / "out" / "counts.json"))
        return
    run_single("sample", Located(settings, {}), folder)


@data.command()
def select(
    files: Files,
    rule: Annotated[
        list[str],
        typer.Option(help="e.g. band:min=0.25,max=0.625 or random:count=100; may be repeated"),
    ],
    out: Out = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--import", help="column of ratings instead of pass_rate; needs --unit, --samples"
        ),
    ] = None,
    unit: Annotated[str | None, typer.Option(help="with --import, as in data rate")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="with --import")] = None,
    rater: Annotated[
        list[str] | None, typer.Option(help="NAME=COLUMN of another rater's pass rate")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="column of the subject")] = None,
    chain: Annotated[str | None, typer.Option(help="column of the reasoning trace")] = None,
    seed: Annotated[int, typer.Option(help="of random picks")] = 0,
    layout: Layout = "auto",
    columns: Columns = None,
    max_bad: MaxBad = 0.01,
    encoding: Encoding = "utf-8",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Pick rows by rules on pass rate, length and subject; every other row says which rule dropped it."""
    from longstep.jobs.select import Select

    if column is None and (unit is not None or samples is not None):
        raise UserError(
            "select: --unit and --samples say how to read the column of --import COLUMN"
        )
    settings = {
        **_rows(layout, columns, max_bad, encoding),
        "ratings": None if column is None else rating("select", column, unit, samples),
        "rules": [member(each, "--rule") for each in rule],
        "raters": dict(pair(each, "--rater") for each in rater or []),
        "domain": domain,
        "chain": chain,
        "seed": seed,
    }
    _run(Select, files, settings, out, workers, as_json)


@data.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    row: Annotated[int, typer.Option(min=1, help="begin at this line, or row of a table")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="how many")] = 3,
    fields: Annotated[
        bool, typer.Option("--fields", help="instead: count what is in each field")
    ] = False,
    layout: Layout = "auto",
    columns: Columns = None,
    encoding: Encoding = "utf-8",
    characters: Annotated[int, typer.Option(min=20, help="longest text shown in full")] = 600,
    as_json: Json = False,
) -> None:
    """Print some rows readably, or a table of all fields."""
    from longstep.jobs.show import Show, field_table, shown

    settings = {**_rows(layout, columns, encoding=encoding), "path": str(file)}
    config = validate(
        Show, Located({**settings, "row": row, "rows": rows, "characters": characters}, {})
    )
    if fields:
        table = field_table(config.path, config.encoding)
        if as_json:
            print_json([dict(zip(table[0], each, strict=True)) for each in table[1:]])
        else:
            print_table(table, str(file))
        return
    lines = shown(config)
    if as_json:
        print_json(list(lines))
        return
    for line in lines:
        say(line)


def _rows(
    layout: str, columns: str | None, max_bad: float | None = None, encoding: str = "utf-8"
) -> dict[str, Any]:
    """The settings of everything that reads rows."""
    named = dict(pair(each, "--columns") for each in columns.split(",")) if columns else {}
    settings = {"layout": layout, "columns": named, "encoding": encoding}
    return settings if max_bad is None else {**settings, "max_bad": max_bad}


def _run(
    job: type[Job],
    files: list[Path],
    settings: Mapping[str, Any],
    out: Path | None,
    workers: int,
    as_json: bool,
) -> dict[str, Any]:
    """Build the job, run it in its folder, and say what came out."""
    from longstep.jobs.counts import count_rows

    verb = str(job.model_fields["kind"].default)
    folder = out or Path(f"{_stem(files[0])}-{verb}")
    manifest = _begin(job, files, settings, folder, workers)
    if as_json:
        print_json(manifest)
    else:
        print_table(count_rows(manifest["counts"]), f"{verb}: {folder / 'out'}")
    return manifest


def _begin(
    job: type[Job], files: list[Path], settings: Mapping[str, Any], folder: Path, workers: int
) -> dict[str, Any]:
    """Build the job and run it in its folder, or go on with it; gives its manifest."""
    from longstep.jobs.base import How, run_job

    config = validate(job, Located({"inputs": [str(path) for path in files], **settings}, {}))
    try:
        return run_job(config, folder, How(workers))
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command continues") from None


def _stem(path: Path) -> str:
    """``rows`` for ``rows.jsonl.gz``."""
    return path.name.split(".")[0] or path.name
