"""``longstep data``: check, convert, decontaminate, dedup, verify, rate, select, show.

Each verb builds the config of a job and runs it in a folder; the same command continues a killed one. Nothing here
loads torch or transformers (``rate`` by a model apart), so the verbs run where memory is short.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from longstep.artifacts import read_json
from longstep.cli.terminal import Interrupted, Json, print_json, print_table, run_single, say
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

if TYPE_CHECKING:
    from longstep.jobs.base import Job

data = typer.Typer(
    help="Data files: check, convert, decontaminate, deduplicate, verify, rate, select, show.",
    no_args_is_help=True,
)
Layout = Annotated[str, typer.Option(help="how rows are laid out; auto: told from the first rows")]
Columns = Annotated[
    str | None, typer.Option(help="instead of a layout: prompt=COLUMN,answer=COLUMN,...")
]
Encoding = Annotated[str, typer.Option(help="of the text in the files")]
Unit = Annotated[
    str | None, typer.Option(help="solved or failed, count, share or percent: failed_percent")
]


@dataclass(frozen=True)
class Given:
    """What every verb over rows is given: where they are, how they are laid out, where the results go."""

    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="JSONL, CSV or Parquet; also .gz and .zst; or hub:OWNER/NAME,split=train",
        ),
    ]
    out: Annotated[
        Path | None, typer.Option(help="folder for the results; default ./FILE-VERB")
    ] = None
    layout: Layout = "auto"
    columns: Columns = None
    max_bad: Annotated[
        float | None,
        typer.Option(help="most lines that may be no rows, as a share; 0.01, for check 1"),
    ] = None
    encoding: Encoding = "utf-8"
    workers: Annotated[
        int, typer.Option(min=1, help="processes; the result does not depend on it")
    ] = 1
    as_json: Json = False

    def folder(self, verb: str) -> Path:
        """Where the results of a verb go."""
        return self.out or Path(f"{_stem(self.files[0])}-{verb}")

    def run(self, job: type[Job], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Build the job, run it in its folder, and say what came out; gives its manifest."""
        verb = str(job.model_fields["kind"].default)
        folder = self.folder(verb)
        manifest = self.begin(job, settings, folder)
        self.show(manifest, f"{verb}: {folder / 'out'}")
        return manifest

    def begin(self, job: type[Job], settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Build the job and run it in a folder, or go on with it; gives its manifest."""
        from longstep.jobs.base import How, run_job

        read = {**_laid_out(self.layout, self.columns), "encoding": self.encoding}
        if self.max_bad is not None:
            read["max_bad"] = self.max_bad
        try:
            inputs = [str(self.local(path)) for path in self.files]
            config = validate(job, Located({"inputs": inputs, **read, **settings}, {}))
            return run_job(config, folder, How(self.workers))
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the same command continues") from None

    def local(self, path: Path) -> Path:
        """A file; a hub dataset is fetched into one beside the results."""
        if not str(path).startswith(HUB) or path.exists():
            return path
        from longstep.jobs.fetch import fetched

        return fetched(path, self.out.parent if self.out else Path())

    def show(self, manifest: Mapping[str, Any], title: str) -> None:
        """Print a manifest, or its counts as a table."""
        from longstep.jobs.counts import count_rows

        if self.as_json:
            print_json(manifest)
            return
        print_table(count_rows(manifest["counts"]), title)
        if manifest.get("mean pass rate") is not None:
            say(f"mean pass rate of the rated rows: {manifest['mean pass rate']:.4f}")


class AsTyped(TyperCommand):
    """A command that keeps its words in the order in which they were typed, in ``context.obj``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep them, then parse."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)


def over_rows(verb: Callable[..., None]) -> Callable[..., None]:
    """Make a function of ``Given`` and options of its own a verb whose options are those of both."""
    files, *shared = signature(Given, eval_str=True).parameters.values()
    own = list(signature(verb, eval_str=True).parameters.values())[1:]

    def command(**typed: Any) -> None:
        given = Given(**{each.name: typed.pop(each.name) for each in (files, *shared)})
        verb(given, **typed)

    options = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (files, *own, *shared)]
    command.__signature__ = Signature(options)  # pyright: ignore[reportFunctionMemberAccess]
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    data.command(cls=AsTyped)(command)
    return verb


@over_rows
def check(given: Given) -> None:
    """Look at every row: layout, types, encoding, torn lines, repeated ids, missing answers, lengths.

    Exits with 1 when a line is no row or an id occurs twice.
    """
    from longstep.jobs.check import Check

    rows = given.run(Check, {})["counts"]["rows"]
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
        str, typer.Option(help="overlap, light-r1, open-r1 or s1, with settings: s1:words=13")
    ] = "overlap",
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
    given.run(Decontaminate, {"against": names, "contamination": contamination})


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
        given, sampling(problems, sampler(model, endpoint or [], api_key_env), drawn, rule), seed
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
    settings = {**_laid_out(layout, columns), "encoding": encoding, "path": str(file)}
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


def _laid_out(layout: str, columns: str | None) -> dict[str, Any]:
    """The settings that say how a row is laid out."""
    named = pairs(columns.split(","), "--columns") if columns else {}
    return {"layout": layout, "columns": named}


def _stem(path: Path) -> str:
    """``rows`` for ``rows.jsonl.gz``, ``name`` for ``hub:owner/name,split=test``."""
    name = path.name.removeprefix(HUB).split(",")[0]
    return name.split(".")[0] or path.name
