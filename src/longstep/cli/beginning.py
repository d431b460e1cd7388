"""``longstep init``: look at a file, write a recipe that loads, say what comes next."""

from __future__ import annotations

from pathlib import Path

from longstep.artifacts import write_bytes
from longstep.cli.terminal import say
from longstep.config import Located, UserError, validate
from longstep.jobs.words import HUB, pairs
from longstep.run.init import lines_of, look, recipe_text
from longstep.run.recipe import Recipe
from longstep.yaml12 import parse


def begin(file: Path, model: str, reading: tuple[str, str | None], out: Path | None) -> None:
    """Write the recipe.

    Raises:
        UserError: the file cannot be read or holds nothing to train on, or a recipe of that name is there.
    """
    if str(file).startswith(HUB):
        raise UserError(f"init: reads files; fetch the dataset first: longstep data check {file}")
    if not file.is_file():
        raise UserError(f"init: no file {str(file)!r}")
    layout, columns = reading
    target = out or Path(f"{file.name.split('.')[0]}.yaml")
    if target.exists():
        raise UserError(f"{target}: is there already; delete it, or give another name with --out")
    seen = look(file, layout, pairs(columns.split(","), "--columns") if columns else {})
    text = recipe_text(seen, model)
    validate(Recipe, Located(parse(text)[0], {}))
    write_bytes(target, text.encode())
    for line in lines_of(seen):
        say(line)
    say(f"recipe: {target}; next: longstep plan {target}, then longstep run {target}")
