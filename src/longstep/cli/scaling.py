"""``longstep scale``: run, score, report, show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from longstep.cli.terminal import Json, print_json, print_table, run_single, say
from longstep.config import Located, Strict, UserError, validate
from longstep.jobs.words import drawer, member
from longstep.scaling.picks import AnyPick
from longstep.training.ranks import rank

scaling = typer.Typer(
    help="Accuracy against tokens of inference-time strategies: run, score, report, show.",
    no_args_is_help=True,
)
StoredTrees = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="the out/ folder of a scale stage")
]


class _Picks(Strict):
    picks: tuple[AnyPick, ...]


@scaling.command(name="run")
def scale_run(
    model: Annotated[str, typer.Argument(help="shipped name, folder or hub id")],
    strategy: Annotated[
        list[str],
        typer.Option(help="KIND[:key=value,...] or NAME=KIND[:...], e.g. vote=samples:n=16"),
    ],
    out: Annotated[Path, typer.Option(help="run folder")],
    benchmark: Annotated[str | None, typer.Option(help="benchmark name")] = None,
    data: Annotated[str | None, typer.Option(help="folder or JSONL of problems")] = None,
    pick: Annotated[
        list[str] | None, typer.Option(help="KIND[:key=value,...]; may be repeated")
    ] = None,
    temperature: Annotated[float, typer.Option(help="of the sampling")] = 0.6,
    max_tokens: Annotated[int, typer.Option(help="longest answer")] = 4096,
    batch_size: Annotated[int, typer.Option(help="pieces drawn together")] = 256,
) -> None:
    """Grow the strategies' trees, store every segment, pick and count."""
    settings: dict[str, Any] = {
        "by": drawer(model, "scale run"),
        "strategies": _strategies(strategy),
        "sampling": {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "batch_size": batch_size,
        },
    }
    given = {"benchmark": benchmark, "data": data}
    settings |= {key: value for key, value in given.items() if value is not None}
    if pick:
        settings["picks"] = [member(each, "--pick") for each in pick]
    run_single("scale", Located(settings, {}), out)
    if rank() == 0:
        scale_show(out / "scale" / "out")


def _strategies(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        head, equals, rest = text.partition("=")
        named = bool(equals) and ":" not in head
        made = member(rest if named else text, "--strategy")
        name = head.strip() if named else made["kind"]
        if name in found:
            raise UserError(f"--strategy {text}: {name!r} is there already; name it: NAME=KIND:...")
        found[name] = made
    return found


@scaling.command(name="score")
def scale_score(
    folder: StoredTrees,
    pick: Annotated[
        list[str] | None,
        typer.Option(help="pick by these instead of the stage's: KIND[:key=value,...]"),
    ] = None,
) -> None:
    """Pick and count again from stored trees; needs no model, and the same trees give the same bytes."""
    from longstep.scaling.store import CHOICES, CURVES, PROTOCOL, rescore
    from longstep.workfolder import check_sealed, reseal

    picks: Sequence[AnyPick] = ()
    if pick:
        members = [member(each, "--pick") for each in pick]
        picks = validate(_Picks, Located({"picks": members}, {})).picks
    check_sealed(folder, (CHOICES, CURVES, PROTOCOL))
    rescore(folder, picks)
    reseal(folder)
    scale_show(folder)


@scaling.command(name="report")
def scale_report(
    folder: StoredTrees,
    cost: Annotated[
        str, typer.Option(help="the axis: tokens, processed, flops, latency, seconds, dollars")
    ] = "tokens",
    again: Annotated[
        bool, typer.Option("--again", help="count as a server that keeps no prefixes")
    ] = False,
    problem: Annotated[str | None, typer.Option(help="id of a problem whose trees to show")] = None,
    out: Annotated[
        Path | None, typer.Option(help="write a page (.html) or a picture of the curve (.png)")
    ] = None,
) -> None:
    """Print accuracy against tokens or what they cost, the front, both strata, the choice by difficulty, a tree."""
    from longstep.artifacts import read_json
    from longstep.report import block_rows, blocks_page, interval_picture
    from longstep.report.blocks import Curves
    from longstep.scaling.axes import AXES
    from longstep.scaling.shown import blocks_of
    from longstep.scaling.store import CURVES, read_protocol

    read_protocol(folder)
    axis, known = f"{cost} again" if again else cost, read_json(folder / CURVES)["axes"]
    if axis not in known:
        why = (
            "" if axis not in AXES else "; flops need the model's shape, seconds and dollars prices"
        )
        raise UserError(
            f"--cost: {axis!r} is not known of {folder} (there are: {', '.join(known)}{why})"
        )
    if out is not None and out.suffix not in (".html", ".png"):
        raise UserError(f"--out {out}: expected a name that ends in .html or .png")
    blocks = list(blocks_of(folder, axis, problem))
    for block in blocks:
        rows = block_rows(block)
        if len(rows[0]) > 1:
            print_table(rows, block.title)
        else:
            say(f"{block.title}: {rows[1][0]}")
    if out is not None and out.suffix == ".html":
        blocks_page(out, f"Accuracy against {axis}", blocks)
    elif out is not None:
        curve = next((block for block in blocks if isinstance(block, Curves)), None)
        if curve is None:
            raise UserError(f"--out {out}: {folder} has no curve to draw")
        interval_picture(out, curve, known[axis])
    if out is not None:
        say(f"written: {out}")


@scaling.command(name="show")
def scale_show(
    folder: StoredTrees,
    problem: Annotated[
        str | None, typer.Argument(metavar="[PROBLEM]", help="id of a problem: its trees")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="of a problem: this strategy's tree")] = None,
    as_json: Json = False,
) -> None:
    """Print accuracy against tokens, or the trees of one problem; what no answer goes through is marked x."""
    from longstep.artifacts import read_json
    from longstep.scaling.drawn import tree_lines
    from longstep.scaling.shown import share_with_interval
    from longstep.scaling.store import CURVES, read_protocol, trees

    protocol = read_protocol(folder)
    if problem is None:
        found = read_json(folder / CURVES)
        if as_json:
            print_json(found)
            return
        rows = [["strategy", "pick", "answers", "tokens", "accuracy, 95 %"]]
        for p in found["points"]:
            pick = f"{p['pick']} (bound)" if p["bound"] else p["pick"]
            numbers = [f"{p['answers']:.3g}", f"{p['tokens']:,.0f}", share_with_interval(p)]
            rows.append([p["strategy"], pick, *numbers])
        print_table(rows)
        for point in found["fronts"]["tokens"][1:]:
            say(point["sentence"])
        for remark in found.get("remarks", ()):
            say(remark)
        return
    known = [name for name, _ in protocol.strategies]
    for name in [strategy] if strategy else known:
        if name not in known:
            raise UserError(
                f"{folder}: no strategy is called {name!r} (there are: {', '.join(known)})"
            )
        tree = next((tree for found, tree in trees(folder, name) if found == problem), None)
        if tree is None:
            raise UserError(f"{folder}: no problem has the id {problem!r}; problems.jsonl has them")
        say(f"{name}:")
        for line in tree_lines(tree):
            say(line)
