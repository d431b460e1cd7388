"""A killed run, started again with the same command, ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from longstep.training.checkpoints import latest, step_of
from patience import PATIENCE
from short_recipe import (
    Setting,
    attempt,
    begin,
    contents,
    finish,
    kill_after_step,
    lines,
    outcome,
    start,
    without,
)

KILLS = 20
TIMES = {"seconds", "step_time", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


def durations(folder: Path) -> dict[str, float]:
    """Seconds of each stage of an undisturbed run, in order."""
    return {
        e["stage"]: e["seconds"] for e in lines(folder / "events.jsonl") if e["event"] == "finished"
    }


def beginnings(folder: Path, stage: str) -> int:
    """How often a stage was begun or continued so far."""
    path = folder / "events.jsonl"
    whole = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    word = f'"stage": "{stage}"'.encode()
    return sum(word in line and b'"finished"' not in line for line in whole)


def kill_inside(process: BaseProcess, folder: Path, stage: str, delay: float) -> bool:
    """SIGKILL a run ``delay`` seconds after it begins a stage; false when it ended before."""
    before = beginnings(folder, stage)
    if not (folder / stage / "manifest.json").exists():
        while process.is_alive() and beginnings(folder, stage) == before:
            time.sleep(0.001)
    process.join(delay)
    process.kill()
    return outcome(process, folder) == "killed"


def logged(folder: Path) -> dict[str, list[Mapping[str, Any]]]:
    """Every log of every stage, without what a clock said."""
    return {
        str(path.relative_to(folder)): [
            {key: value for key, value in row.items() if key not in TIMES} for row in lines(path)
        ]
        for path in sorted(folder.glob("*/*.jsonl"))
    }


def test_twenty_kills_spread_over_all_stages(finished: Path, tmp_path: Path) -> None:
    folder, generator = tmp_path / "run", random.Random(20)
    kills = 0
    for stage, seconds in durations(finished).items():
        for _ in range(
            2
        ):  # 24 moments; in a stage of a few milliseconds a kill may come too late to count
            kills += kill_inside(begin(folder), folder, stage, generator.random() * seconds)
    assert kills >= KILLS
    assert finish(folder) == "done"

    assert contents(folder) == contents(finished)
    assert logged(folder) == logged(finished)  # no metric line, rollout or note lost or doubled
    for path in folder.glob("*/out/**/*completions*.jsonl"):
        names = [(row["problem_id"], row["sample_index"]) for row in lines(path)]
        assert len(set(names)) == len(names) > 0
    assert not list(folder.glob("*/checkpoints")) and not list(folder.glob("*/partial"))


@pytest.mark.parametrize("stage", ["sft1", "nca", "rl"])
def test_kill_between_two_checkpoints(finished: Path, tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, stage)
    kill_after_step(folder, setting, 3)  # checkpoints are taken after steps 2 and 4
    assert sealed_step(folder / stage) == 2
    assert finish(folder, setting) == "done"
    assert contents(folder) == contents(finished)
    assert logged(folder) == logged(finished)


def photograph(folder: Path, stage: str, album: Path) -> None:
    """From now on copy the stage's folder before each write, rename and removal of a file below it.

    SIGKILL leaves exactly the files of that moment: what a process has not yet handed to the system is not copied.
    """
    watched, busy = str(folder / stage), False

    def before_change(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        changing = event in ("os.rename", "shutil.rmtree") or (
            event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        )
        if busy or not changing or not str(arguments[0]).startswith(watched):
            return
        busy = True
        shutil.copytree(watched, album / f"{len(os.listdir(album)):03}")
        busy = False

    (folder / stage).mkdir()
    album.mkdir()
    sys.addaudithook(before_change)


def sealed_step(stage_folder: Path) -> int:
    """After which step a stage would continue."""
    checkpoint = latest(stage_folder / "checkpoints")
    return step_of(checkpoint) if checkpoint else 0


def resume_from(pictures: list[Path], folder: Path, stage: str, results: Path) -> None:
    """Continue from each photograph; write what that made."""
    found = []
    for picture in pictures:
        shutil.rmtree(folder / stage)
        shutil.copytree(picture, folder / stage)
        attempt(folder, Setting(only=(stage,)))
        found.append([contents(folder)[stage], logged(folder)])
    results.write_text(json.dumps(found), encoding="utf-8")


@pytest.mark.parametrize("stage", ["sft2", "rl"])
def test_kill_at_every_write_rename_and_removal_of_a_stage(
    finished: Path, tmp_path: Path, stage: str
) -> None:
    folder, album, results = tmp_path / "run", tmp_path / "album", tmp_path / "results.json"
    setting = without(finished, folder, stage)
    assert finish(folder, setting, partial(photograph, stage=stage, album=album)) == "done"

    by_step: dict[int, list[Path]] = {}
    unfinished = [path for path in sorted(album.iterdir()) if not (path / "manifest.json").exists()]
    for picture in unfinished:
        looked_at = shutil.copytree(
            picture, tmp_path / "look" / picture.name
        )  # looking removes what is broken
        by_step.setdefault(sealed_step(looked_at), []).append(picture)
    # A sealed checkpoint is never lost again: not while the next is written, not while an old one is removed.
    assert list(by_step) == [0, 2, 4, 6]
    assert [path for pictures in by_step.values() for path in pictures] == unfinished

    # From the first and the last moment of each.
    chosen = [pictures[i] for pictures in by_step.values() for i in (0, -1)]
    process = start(resume_from, chosen, folder, stage, results)
    process.join(PATIENCE)
    assert process.exitcode == 0
    for content, logs in json.loads(results.read_text("utf-8")):
        assert content == contents(finished)[stage]
        assert logs == logged(finished)


def die_at(folder: Path, size: int) -> None:
    """The system kills this process in the middle of writing a file that grows beyond ``size``."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [300_000, 700_000], ids=["model.safetensors", "optimizer.pt"])
def test_kill_in_the_middle_of_a_file(finished: Path, tmp_path: Path, size: int) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, "sft2")
    process = begin(folder, setting, partial(die_at, size=size))
    assert outcome(process, folder) == "killed"
    assert process.exitcode == -signal.SIGXFSZ
    assert (folder / "sft2" / "checkpoints" / "checkpoint-2" / "config.json").exists()
    assert latest(folder / "sft2" / "checkpoints") is None
    assert finish(folder, setting) == "done"
    assert contents(folder) == contents(finished)
