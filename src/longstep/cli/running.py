"""What ``run``, ``status`` and ``report`` do once they know their recipe or folders: one run, or one for each seed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from longstep.cli.terminal import Interrupted, console, print_json, print_table, say
from longstep.config import UserError
from longstep.run.extras import absent
from longstep.training.ranks import world

if TYPE_CHECKING:
    from longstep.run.runner import Run

#: Between two looks of ``status --watch``.
WATCH_SECONDS = 2.0
_MOST_SEEDS = 1000


def seed_numbers(text: str) -> list[int]:
    """``1-5``, ``17`` or ``1-3,8`` as numbers.

    Raises:
        UserError: it is none of these.
    """
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if last < first or last - first >= _MOST_SEEDS:
            raise UserError(f"--seeds {text}: expected numbers and ranges such as 1-5 or 1,2,7")
        found += range(first, last + 1)
    if len(set(found)) < len(found):
        raise UserError(f"--seeds {text}: names a seed twice")
    return found


def run_one(task: Run, only: Sequence[str]) -> None:
    """Run a recipe in its folder."""
    from longstep.run.runner import execute

    try:
        execute(task, only)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command continues") from None


def tell_of_run(task: Run) -> None:
    """Print a run's scores and write its page."""
    from longstep import report

    rows = report.table(task.folder)
    if len(rows) > 1:
        print_table(rows, f"{task.recipe.name}: held-out scores, 95 % intervals")
        for sentence in report.table_notes(task.folder):
            say(sentence)
    # What a run made is whole without its page, which `longstep report` writes whenever the extra is there.
    lacking = absent().get("report")
    say(f"report: {lacking or report.build_report(task.folder)}")


def push_after(task: Run) -> None:
    """Upload the model where the recipe asks for it and the run came that far."""
    from longstep.artifacts import read_manifest
    from longstep.run.push import final_stage, push_run

    if task.recipe.push is None:
        return
    stage = final_stage(task.recipe, task.recipe.push.stage)
    if read_manifest(task.stage_folder(stage)) is None:
        say(f"push: stage {stage}, whose model goes to {task.recipe.push.to}, has not run yet")
        return
    push_run(task.folder, task.recipe.push, say)


def run_seeds(
    make: Callable[[int], Run], seeds: Sequence[int], folder: Path, only: Sequence[str]
) -> None:
    """Run a recipe once for each seed, and tell of all of them together.

    Raises:
        UserError: several processes were started, which share one run.
    """
    from longstep import report

    if world() > 1:
        raise UserError(
            f"--seeds: {world()} processes share one run; start one command for each seed=N --out {folder}/seed-N, "
            f"then longstep report {folder}"
        )
    lacking = absent().get("report")
    for task in [make(seed) for seed in seeds]:  # all of them are checked before the first one runs
        say(f"{task.folder}: seed {task.recipe.seed}")
        run_one(task, only)
        if lacking is None:
            report.build_report(task.folder)
    tell_of_several([folder], None)


def tell_of_several(folders: Sequence[Path], out: Path | None) -> None:
    """Print and write what several runs say together; a folder of seeds stands for its runs.

    Raises:
        UserError: a folder holds no run.
    """
    from longstep import report
    from longstep.run.compare import compare, seed_folders

    runs = [run for folder in folders for run in (seed_folders(folder) or [folder])]
    seeds = len(folders) == 1
    labels = [run.name.replace("-", " ") for run in runs] if seeds else ()
    found = compare(runs, labels)
    rows = report.comparison_rows(found)
    if len(rows) > 1:
        print_table(rows, f"{found.title}, 95 % intervals")
    for column in found.columns:
        for sentence in column.sentences:
            say(f"{column.title}: {sentence}")
    page = out or (folders[0] / "report.html" if seeds else Path("comparison.html"))
    if (lacking := absent().get("report")) is None:
        report.comparison_page(page, found)
    say(f"report: {lacking or page}")


def tell_status(folder: Path, watch: bool, as_json: bool) -> None:
    """Print how far a run is; with ``watch`` again and again while it runs.

    Raises:
        UserError: the folder is not a run.
    """
    from longstep.cli.status import is_running, sentences, stage_rows, status_table
    from longstep.run.compare import seed_folders

    while True:
        runs = seed_folders(folder) or [folder]
        rows = {run.name: stage_rows(run) for run in runs}
        if as_json:
            print_json(rows if len(runs) > 1 else rows[runs[0].name])
        elif watch and console.is_terminal:
            console.clear()
        for name, found in rows.items() if not as_json else ():
            print_table(status_table(found), name if len(runs) > 1 else "")
            for sentence in sentences(found):
                say(f"* {sentence}")
        if not (watch and any(map(is_running, rows.values()))):
            return
        time.sleep(WATCH_SECONDS)
