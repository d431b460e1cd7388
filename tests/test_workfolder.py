"""A folder of work is held by one process, begun once, and goes on only with what cannot change its result."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from longstep.artifacts import read_manifest
from longstep.config import UserError
from longstep.disk import locked
from longstep.evaluate import rescore
from longstep.run import runner
from longstep.run.fork import fork
from longstep.run.runner import execute
from longstep.stages import Rl, Sft
from longstep.workfolder import WorkFolder, changeable, check_sealed, reseal, rounding, settled
from short_recipe import Setting, contents, finish, kill_after_step, lines, run_of, without
from test_faults import SMALL, refusal

# -- the lock -------------------------------------------------------------------------------------


def test_a_folder_is_held_once_even_by_one_process(tmp_path: Path) -> None:
    with locked(tmp_path):
        said = (tmp_path / "run.lock").read_text()
        assert said.startswith(f"pid {os.getpid()} on ")
        with (
            pytest.raises(UserError, match="another run is using this folder") as caught,
            locked(tmp_path),
        ):
            pass
        assert said.strip() in str(caught.value)
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSYS, "cannot be locked (Function not implemented)"),
        (errno.ENOLCK, "cannot be locked (No locks available)"),
        (errno.EIO, "cannot be written (Input/output error)"),
    ],
)
def test_a_file_system_without_locks_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError) as caught, locked(tmp_path):
        pass
    assert str(caught.value) == f"{tmp_path}: {said}; choose another --out"


# -- one identity ---------------------------------------------------------------------------------


def begun(path: Path) -> WorkFolder:
    work = WorkFolder(path, "job.json", "work w", "sing")
    parts = {"config": {"a": 1, "b": {"c": 2}}, "inputs": {"x": "1"}, "code": {"m": "1"}}
    assert not work.begin(parts) and work.begin(parts)
    return work


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"config": {"a": 1, "b": {"c": 3}}}, "config.b.c: 2 -> 3"),
        ({"inputs": {"x": "2", "y": "1"}}, 'inputs.x: "1" -> "2"; inputs.y: null -> "1"'),
        ({"code": {"m": "2"}}, 'code.m: "1" -> "2"'),
        ({"code": {}}, 'code.m: "1" -> null'),
        (
            {"config": {str(n): n for n in range(4)}},
            "config.0: null -> 0; config.1: null -> 1; config.2: null -> 2; config.3: null -> 3; and 2 more",
        ),
    ],
)
def test_what_changed_is_named(tmp_path: Path, now: dict, said: str) -> None:
    with pytest.raises(UserError) as caught:
        begun(tmp_path).refuse_change(now)
    assert (
        str(caught.value)
        == f"work w: changed since it was begun: {said}; choose another --out, or sing"
    )


def test_a_new_piece_of_code_is_no_change(tmp_path: Path) -> None:
    begun(tmp_path).refuse_change({"code": {"m": "1", "new leaf": "1"}})


def test_a_stage_is_refused_for_code_it_reaches_and_not_for_a_new_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, setting = tmp_path / "run", Setting(text=SMALL)
    execute(run_of(folder, setting))
    table = runner.code_of
    monkeypatch.setattr(runner, "code_of", lambda *given: {**table(*given), "longstep.mine": "1"})
    assert execute(run_of(folder, setting)) == []
    monkeypatch.setattr(runner, "code_of", lambda *given: {**table(*given), "longstep.types": "1"})
    assert (
        "stage base in " in (said := refusal(folder, setting)) and "code.longstep.types: " in said
    )


# -- what may change ------------------------------------------------------------------------------


def test_what_may_change_is_no_part_of_the_identity() -> None:
    sft = Sft(model="m", data="d", steps=1, save_every=7)
    assert changeable(sft) == {"log_every": 10, "micro_batch": None, "save_every": 7}
    assert rounding(sft) == {"micro_batch"}
    assert settled(sft) == settled(Sft(model="m", data="d", steps=1, micro_batch=4, log_every=1))
    assert settled(sft) != settled(Sft(model="m", data="d", steps=2))
    assert "save_every" in settled(Sft(model="m", data="d", steps=1, select={"share": 0.1}))
    assert rounding(Rl(model="m", data="d", steps=1)) == {"micro_batch", "rollout_batch"}


def resumed_with(finished: Path, folder: Path, stage: str, *overrides: str) -> list[str]:
    """Kill a stage after its third step, go on with other settings; gives what the run says has changed."""
    kill_after_step(folder, without(finished, folder, stage), 3)
    assert finish(folder, Setting(overrides, (stage,))) == "done"
    resumed = [e for e in lines(folder / "events.jsonl") if e["event"] == "resumed"]
    assert [e["stage"] for e in resumed] == [stage]
    return list(resumed[0]["changed"])


@pytest.mark.parametrize("stage", ["sft1", "rl"])
def test_intervals_may_change_and_no_byte_does(finished: Path, tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "run"
    changed = resumed_with(
        finished, folder, stage, f"stages.{stage}.save_every=3", f"stages.{stage}.log_every=2"
    )
    assert changed == ["log_every: 1 -> 2", "save_every: 2 -> 3"]
    assert contents(folder) == contents(finished)
    # Checkpoint 2 was the last sealed one. From there on the new interval counts, not that of the checkpoint.
    steps = [row["step"] for row in lines(folder / stage / "metrics.jsonl") if "loss" in row]
    assert steps == [1, 2, 4, 6]


def test_checkpoints_to_choose_from_are_part_of_the_result(finished: Path, tmp_path: Path) -> None:
    setting = Setting(("stages.sft2.save_every=3",))
    shutil.copytree(finished, tmp_path / "run")
    assert "config.save_every: 2 -> 3" in refusal(tmp_path / "run", setting)


@pytest.mark.parametrize(
    ("stage", "override", "change"),
    [
        ("sft1", "stages.sft1.micro_batch=4", "micro_batch: 2 -> 4"),
        ("rl", "stages.rl.rollout_batch=2", "rollout_batch: null -> 2"),
    ],
)
def test_what_the_hardware_holds_may_change_up_to_rounding(
    finished: Path, tmp_path: Path, stage: str, override: str, change: str
) -> None:
    from safetensors.torch import load_file

    folder = tmp_path / "run"
    assert resumed_with(finished, folder, stage, override) == [change]
    ours, theirs = (load_file(f / stage / "out/model.safetensors") for f in (folder, finished))
    furthest = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    # The steps left move a weight by up to 4e-3; another order of sums moved it by 5e-7 (sft1) and 0 (rl).
    assert furthest < 1e-4


# -- forks ----------------------------------------------------------------------------------------


def files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.lock")


def test_a_fork_shares_artifacts_and_goes_on_from_the_checkpoint(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    kill_after_step(folder, without(finished, folder, "rl"), 3)
    before = {path: path.read_bytes() for path in files(folder)}
    said: list[str] = []
    forked = fork(replace(run_of(folder), say=said.append)).folder
    assert said[-1] == f"rl           goes on from {folder / 'rl'}"  # what reads it waits for it
    for path in files(folder):
        twin = forked / path.relative_to(folder)
        shared = "/out/" in str(path) or "/checkpoints/" in str(path)
        if path.parent != folder and not path.is_relative_to(folder / "scores"):
            assert os.path.samefile(path, twin) == shared, path
    assert finish(forked) == "done"
    assert contents(forked) == contents(finished)
    assert [e["stage"] for e in lines(forked / "events.jsonl") if e["event"] == "resumed"] == ["rl"]
    manifest = read_manifest(forked / "rl")
    assert manifest is not None and manifest["continued_from"] == str(folder / "rl")

    check_sealed(forked / "scores/out")
    rescore(forked / "scores/out", 1)  # writes into a finished stage of the fork
    reseal(forked / "scores/out")
    assert {path: path.read_bytes() for path in files(folder)} == before


def test_a_stage_that_is_being_worked_on_is_not_taken_over(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kill_after_step(folder, without(finished, folder, "sft1"), 3)
    said: list[str] = []
    with locked(folder):
        forked = fork(replace(run_of(folder), say=said.append)).folder
    assert any(line.startswith("sft1         not continued: ") for line in said)
    assert not (forked / "sft1").exists() and (forked / "traces").exists()


def test_where_files_cannot_have_two_names_a_fork_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    folder, setting = tmp_path / "run", Setting(text=SMALL)
    execute(run_of(folder, setting))
    monkeypatch.setattr(os, "link", link)
    forked = fork(run_of(folder, setting)).folder
    assert contents(forked) == contents(folder)
    assert execute(run_of(forked, setting)) == []
