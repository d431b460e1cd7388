"""What every verb of ``longstep data`` over rows is given, and how a function becomes such a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from longstep.cli.terminal import Interrupted, Json, print_json, print_table, say
from longstep.config import Located, validate
from longstep.jobs.words import HUB, pairs, stem

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
        return self.out or Path(f"{stem(str(self.files[0]))}-{verb}")

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

        read = {**laid_out(self.layout, self.columns), "encoding": self.encoding}
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


def laid_out(layout: str, columns: str | None) -> dict[str, Any]:
    """The settings that say how a row is laid out."""
    named = pairs(columns.split(","), "--columns") if columns else {}
    return {"layout": layout, "columns": named}
