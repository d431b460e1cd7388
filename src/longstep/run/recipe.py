"""A recipe: a named mapping of stages that refer to each other by ``@name``, read from YAML with overlays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from longstep.config import (
    Field,
    Located,
    Strict,
    UserError,
    ValidationError,
    dump,
    field_validator,
    load_yaml,
    members,
    nearest,
    overlay,
    override,
    validate,
)
from longstep.costs.planning import Planning
from longstep.run.arms import spread
from longstep.run.launch.accelerate import Launch
from longstep.run.phases import expanded
from longstep.run.push import Push, final_stage
from longstep.stages import AnyStage, Stage
from longstep.training.trackers import Tracker
from longstep.wording import dotted
from longstep.yaml12 import KeyPath, walk

RECIPE_FILE = "recipe.yaml"
#: The size that lays nothing over a recipe.
AS_IT_IS = "recipe"
ARTICLES = {"rows": "rows", "model": "a model", "report": "a report"}


class Recipe(Strict):
    """The whole path from problems to a judged model.

    Attributes:
        name: names the run folder.
        seed: every stage derives its own from it.
        differs_from_paper: sentences for the report: what this recipe does differently, and why.
        plan: assumptions of ``longstep plan``; no stage reads them.
        launch: how the processes are started; no stage reads it.
        trackers: where the metric lines of training stages go too; ``metrics.jsonl`` stays the record. ``tensorboard``
            and ``wandb`` write into the stage's folder, wandb online only where ``WANDB_MODE=online`` is set.
        push: ``OWNER/NAME`` on the hub, where the model that the recipe ends with is uploaded to when it is finished;
            nothing is uploaded without it.
        stages: by name; a stage reads others as ``@name``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = 17
    differs_from_paper: tuple[str, ...] = ()
    plan: Planning = Planning()
    launch: Launch | None = None
    trackers: tuple[Tracker, ...] = ()
    push: Push | None = None
    stages: dict[str, AnyStage] = Field(min_length=1)

    @field_validator("stages")
    @classmethod
    def _plain_names(cls, stages: dict[str, AnyStage]) -> dict[str, AnyStage]:
        for name in stages:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(
                    f"stage name {name!r} may hold letters, digits, - and _ only (it names a folder)"
                )
        return stages

    def inputs(self, name: str) -> list[str]:
        """Names of the stages that stage ``name`` reads."""
        return [ref[1:] for ref, _ in self.stages[name].references() if ref.startswith("@")]

    def order(self) -> list[str]:
        """Stage names so that each comes after what it reads; as written where that leaves a choice.

        Raises:
            UserError: stages read each other in a circle.
        """
        done: dict[str, None] = {}
        path: list[str] = []

        def visit(name: str) -> None:
            if name in done:
                return
            if name in path:
                circle = " -> ".join([*path[path.index(name) :], name])
                if path[-1] == name:
                    raise UserError(f"stages.{name}: reads itself, @{name}; name an earlier stage")
                raise UserError(
                    f"stages read each other in a circle: {circle}; let one of them read something else"
                )
            path.append(name)
            for needed in self.inputs(name):
                visit(needed)
            path.pop()
            done[name] = None

        for name in self.stages:
            visit(name)
        return list(done)

    def needed_for(self, only: Sequence[str]) -> list[str]:
        """The named stages and everything they read, in order."""
        for name in only:
            if name not in self.stages:
                close = nearest(name, self.stages)
                hint = f"; did you mean {close!r}?" if close else ""
                raise UserError(
                    f"no stage is called {name!r}{hint} (there are: {', '.join(self.stages)})"
                )
        wanted: set[str] = set()
        waiting = list(only)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting.extend(self.inputs(name))
        return [name for name in self.order() if name in wanted]


def _recipe_roots() -> tuple[Path, ...]:
    """The user's own recipes go before those shipped with the package."""
    return Path("recipes"), Path(str(resources.files("longstep") / "recipes"))


def known_recipes() -> dict[str, Path]:
    """Folders of the recipes that a name alone finds, by name."""
    found: dict[str, Path] = {}
    for root in _recipe_roots():
        for file in sorted(root.glob(f"*/{RECIPE_FILE}")):
            found.setdefault(file.parent.name, file.parent)
    return dict(sorted(found.items()))


def sizes_of(folder: Path) -> list[str]:
    """Overlays that lie beside a recipe."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.name != RECIPE_FILE)


def sizes_told(folder: Path) -> dict[str, str]:
    """The sizes of a recipe, each with the comment that its overlay begins with; ``recipe`` is the recipe as it is."""
    names = sizes_of(folder)
    told = {name: _first_comment(folder / f"{name}.yaml") for name in names}
    return {**told, AS_IT_IS: f"{RECIPE_FILE} as it is"} if names else {}


def _first_comment(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as lines:
        first = next(lines, "")
    sentence = first.removeprefix("#").strip().partition(". ")[0]
    return sentence.rstrip(",.:") if first.startswith("#") else ""


def find_recipe(name: str) -> Path:
    """The folder of a recipe: a path, or a name looked up in ``recipes/`` here and in the package.

    Raises:
        UserError: there is none; the nearest name is proposed.
    """
    for folder in [Path(name), *(root / name for root in _recipe_roots())]:
        if (folder / RECIPE_FILE).is_file():
            return folder
        if folder.suffix in (".yaml", ".yml") and folder.is_file():
            return folder
    known = known_recipes()
    close = nearest(Path(name).name, known)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UserError(
        f"recipe {name!r}: no {RECIPE_FILE} there{hint} (recipes here: {', '.join(known) or 'none'})"
    )


def recipe_files(name: str, size: str | None) -> list[Path]:
    """The recipe file and its overlays; ``tiny+evidence`` lays one over the other.

    Raises:
        UserError: no overlay of that size; the sizes are listed.
    """
    found = find_recipe(name)
    if found.is_file():
        if size is not None:
            raise UserError(f"--size {size}: {found} is one file; sizes lie beside a {RECIPE_FILE}")
        return [found]
    asked = size.split("+") if size not in (None, AS_IT_IS) else []
    tops = [found / f"{part}.yaml" for part in asked]
    for top in tops:
        if not top.is_file() or top.name == RECIPE_FILE:
            sizes = sizes_of(found)
            close = nearest(top.stem, sizes)
            hint = f"; did you mean {close!r}?" if close else ""
            raise UserError(f"--size: {top} does not exist{hint} (sizes: {', '.join(sizes)})")
    return [found / RECIPE_FILE, *tops]


def load(files: Sequence[Path], overrides: Sequence[str] = ()) -> tuple[Recipe, Located]:
    """Read, overlay, override, write out arms and phases, validate, and check every reference and ``trainer:`` key.

    Raises:
        UserError: with ``file:line`` of each complaint.
    """
    located = load_yaml(files[0])
    for file in files[1:]:
        located = overlay(located, load_yaml(file))
    for assignment in overrides:
        located = override(located, assignment)
    located = expanded(spread(located))
    recipe = validate(Recipe, located)
    check(recipe, located)
    return recipe, located


def check(recipe: Recipe, located: Located) -> None:
    """Check every reference and ``trainer:`` key of a recipe.

    Raises:
        UserError: with ``file:line`` of each complaint.
    """
    complaints = [*_reference_complaints(recipe, located), *_stage_complaints(recipe, located)]
    if complaints:
        raise UserError("\n".join(complaints))
    recipe.order()
    if recipe.push is not None:
        try:
            final_stage(recipe, recipe.push.stage)
        except UserError as error:
            raise UserError(f"{located.origin(('push',)) or recipe.name}: {error}") from None


def _place(
    recipe: Recipe, located: Located, name: str, text: str | None = None, number: int = 0
) -> str:
    """``file:line: stages.name.key`` of a value inside a stage, or of the stage itself.

    Args:
        recipe: has the stage.
        located: where it was written.
        name: of the stage.
        text: the value; ``None`` for the stage itself.
        number: of the reference that it is, to tell it from an equal one.
    """
    stage = recipe.stages[name]
    paths = [p for p, value in walk(dump(stage), ()) if text is not None and value == text]
    path = next((p for p in paths if len(paths) > 1 and _is_reference(stage, p, number)), None)
    whole = ("stages", name, *(path or next(iter(paths), ())))
    origin = located.origin(whole)
    return f"{origin}: {dotted(whole)}" if origin else dotted(whole)


def _is_reference(stage: Stage, path: KeyPath, number: int) -> bool:
    """Whether the value at a place is the reference of this number: another value there changes just that one."""
    data: Any = dump(stage)
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = mark = "@another"
    try:
        references = [reference for reference, _ in type(stage).model_validate(data).references()]
    except ValidationError:
        return False
    return len(references) > number and references[number] == mark


def _reference_complaints(recipe: Recipe, located: Located) -> Iterator[str]:
    for name, stage in recipe.stages.items():
        for number, (reference, wanted) in enumerate(stage.references()):
            place = _place(recipe, located, name, reference, number)
            if not reference.startswith("@"):
                if not reference:
                    yield f"{place}: is empty; name a stage as '@name', a file or a folder"
                    continue
                absent = not Path(reference).exists()
                if absent and (wanted == "rows" or reference in recipe.stages):
                    hint = f"; did you mean '@{reference}'?" if reference in recipe.stages else ""
                    yield f"{place}: no file or folder {reference!r}{hint}"
                continue
            target = recipe.stages.get(reference[1:])
            if target is None:
                close = nearest(reference[1:], recipe.stages)
                hint = f"; did you mean '@{close}'?" if close else ""
                fits = [
                    each
                    for each, stage in recipe.stages.items()
                    if stage.produces == wanted and each != name
                ]
                there = ", ".join(f"@{each}" for each in fits) or "none"
                yield f"{place}: no stage is called {reference!r}{hint} (stages that make {ARTICLES[wanted]}: {there})"
            elif target.produces != wanted:
                made, must = ARTICLES[target.produces], ARTICLES[wanted]
                yield f"{place}: {reference!r} is a stage that makes {made}; {must} must stand here"


def _stage_complaints(recipe: Recipe, located: Located) -> Iterator[str]:
    for name, stage in recipe.stages.items():
        for path, each in members(stage):
            for complaint in each.check():
                below = f"{dotted(path)}." if path else ""
                yield placed(recipe, located, name, f"{below}{complaint}")


def placed(recipe: Recipe, located: Located, name: str, complaint: str) -> str:
    """A stage's complaint with the file and line of the key it begins with, ``=`` before a value instead of a key."""
    key, _, sentence = complaint.partition(": ")
    if key.startswith("="):
        return f"{_place(recipe, located, name, key[1:])}: {sentence}"
    if not re.fullmatch(r"[\w@-]+(\.[\w@-]+)*", key) or not sentence:
        return f"{_place(recipe, located, name)}: {complaint}"
    path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    origin = located.origin(("stages", name, *path))
    return (
        f"{origin}: stages.{name}.{key}: {sentence}"
        if origin
        else f"stages.{name}.{key}: {sentence}"
    )
