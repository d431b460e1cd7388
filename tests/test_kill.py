"""A killed run, started again with the same command, ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from short_recipe import begin, contents, lines, outcome

KILLS = 20
TIMES = {"seconds", "step_time", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


def durations(folder: Path) -> dict[str, float]:
    """Seconds of each stage of an undisturbed run, in order."""
    return {e["stage"]: e["seconds"] for e in lines(folder / "events.jsonl") if e["event"] == "finished"}


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
        for _ in range(2):  # 24 moments; in a stage of a few milliseconds a kill may come too late to count
            kills += kill_inside(begin(folder), folder, stage, generator.random() * seconds)
    assert kills >= KILLS
    assert outcome(begin(folder), folder) == "done"

    assert contents(folder) == contents(finished)
    assert logged(folder) == logged(finished)  # no metric line, rollout or note lost or doubled
    for path in folder.glob("*/out/**/*completions*.jsonl"):
        names = [(row["problem_id"], row["sample_index"]) for row in lines(path)]
        assert len(set(names)) == len(names) > 0
    assert not list(folder.glob("*/checkpoints")) and not list(folder.glob("*/partial"))
