"""An optimiser's state, carried from the stage that kept it to the one that goes on with its model.

It stands in a folder beside the weights, which nobody else reads. Only what the optimiser has gathered is carried,
moments and counts; rates and other settings are those of the stage that goes on, its warm-up and schedule begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.training.ranks import rank

FOLDER = "optimizer"
FILE = f"{FOLDER}/state.safetensors"


def keep(state: Mapping[str, Any], folder: Path, kind: str) -> None:
    """Write the ``state_dict`` of an optimiser of this kind."""
    from safetensors.torch import save_file

    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{number}.{name}": value.contiguous()
        for number, each in state["state"].items()
        for name, value in each.items()
    }
    save_file(tensors, path, metadata={"kind": kind})


def take(optimizer: Any, folder: Path, kind: str) -> None:
    """Let a fresh optimiser begin with what another of its kind had gathered.

    Raises:
        UserError: nothing was kept, or it belongs to another kind or to weights of other shapes.
    """
    from safetensors import safe_open

    path = folder / FILE
    if not path.is_file():
        raise UserError(f"optimizer_state: {absent(str(folder))}")
    found: dict[int, dict[str, Any]] = {}
    with safe_open(path, "pt") as file:
        kept = (file.metadata() or {}).get("kind")
        if kept != kind:
            raise UserError(
                f"optimizer_state: {path} was kept by {kept}, and the optimiser is {kind}; take the same, or leave "
                "optimizer_state out"
            )
        for key in file.keys():  # noqa: SIM118
            number, _, name = key.partition(".")
            found.setdefault(int(number), {})[name] = file.get_tensor(key)
    shapes = [p.shape for group in optimizer.param_groups for p in group["params"]]
    for number, name, shape in _shapes(found):
        if number >= len(shapes) or shape != shapes[number]:
            raise UserError(
                f"optimizer_state: {path} belongs to other weights: {name} of weight {number} has shape "
                f"{[*shape]}; start from the model that it was kept with, or leave optimizer_state out"
            )
    optimizer.load_state_dict({**optimizer.state_dict(), "state": found})


def place(folder: Path) -> None:
    """Put what a stage has kept beside the weights that it has written."""
    if rank() == 0:
        (folder / FOLDER).rename(folder / "out" / FOLDER)


def absent(start: str) -> str:
    """What is said of a start without a state."""
    return f"{start} kept no optimiser state; set keep_optimizer: true in the stage that makes it, or leave this out"


def _shapes(state: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[int, str, Any]]:
    """Of everything that belongs to places of a weight; counts belong to all of it."""
    for number, each in state.items():
        yield from ((number, name, value.shape) for name, value in each.items() if value.ndim)
