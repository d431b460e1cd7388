"""Streaming jobs: groups on disk against a dictionary, resumption at any byte, workers, refusals."""

from __future__ import annotations

import os
import random
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstep.artifacts import verify_manifest
from longstep.config import UserError
from longstep.jobs import base, groups, inputs
from longstep.jobs.base import How, Job, Piece, Task, Work, run_job
from longstep.jobs.inputs import Chunk
from longstep.progress import Progress


def brute(records: list[tuple[int, int, int, int]]) -> dict[int, tuple[str, int]]:
    """What should be said of each row, with a dictionary of lists."""
    members = defaultdict(list)
    for key, exact, answer, row in records:
        members[key].append((exact, answer, row))
    said = {}
    for rows in members.values():
        answers = {answer for _, answer, _ in rows if answer}
        first_exact, _, first = rows[0]
        for exact, _, row in rows:
            if len(answers) > 1:
                said[row] = "conflict", first
            elif row != first:
                said[row] = "exact" if exact == first_exact else "normalised", first
    return said


@pytest.mark.parametrize("block, part, most", [(7, 10, 256), (64, 50, 3), (1000, 1000, 256)])
def test_groups_on_disk_say_what_a_dictionary_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, part: int, most: int
):
    monkeypatch.setattr(groups, "BLOCK", block)
    monkeypatch.setattr(groups, "PART", part)
    monkeypatch.setattr(groups, "MOST_PARTS", most)
    generator = random.Random(block)
    rows = sorted(generator.sample(range(1, 1000), 400))
    records = [
        (
            generator.randrange(150) * 2**55,
            generator.randrange(3),
            generator.choice([0, 5, 5, 5, 2**64 - 2]),
            row,
        )
        for row in rows
    ]
    np.array(records, groups.RECORD).tofile(tmp_path / "records")
    totals = groups.find_groups(tmp_path / "records", max(rows), tmp_path / "scratch")
    said = groups.Said(tmp_path / "scratch")
    expected = brute(records)
    got = {}
    for low in range(0, 1000, 37):
        got |= said.between(low, low + 36)
    assert got == expected
    sizes = defaultdict(int)
    for key, *_ in records:
        sizes[key] += 1
    conflicts = {
        records[i][0] for i, row in enumerate(rows) if expected.get(row, ("", 0))[0] == "conflict"
    }
    assert totals == {
        "groups": sum(size > 1 for size in sizes.values()),
        "conflicts": len(conflicts),
        "surplus": sum(kind != "conflict" for kind, _ in expected.values()),
    }


def test_rows_that_all_differ_give_no_group(tmp_path: Path):
    np.array([(n, n, 7, n) for n in range(1, 50)], groups.RECORD).tofile(tmp_path / "records")
    totals = groups.find_groups(tmp_path / "records", 49, tmp_path / "scratch")
    assert totals == {"groups": 0, "conflicts": 0, "surplus": 0}
    assert groups.Said(tmp_path / "scratch").between(1, 49) == {}


def test_no_record_gives_no_group(tmp_path: Path):
    (tmp_path / "records").write_bytes(b"")
    totals = groups.find_groups(tmp_path / "records", 0, tmp_path / "scratch")
    assert totals == {"groups": 0, "conflicts": 0, "surplus": 0}
    assert groups.Said(tmp_path / "scratch").between(0, 10) == {}


class Double(Job):
    """Writes each number twice: a job small enough to be read."""

    def run(self, task: Task) -> dict[str, Any]:
        counts = task.stream("double", doubler, ["out/doubled.txt", "out/odd.txt"])
        return {"counts": counts}


def doubler() -> Work:
    def work(chunk: Chunk) -> Piece:
        odd = [line.data for line in chunk.lines if int(line.data) % 2]
        text = b"".join(
            b"%d %d\n" % (chunk.start.base + line.number, 2 * int(line.data))
            for line in chunk.lines
        )
        return Piece(
            {"out/doubled.txt": text, "out/odd.txt": b"".join(line + b"\n" for line in odd)},
            {"rows": {"read": len(chunk.lines), "odd": len(odd)}},
        )

    return work


def numbers(tmp_path: Path, count: int = 1000) -> list[Path]:
    """Two files of numbers with a blank line and no newline at the end of the first."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("\n".join(["7", "", *map(str, range(count))]))
    paths[1].write_text("".join(f"{n}\n" for n in range(count, 2 * count)))
    return paths


def quiet(**how: Any) -> How:
    return How(
        progress=lambda label, total, unit: Progress(label, total, unit, lambda line: None), **how
    )


def test_a_job_numbers_lines_over_all_files_and_counts(tmp_path: Path):
    manifest = run_job(Double(inputs=tuple(numbers(tmp_path))), tmp_path / "job", quiet())
    lines = (tmp_path / "job/out/doubled.txt").read_text().splitlines()
    # a.txt: line 1 is 7, line 2 is blank, line 3 is 0, line 1002 is 999; b.txt begins after 1002 lines
    assert (
        lines[:2] == ["1 14", "3 0"] and lines[1000] == "1002 1998" and lines[1001] == "1003 2000"
    )
    assert manifest["counts"] == {"rows": {"read": 2001, "odd": 1001}}
    assert not (tmp_path / "job/partial").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_killed_after_any_piece_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    monkeypatch.setattr(inputs, "CHUNK_ROWS", 150)
    job = Double(inputs=tuple(numbers(tmp_path)))
    whole = run_job(job, tmp_path / "whole", quiet())
    generator = random.Random(workers)
    kills = 0
    add = base._Seal.add

    def kill(seal: Any, place: Any, counts: Any) -> None:
        nonlocal kills
        add(seal, place, counts)
        if generator.random() < 0.3:
            kills += 1
            raise InterruptedError  # what was written but not sealed must be cut off

    monkeypatch.setattr(base._Seal, "add", kill)
    while True:
        try:
            resumed = run_job(job, tmp_path / "killed", quiet(workers=workers, seal_seconds=0.0))
            break
        except InterruptedError:
            continue
    assert kills > 1 and resumed == whole


@pytest.mark.parametrize(
    "step",
    ["workfolder.write_manifest", "jobs.base.sha256_file", "workfolder.shutil.rmtree"],
)
def test_a_job_killed_at_its_very_end_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    job = Double(inputs=tuple(numbers(tmp_path)))
    whole = run_job(job, tmp_path / "whole", quiet())

    def killed(*args: Any, **kwargs: Any) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(f"longstep.{step}", killed)
        with pytest.raises(InterruptedError):
            run_job(job, tmp_path / "killed", quiet())
    assert run_job(job, tmp_path / "killed", quiet()) == whole
    verify_manifest(tmp_path / "killed")
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "job.json", "manifest.json", "out", "run.lock",
    ]  # fmt: skip


def test_a_file_given_twice_is_read_twice(tmp_path: Path):
    path = numbers(tmp_path)[1]
    manifest = run_job(Double(inputs=(path, path)), tmp_path / "job", quiet())
    assert manifest["counts"]["rows"]["read"] == 2000


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_users_sentence(tmp_path: Path, workers: int):
    with pytest.raises(UserError, match="will not"):
        run_job(Refuse(inputs=tuple(numbers(tmp_path))), tmp_path / "job", quiet(workers=workers))


def test_a_killed_worker_is_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match="worker process died"):
        run_job(Die(inputs=tuple(numbers(tmp_path))), tmp_path / "job", quiet(workers=2))


class Refuse(Job):
    """Has an objection to every chunk."""

    def run(self, task: Task) -> dict[str, Any]:
        return {"counts": task.stream("refuse", refuser, ["out/x"])}


class Die(Job):
    """Its workers are killed."""

    def run(self, task: Task) -> dict[str, Any]:
        return {"counts": task.stream("die", dier, ["out/x"])}


def refuser() -> Work:
    def work(chunk: Chunk) -> Piece:
        raise UserError("I will not")

    return work


def dier() -> Work:
    def work(chunk: Chunk) -> Piece:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return work
