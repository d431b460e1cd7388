"""What every verb of the program shares: printing for people and machines, and running one stage by itself."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from longstep.config import Located, UserError
from longstep.training.ranks import rank

#: Unicode categories of characters that a terminal obeys or cannot show: control, format, surrogate.
_OBEYED = ("Cc", "Cf", "Cs")

console = Console(highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]


class Interrupted(UserError):
    """The user pressed Ctrl-C."""

    exit_code = 130


def harmless(text: str) -> str:
    """Text that a terminal only shows: control characters, which could move its cursor or rename it, are escaped.

    So are characters that turn the direction of writing, and lone surrogates, which cannot be encoded; newlines and
    tabs stay.
    """
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _OBEYED and char not in "\n\t" else char
        for char in text
    )


def say(text: str) -> None:
    """Print one plain line."""
    console.print(harmless(text), markup=False)


def print_json(value: object) -> None:
    """Print JSON for a machine."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def print_table(rows: list[list[str]], title: str = "") -> None:
    """Print rows, the first one as header; columns of numbers to the right."""
    table = Table(title=Text(harmless(title)), title_justify="left", header_style="bold")
    for name, *cells in zip(*rows, strict=True):
        numbers = any(cells) and all(re.fullmatch(r"[\d,.-]*", cell) for cell in cells)
        table.add_column(Text(harmless(name)), justify="right" if numbers else "left")
    for row in rows[1:]:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console.print(table, markup=False)


def quiet_libraries() -> None:
    """Keep libraries from going online or writing over our progress lines; torch gets the cores there are."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # TRL sets options by the names transformers is about to rename; nothing a user of ours can act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\.")


def run_single(
    kind: str, settings: Located, out: Path, seed: int | None = None, anyway: bool = False
) -> None:
    """Run one stage outside of a recipe, with the seed of recipes when none is given."""
    quiet_libraries()
    from longstep.config import validate
    from longstep.run.recipe import Recipe, check
    from longstep.run.runner import Run, execute

    data: dict[str, Any] = {"name": kind, "stages": {kind: {"kind": kind, **settings.data}}}
    if seed is not None:
        data["seed"] = seed
    origins = {("stages", kind, *path): origin for path, origin in settings.origins.items()}
    located = Located(data, origins)
    recipe = validate(Recipe, located)
    check(recipe, located)
    try:
        execute(Run(recipe, located, out, say, anyway))
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command continues") from None
    if rank() == 0:
        say(f"{kind}: {out / kind / 'out'}")
