"""Trackers get what metrics.jsonl has, once each, also when a run goes on after a kill."""

from __future__ import annotations

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
from short_recipe import Setting, lines, run_of

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
