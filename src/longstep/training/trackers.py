"""Curves sent to a tracker too: a mirror of ``metrics.jsonl``, which stays the record.

The trackers are accelerate's, by its names. Nothing is sent anywhere unless somebody asks for it: wandb writes to the
stage's folder, to be synced later, unless ``WANDB_MODE`` says otherwise.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import read_json, write_json

Tracker = Literal[
    "aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "tensorboard", "trackio", "wandb"
]
#: Name of a tracker -> the module it imports, and the package that brings it, where they are called otherwise.
_CALLED = {"aim": ("aim", "aim"), "comet_ml": ("comet_ml", "comet-ml")}
#: Those that keep lines in memory, so that a kill loses some, and take a step that they have already only once.
_TOLD_AGAIN = ("wandb",)
#: The record that the lines come from.
_RECORD = "metrics.jsonl"
#: Beside the logs of a stage: under which id its curves go on after an interruption.
ID = "trackers.json"


def module_of(name: str) -> str:
    """The module that a tracker imports."""
    return _CALLED.get(name, (name, name))[0]


def package_of(name: str) -> str:
    """What to install for a tracker."""
    return _CALLED.get(name, (name, name))[1]


@dataclass
class Mirror:
    """The trackers of one stage.

    Attributes:
        names: of the trackers; none is the default.
        folder: of the stage.
    """

    names: Sequence[str] = ()
    folder: Path = Path()
    _opened: list[Any] = field(default_factory=list)

    def open(self, step: int) -> None:
        """Begin, or go on under the same id after ``step``: what was sent of later steps before a kill is replaced.

        Args:
            step: the last one that counts; the record was cut there.
        """
        if not self.names:
            return
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        for name in self.names:
            made = LOGGER_TYPE_TO_CLASS[name]
            place = {"logging_dir": str(self.folder)} if made.requires_logging_directory else {}
            tracker = made(self._called(name), **place, **self._settings(name, step))
            tracker.start()
            for row in self._recorded() if name in _TOLD_AGAIN else ():
                tracker.log(dict(_numbers(row)), step=row["step"])
            self._opened.append(tracker)

    def log(self, row: Mapping[str, object]) -> None:
        """Send one metric line."""
        values = dict(_numbers(row))
        for tracker in self._opened:
            tracker.log(values, step=row["step"])

    def close(self) -> None:
        """Send what is left."""
        while self._opened:
            self._opened.pop().finish()

    def _recorded(self) -> Iterator[Mapping[str, Any]]:
        path = self.folder / _RECORD
        if path.is_file():
            yield from map(json.loads, path.read_text("utf-8").splitlines())

    def _called(self, name: str) -> str:
        """TensorBoard's is a folder inside of the stage's; elsewhere the run is the project."""
        return name if name == "tensorboard" else self.folder.resolve().parent.name

    def _settings(self, name: str, step: int) -> dict[str, Any]:
        if name == "tensorboard":
            return {"purge_step": step + 1}
        if name == "wandb":
            mode = os.environ.get("WANDB_MODE", "offline")
            which = {"id": self.id(), "resume": "allow", "name": self.folder.name}
            return {**which, "mode": mode, "dir": str(self.folder)}
        return {}

    def id(self) -> str:
        """The id of this stage's curves, made once."""
        path = self.folder / ID
        if not path.is_file():
            write_json(path, {"id": uuid.uuid4().hex[:16]})
        return str(read_json(path)["id"])


def _numbers(row: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if name != "step" and isinstance(value, int | float) and math.isfinite(value):
            yield name, value
