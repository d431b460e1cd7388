"""Trackers get what metrics.jsonl has, once each, also when a run goes on after a kill."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from longstep.artifacts import write_rows
from longstep.config import Located, UserError, validate
from longstep.run import early
from longstep.run.recipe import Recipe
from longstep.run.runner import execute
from longstep.training.trackers import Mirror
from longstep.yaml12 import parse
from short_recipe import Setting, finish, kill_after_step, lines, run_of

RECIPE = """
name: curves
trackers: [wandb]
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 1]}]}
  traces:
    kind: sample
    by: {kind: reference, model: "@base"}
    data: "@problems"
    sampling: {samples: 1, max_tokens: 60}
  sft: {kind: sft, model: "@base", data: "@traces", steps: 3, batch: 4, max_length: 96, save_every: 2, log_every: 1}
"""


class Listed:
    """A tracker that keeps what it is sent, in the place of one that is not installed."""

    requires_logging_directory = False
    made: ClassVar[list[Listed]] = []

    def __init__(self, run_name: str, **settings: Any) -> None:
        self.run_name, self.settings, self.rows, self.ended = run_name, settings, [], False
        Listed.made.append(self)

    def start(self) -> None:
        self.rows = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        self.ended = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[Listed]:
    from accelerate import tracking

    Listed.made.clear()
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Listed)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return Listed.made


def told(tracker: Listed) -> list[tuple[int, float]]:
    return [(step, values["loss"]) for step, values in tracker.rows]


def test_a_run_is_mirrored_line_by_line(
    wandb: list[Listed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "is_here", lambda module: True)
    folder = tmp_path / "run"
    execute(run_of(folder, Setting(text=RECIPE)))
    [tracker] = wandb
    rows = lines(folder / "sft" / "metrics.jsonl")
    assert told(tracker) == [(row["step"], row["loss"]) for row in rows] and len(rows) == 3
    assert tracker.ended and tracker.run_name == "run"
    assert (tracker.settings["mode"], tracker.settings["name"]) == ("offline", "sft")


def test_a_resumed_run_goes_on_under_its_id_and_says_again_what_a_kill_lost(
    wandb: list[Listed], tmp_path: Path
) -> None:
    rows = [
        {"step": step, "loss": 1 / step, "rate": None, "norm": float("nan")} for step in range(1, 5)
    ]
    mirror = Mirror(("wandb",), tmp_path)
    mirror.open(0)
    for row in rows:
        mirror.log(row)
    assert wandb[0].rows[1] == (2, {"loss": 0.5})  # no null and no NaN
    # Killed after step 4; the record, which has no NaN, is cut at the checkpoint.
    write_rows(tmp_path / "metrics.jsonl", [{**row, "norm": None} for row in rows[:2]])
    again = Mirror(("wandb",), tmp_path)
    again.open(2)
    again.log(rows[2])
    again.close()
    first, second = wandb
    assert first.settings["id"] == second.settings["id"] and second.settings["resume"] == "allow"
    assert told(second) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert (first.ended, second.ended) == (False, True)
    other = Mirror(("wandb",), tmp_path / "other")
    other.open(0)
    assert wandb[2].settings["id"] != first.settings["id"]


def test_tensorboard_shows_every_step_once_after_a_kill(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    killed, resumed = (Mirror(("tensorboard",), tmp_path) for _ in range(2))
    killed.open(0)
    for step in range(1, 5):
        killed.log({"step": step, "loss": 1.0})
    resumed.open(2)
    for step in range(3, 6):
        resumed.log({"step": step, "loss": 0.5})
    resumed.close()
    found = events.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [
        (1, 1),
        (2, 1),
        (3, 0.5),
        (4, 0.5),
        (5, 0.5),
    ]


def tensorboard_curves(stage: Path) -> list[dict[int, float]]:
    """The loss by step, as TensorBoard shows a folder: a step that was purged is gone."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = events.EventAccumulator(str(stage / "tensorboard"))
    found.Reload()
    shown = [(event.step, event.value) for event in found.Scalars("loss")]
    assert len(shown) == len(dict(shown)), "a step is shown twice"
    return [dict(shown)]


def wandb_curves(stage: Path) -> list[dict[int, float]]:
    """The loss by step in each file that wandb wrote offline, oldest first; all are of the stage's id."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    found: list[dict[int, float]] = []
    for path in sorted(stage.glob("wandb/offline-run-*/*.wandb")):
        assert path.stem == f"run-{Mirror(folder=stage).id()}"
        curve: dict[int, float] = {}
        for data in leveldb_records(path.read_bytes()):
            record = pb.Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                values = {each.nested_key[0]: each.value_json for each in record.history.item}
                assert record.history.step.num not in curve
                curve[record.history.step.num] = float(values["loss"])
        found.append(curve)
    return found


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """The records of LevelDB's log format behind wandb's header of 7 bytes, as far as they are whole."""
    at, part = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:  # a block's end too short for a header is padding
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part, at = part + data[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield part
            part = b""


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_the_curve_of_a_run_that_was_killed_is_the_curve_of_its_record(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip(name)
    curves = {"tensorboard": tensorboard_curves, "wandb": wandb_curves}[name]
    text = RECIPE.replace("[wandb]", f"[{name}]").replace("steps: 3", "steps: 6")
    setting, folder = Setting(text=text), tmp_path / "run"
    kill_after_step(
        folder, setting, 3
    )  # a checkpoint was taken after step 2, so step 3 is trained again
    assert not (folder / "sft" / "manifest.json").exists() and curves(folder / "sft")
    assert finish(folder, setting) == "done"
    rows = lines(folder / "sft" / "metrics.jsonl")
    record = {row["step"]: row["loss"] for row in rows}
    assert list(record) == [1, 2, 3, 4, 5, 6]
    *lost, whole = curves(folder / "sft")
    assert whole == pytest.approx(record, rel=1e-6)  # TensorBoard keeps float32
    # What the killed process had sent is part of it, step by step.
    for curve in lost:
        assert set(curve) <= {1, 2, 3} and curve == {step: whole[step] for step in curve}
    assert len(lost) == {"tensorboard": 0, "wandb": 1}[name]


def test_an_unknown_tracker_and_one_that_is_not_installed_are_refused() -> None:
    with pytest.raises(UserError, match=r"trackers\.0: .*wandb"):
        validate(Recipe, Located(parse(RECIPE.replace("[wandb]", "[wandbb]"))[0]))
    located = Located(parse(RECIPE.replace("[wandb]", "[comet_ml]"))[0])
    recipe = validate(Recipe, located)
    early.refuse_early(recipe, located, ["base"])  # a plan may be made for another machine
    with pytest.raises(
        UserError, match="trackers: comet_ml is not installed: pip install comet-ml"
    ):
        early.refuse_early(recipe, located, ["base"], here=True)
