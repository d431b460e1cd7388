"""Whether this machine has the memory that the plan says each stage needs: asked before the first stage of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from longstep.config import Located, UserError
from longstep.costs.estimate import Fleet, StagePlan, Unknown
from longstep.costs.planning import OwnDevice
from longstep.models.load import device_memory
from longstep.run.plan import estimated, too_large
from longstep.run.recipe import Recipe, placed
from longstep.training.ranks import sharded, world

#: Enough for everything: to learn whether a stage needs memory here at all, before torch is loaded to look at devices.
ENDLESS = OwnDevice(memory=1e9, tflops=1)


def refuse_unfit(
    recipe: Recipe,
    located: Located,
    names: Sequence[str],
    anyway: Callable[[str], None] | None = None,
) -> None:
    """Refuse stages that this machine has too little memory for.

    Args:
        recipe: all stages.
        located: where its values were written.
        names: the stages that are to run.
        anyway: is told, and nothing is refused.

    Raises:
        UserError: one line for each stage, with the settings that help.
    """
    if not any(stage.memory for stage in _planned(recipe, ENDLESS) if stage.stage in names):
        return
    here = this_device()
    plan = recipe.plan.model_copy(update={"device": here})
    said = [
        placed(recipe, located, stage.stage, too_large(stage, plan, "here"))
        for stage in _planned(recipe, here)
        if stage.relief and stage.stage in names
    ]
    if said and anyway is None:
        raise UserError("\n".join([*said, "nothing was started; --anyway runs it all the same"]))
    for sentence in said:
        assert anyway is not None
        anyway(f"going on anyway: {sentence}")


def this_device() -> OwnDevice:
    """The accelerator of each process, or its part of the machine's memory; how fast it is nobody asks here."""
    memory, cores = device_memory()
    share = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if cores else 1
    return OwnDevice(memory=memory / share / 1e9, tflops=1, cores=cores)


def _planned(recipe: Recipe, device: OwnDevice) -> list[StagePlan]:
    offload = recipe.launch is not None and recipe.launch.offload
    fleet = Fleet(world(), sharded(), offload and sharded())
    plan = recipe.plan.model_copy(update={"device": device, "devices": None})
    here = recipe.model_copy(update={"plan": plan})
    return estimated(here, fleet, (Unknown, UserError))[0]
