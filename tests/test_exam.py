"""Exams during reinforcement learning: they measure, are paid for apart, and move nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from longstep.artifacts import AppendLog, read_rows, write_rows
from longstep.config import UserError
from longstep.context import Context
from longstep.draw.engines import Opened
from longstep.foresight import Ahead
from longstep.generate import Prompt, Sampling
from longstep.progress import Progress
from longstep.rl.drawing import Asked, Drawer
from longstep.rl.exam import Exam, Sitting, exam_blocks
from longstep.stages.rl import Rl
from longstep.types import Problem
from test_rollouts import Scripted, logged, pool, resumes, train


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "exam.jsonl").read_text("utf-8").splitlines()]


def held_out(finished: Path, folder: Path) -> Path:
    """Problems that nobody trains on: those of the pool with more to add up, and the same answers."""
    pooled = read_rows(finished / "pool" / "out" / "problems.jsonl", Problem)
    longer = (replace(p, id=f"held-{p.id}", prompt=f"{p.prompt[:-1]}d+1e-1?") for p in pooled)
    write_rows(folder / "held.jsonl", longer)
    return folder / "held.jsonl"


def examined(finished: Path, folder: Path, **fields: Any) -> dict[str, Any]:
    """Settings of a run with an exam."""
    exam = {"data": str(held_out(finished, folder)), "samples": 2, **fields}
    return {"exam": exam, "stage": Rl, "steps": 4}


def test_an_exam_moves_no_weight_and_is_paid_for_apart(finished: Path, tmp_path: Path) -> None:
    told = examined(finished, tmp_path)
    plain = train(tmp_path / "plain", finished, Rl, steps=4)
    with_exam = train(tmp_path / "exam", finished, **told)
    weights = [(tmp_path / n / "out/model.safetensors").read_bytes() for n in ("plain", "exam")]
    assert weights[0] == weights[1]
    rows, found = logged(tmp_path / "exam"), lines(tmp_path / "exam")
    assert [row["exam/correct"] for row in rows] == [line["correct"] for line in found]
    paid = sum(row["exam/tokens"] for row in rows)
    assert with_exam.cost.tokens_exam == paid == rows[-1]["tokens/exam"] > 0
    assert with_exam.cost.tokens_generated == plain.cost.tokens_generated + paid
    # The budget of the method is what the run without an exam has drawn before the same step.
    before = [0.0, *(row["tokens/trained"] + row["tokens/discarded"] for row in rows)][:-1]
    assert [line["drawn"] for line in found] == before
    (curve,) = exam_blocks(tmp_path / "exam")
    assert curve.title == "Exam during training: share correct"


def test_an_exam_comes_before_every_so_manieth_batch_of_rollouts(
    finished: Path, tmp_path: Path
) -> None:
    """Two updates from each draw, an exam before every second one: after 0 and 4 updates of 6."""
    two = {"algorithm": {"kind": "dapo", "minibatches": 2}, "steps": 6}
    train(tmp_path / "run", finished, **{**examined(finished, tmp_path, every=2), **two})
    assert [line["updates"] for line in lines(tmp_path / "run")] == [0, 4]


def test_a_stopped_run_writes_the_exams_of_one_that_was_not(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumes(tmp_path, finished, monkeypatch, 3, examined(finished, tmp_path))
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_what_the_pool_holds_is_no_exam(finished: Path, tmp_path: Path) -> None:
    """By their ids, or by their questions however those are spaced; before anything is drawn."""
    pooled = [*read_rows(finished / "pool" / "out" / "problems.jsonl", Problem)]
    other = replace(pooled[0], id="another", prompt=f" {pooled[0].prompt}\n")
    fresh = [replace(each, id=f"held-{i}", prompt=f"b{i}?") for i, each in enumerate(pooled[:3])]
    for row in (other, replace(fresh[0], id=pooled[1].id)):
        write_rows(tmp_path / "held.jsonl", [*fresh, row])
        with pytest.raises(UserError, match=f"1 of 4 problems are trained on, such as {row.id};"):
            train(
                tmp_path / "run", finished, Rl, steps=1, exam={"data": str(tmp_path / "held.jsonl")}
            )
    assert not (tmp_path / "run" / "rollouts.jsonl").read_text()


def test_an_exam_of_the_start_alone_is_refused() -> None:
    given = {"model": "@m", "data": "@d", "batch": 8, "max_tokens": 8, "max_length": 64}
    for steps, every, refused in ((4, 4, True), (4, 3, False), (1, 1, False)):
        stage = Rl.model_validate({**given, "steps": steps, "exam": {"data": "@e", "every": every}})
        said = [
            each for each in stage.check() if each.startswith("exam.every: there are 4 batches")
        ]
        assert bool(said) is refused


def sitting(folder: Path, right: list[bool], samples: int = 1) -> Sitting:
    """One exam over problems that are answered right, or not."""
    problems = pool(len(right))
    asked = [Asked(p, Prompt(p.id, (1, 2, i), "<think>")) for i, p in enumerate(problems)]
    engine = Scripted(lambda prompt, sample, key: right[int(prompt.problem_id[1:])])
    drawer = Drawer(engine, Sampling(temperature=1, top_p=1, max_tokens=8, seed=0), prefix="exam:")
    return Sitting(asked, drawer, AppendLog(folder / "exam.jsonl"), samples, 1)


def test_the_share_correct_is_over_all_answers(tmp_path: Path) -> None:
    """A right answer has three tokens and a wrong one two: 2 x (3 + 3 + 2) = 16 for two samples each."""
    sat = sitting(tmp_path, [True, True, False], samples=2)(step=5, drawn=70)
    assert sat == {"exam/tokens": 16.0, "exam/correct": 2 / 3}
    (line,) = lines(tmp_path)
    assert (line["step"], line["updates"], line["drawn"], line["unscorable"]) == (6, 5, 70, 0)


def test_the_noise_of_an_exam_has_names_of_its_own(tmp_path: Path) -> None:
    """The same problem at the same step, asked by the training and by the exam."""
    exam = sitting(tmp_path, [True])
    engine = exam.drawer.generator
    assert isinstance(engine, Scripted)
    exam(step=0, drawn=0)
    training = Drawer(engine, exam.drawer.sampling)
    training.begin(0)
    training.draw(exam.asked, 1)
    assert len(set(engine.keys)) == len(engine.keys) == 2


def test_problems_that_are_trained_on_are_no_exam() -> None:
    """Said first, before anything is asked about the rows."""
    said = next(Exam(data="@pool").misfits(Ahead("rl", {}, cast(Any, None)), "@pool"))
    assert said.startswith("exam.data: @pool is what is trained on")


def test_a_prompt_without_room_is_refused(finished: Path, tmp_path: Path) -> None:
    """Left out in silence, the exam would be another one than asked for."""
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    context = Context("rl", tmp_path, 7, {}, quiet, lambda what, facts: None)
    drawer = Drawer(Scripted(lambda *_: True), Sampling(max_tokens=8))
    opened = Opened(drawer.generator, lambda problems: [Prompt(p.id, (1,) * 5) for p in problems])
    exam = Exam(data=str(finished / "problems" / "out"))
    assert len(exam.sitting(context, opened, drawer, 5, 1).asked) > 1
    with pytest.raises(
        UserError, match=r"rl: exam\.data: (\d+) of \1 prompts are longer than the 4"
    ):
        exam.sitting(context, opened, drawer, 4, 1)
