"""``longstep data``: check, convert, decontaminate, dedup, verify, rate, select, show.

Each verb builds the config of a job and runs it in a folder; the same command continues a killed one. Nothing here
loads torch or transformers (``rate`` by a model apart), so the verbs run where memory is short.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from longstep.artifacts import read_json
from longstep.cli.rows import Columns, Encoding, Given, Layout, Unit, data, laid_out, over_rows
from longstep.cli.terminal import Json, print_json, print_table, run_single, say
from longstep.config import Located, UserError, validate
from longstep.jobs.words import (
    HUB,
    adaptive_rule,
    behind,
    benchmarks,
    member,
    pairs,
    rating,
    sampler,
)


@over_rows
def check(given: Given) -> None:
    """Look at every row: layout, types, encoding, torn lines, repeated ids, missing answers, lengths.

    Exits with 1 when a line is no row or an id occurs twice.
    """
    from longstep.jobs.check import Check

    rows = given.run(Check, {})["counts"]["rows"]
    if rows["read"] == rows["without answer"] > 0 and not (given.as_json or given.columns):
        say(
            "no row has a key that answers could be judged by; where a column holds it, name both: --columns "
            "prompt=COLUMN,answer=COLUMN"
        )
    if rows["bad"] or rows["id repeats an earlier one"]:
        raise typer.Exit(1)


@over_rows
def convert(
    given: Given,
    to: Annotated[str, typer.Option(help="layout to write")],
    file: Annotated[str | None, typer.Option(help="jsonl, jsonl.gz, jsonl.zst, parquet")] = None,
    name: Annotated[str, typer.Option(help="of the file and the dataset")] = "data",
    extra: Annotated[str, typer.Option(help="keep or drop fields without a column")] = "keep",
) -> None:
    """Write the rows in another layout, nothing lost."""
    from longstep.jobs.convert import Convert

    manifest = given.run(Convert, {"to": to, "file": file, "name": name, "extra": extra})
    differs = manifest["first rows that auto reads differently"]
    if differs and not given.as_json:
        say(
            f"{differs} of the first rows of the new file look like another layout; name the layout: --layout {to}"
        )


@over_rows
def decontaminate(
    given: Given,
    context: typer.Context,
    against: Annotated[
        list[str],
        typer.Option(metavar="NAME|FILE,...", help="benchmarks, by name or as files; repeatable"),
    ],
    mode: Annotated[
        str,
        typer.Option(
            help="overlap, light-r1, open-r1 or s1, with settings: s1:words=13; on texts alone: overlap:answers=ignore"
        ),
    ] = "overlap",
    against_columns: Annotated[
        str | None,
        typer.Option(
            help="how the files behind --against are laid out: prompt=COLUMN,answer=COLUMN"
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(help="classes to remove, e.g. identical,reworded")
    ] = None,
) -> None:
    """Set rows aside that hold a benchmark's question, each with class, score, span and both texts."""
    from longstep.jobs.decontaminate import Decontaminate

    contamination = member(mode, "--mode")
    if remove is not None:
        contamination["remove"] = [each.strip() for each in remove.split(",") if each.strip()]
    files, names = benchmarks(given.files, against, behind(context.obj, "--against"))
    given = replace(given, files=files)
    if not given.as_json:
        say(f"cleaning {', '.join(map(str, files))} against {', '.join(names)}")
    names = [str(given.local(Path(each))) for each in names]
    columns = pairs(against_columns.split(","), "--against-columns") if against_columns else {}
    settings = {"against": names, "against_columns": columns, "contamination": contamination}
    given.run(Decontaminate, settings)


@over_rows
def dedup(
    given: Given,
    match: Annotated[
        str, typer.Option(help="exact, normalised, or near:similarity=0.7")
    ] = "normalised",
) -> None:
    """Keep the first of equal questions; set groups whose answers contradict each other aside."""
    from longstep.jobs.dedup import Dedup

    given.run(Dedup, {"match": member(match, "--match")})


@over_rows
def verify(
    given: Given,
    verifier: Annotated[str, typer.Option(help="who judges")] = "math",
    second: Annotated[str | None, typer.Option(help="another one; differences are queued")] = None,
    completions: Annotated[str | None, typer.Option(help="column of the completions")] = None,
) -> None:
    """Judge golds and completions, and queue the rows that a person should look at."""
    from longstep.jobs.verify import Verify

    given.run(Verify, {"verifier": verifier, "second": second, "completions": completions})


@over_rows
def rate(
    given: Given,
    column: Annotated[
        str | None, typer.Option("--import", help="column of ratings; needs --unit and --samples")
    ] = None,
    unit: Unit = None,
    model: Annotated[
        str | None, typer.Option(help="sample it; or server:command=[...],...")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="URL,...", help="servers of the model; repeatable"),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="environment variable that holds the servers' key")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="per problem; 8 with --model, at most 32 with --adaptive; no default else"
        ),
    ] = None,
    adaptive: Annotated[
        str | None,
        typer.Option(metavar="BAND", help="sample until the band is decided: min=0.25,max=0.625"),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="longest completion; 4096 with --model")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0.6 with --model")] = None,
    top_p: Annotated[float | None, typer.Option(help="0.95 with --model")] = None,
    seed: Annotated[int | None, typer.Option(help="of the samples; 17 with --model")] = None,
) -> None:
    """Pass rate of every problem: imported from a column, or measured with a model or its servers."""
    from longstep.jobs.rate import Rate, sampling

    if (column is None) == (model is None):
        raise UserError("rate: expected --import COLUMN or --model MODEL, one of the two")
    measuring = {
        "--endpoint": endpoint, "--api-key-env": api_key_env, "--adaptive": adaptive, "--max-tokens": max_tokens,
        "--temperature": temperature, "--top-p": top_p, "--seed": seed,
    }  # fmt: skip
    if model is None:
        for option, value in measuring.items():
            if value not in (None, []):
                raise UserError(f"rate: {option} has no effect with --import, only with --model")
        given.run(Rate, {"ratings": rating("rate", str(column), unit, samples)})
        return
    if unit is not None:
        raise UserError("rate: --unit belongs to --import; --model measures the rate itself")
    drawn = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
    rule = None if adaptive is None else adaptive_rule(adaptive, samples)
    if rule is None:
        drawn["samples"] = samples or 8
    problems = given.folder("rate") / "problems" / "out" / "problems.jsonl"
    drawn = {name: value for name, value in drawn.items() if value is not None}
    _measure(
        given,
        sampling(problems, sampler(model, endpoint or [], api_key_env, "rate"), drawn, rule),
        seed,
    )


def _measure(given: Given, settings: dict[str, Any], seed: int | None) -> None:
    """Rows as problems, the stage ``sample`` on them, and what it measured into the rows."""
    from longstep.jobs.rate import Problems, Rate
    from longstep.stages.sample import Sample

    validate(Sample, Located(settings, {}))  # before the rows are read
    folder = given.folder("rate")
    given.begin(Problems, {}, folder / "problems")
    with redirect_stdout(sys.stderr) if given.as_json else nullcontext():
        run_single("sample", Located(settings, {}), folder, seed)
    out, rated = folder / "sample" / "out", folder / "rated"
    manifest = given.begin(Rate, {"measured": str(out / "rates.jsonl")}, rated)
    manifest["sample"] = read_json(out / "counts.json")
    given.show(manifest, f"rate: {rated / 'out'}")


@over_rows
def select(
    given: Given,
    rule: Annotated[
        list[str],
        typer.Option(help="e.g. band:min=0.25,max=0.625 or random:count=100; may be repeated"),
    ],
    column: Annotated[
        str | None,
        typer.Option(
            "--import", help="column of ratings instead of pass_rate; needs --unit, --samples"
        ),
    ] = None,
    unit: Unit = None,
    samples: Annotated[int | None, typer.Option(min=1, help="with --import")] = None,
    rater: Annotated[
        list[str] | None, typer.Option(help="NAME=COLUMN of another rater's pass rate")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="column of the subject")] = None,
    chain: Annotated[str | None, typer.Option(help="column of the reasoning trace")] = None,
    seed: Annotated[int, typer.Option(help="of random picks")] = 0,
) -> None:
    """Pick rows by rules on pass rate, length and subject; every other row says which rule dropped it."""
    from longstep.jobs.select import Select

    if column is None and (unit is not None or samples is not None):
        raise UserError(
            "select: --unit and --samples say how to read the column of --import COLUMN"
        )
    settings = {
        "ratings": None if column is None else rating("select", column, unit, samples),
        "rules": [member(each, "--rule") for each in rule],
        "raters": pairs(rater or [], "--rater"),
        "domain": domain,
        "chain": chain,
        "seed": seed,
    }
    given.run(Select, settings)


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

    if str(file).startswith(HUB) and not file.exists():
        raise UserError(f"show: reads files; fetch the dataset first: longstep data check {file}")
    settings = {**laid_out(layout, columns), "encoding": encoding, "path": str(file)}
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
