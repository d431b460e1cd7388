"""What a run refuses before its first stage begins: everything that settings and inputs already tell.

Each stage, and each member of a family inside of it, answers for itself: ``check`` needs the settings alone (``recipe``
asks it), ``misfits`` what is there before the run and what earlier stages will make, ``absent`` and ``libraries`` what
this machine has. ``plan`` asks all but the last two: it may be made for another machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from longstep.config import Located, UserError, members
from longstep.foresight import Ahead, Foreseen
from longstep.models.start import Unopened
from longstep.run.extras import command, extra_of, is_here
from longstep.run.push import final_stage, hub_refusals
from longstep.run.recipe import Recipe, placed
from longstep.stages import Stage
from longstep.training.trackers import module_of, package_of
from longstep.wording import dotted


def refuse_early(
    recipe: Recipe, located: Located, names: Sequence[str], here: bool = False
) -> None:
    """Refuse what would fail later.

    Args:
        recipe: all stages.
        located: where its values were written.
        names: the stages that are to run.
        here: whether they run now, on this machine; else the hub is not asked and nothing of the machine is.

    Raises:
        UserError: one line for each complaint, with its file and line, stage and key.
    """
    models, seen = Unopened(ask=here), dict[str, Foreseen]()
    foreseen: dict[str, Foreseen] = {}
    said = {each: each for each in _afterwards(recipe, names)} if here and names else {}
    for name in recipe.order():
        stage = recipe.stages[name]
        inputs = {f"@{each}": foreseen[each] for each in recipe.inputs(name)}
        ahead = Ahead(name, inputs, models, seen)
        foreseen[name] = _foreseen(stage, ahead)
        for complaint in _complaints(stage, ahead, here) if name in names else ():
            # What is wrong with a model is wrong for every stage that uses it.
            said.setdefault(complaint.partition(": ")[2], placed(recipe, located, name, complaint))
    if said:
        raise UserError("\n".join(said.values()))


def _afterwards(recipe: Recipe, names: Sequence[str]) -> Iterator[str]:
    """Trackers that are not installed, and a hub that would not take the model."""
    for name in recipe.trackers:
        if not is_here(module_of(name)):
            yield (
                f"trackers: {name} is not installed: pip install {package_of(name)}; or leave it out, metrics.jsonl "
                "of each stage holds the same numbers"
            )
    if recipe.push is not None and final_stage(recipe, recipe.push.stage) in names:
        for refusal in hub_refusals(recipe.push):
            yield f"{refusal}; or leave push out, and type longstep push RUN {recipe.push.to} when the run is finished"


def _foreseen(stage: Stage, ahead: Ahead) -> Foreseen:
    try:
        return stage.foreseen(ahead)
    except (UserError, ModuleNotFoundError):
        return Foreseen()


def _complaints(stage: Stage, ahead: Ahead, here: bool) -> Iterator[str]:
    lacking = [*_lacking(stage)] if here else []
    yield from lacking
    for path, each in members(stage) if here and not lacking else ():
        yield from (_below(path, said) for said in each.absent())
    try:
        yield from stage.misfits(ahead)
    except UserError as error:
        yield str(error)
    except ModuleNotFoundError as error:  # a light installation sees no further
        if extra_of(error.name or "") is None:
            raise
    yield from _references(stage, ahead)


def _references(stage: Stage, ahead: Ahead) -> Iterator[str]:
    """Models that are nowhere."""
    for reference, artifact in stage.references():
        if artifact == "model":
            try:
                ahead.start(reference)
            except UserError as error:
                yield f"={reference}: {error}"


def _lacking(stage: Stage) -> Iterator[str]:
    told: set[str] = set()
    for path, each in members(stage):
        for module in sorted(each.libraries()):
            extra = extra_of(module)
            if extra is not None and extra not in told and not is_here(module):
                told.add(extra)
                yield _below(
                    path, f"kind: needs {module}, which is not installed: {command(extra)}"
                )


def _below(path: tuple[str | int, ...], said: str) -> str:
    return f"{dotted(path)}.{said}" if path else said
