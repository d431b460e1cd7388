"""Several runs as one number, and beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from longstep.artifacts import read_json, write_json, write_rows
from longstep.cli.main import app
from longstep.cli.running import seed_numbers
from longstep.config import UserError
from longstep.evaluate import Protocol, completions_path, score, store
from longstep.evaluate.seeds import crossed_interval
from longstep.report.compare import comparison_rows
from longstep.run.compare import compare, seed_folders
from longstep.types import Completion, Problem, Verdict

PROBLEMS = [Problem(f"q{n}", f"{n}?", "1", source="file", difficulty=float(n)) for n in range(8)]


def test_seeds_and_problems_are_drawn_together() -> None:
    values_SP = np.random.default_rng(3).random((4, 11)).round()
    # As plainly as it can be said: draw seeds, draw problems, take the mean of what was drawn.
    generator = np.random.default_rng(7)
    rows, columns = generator.integers(4, size=(300, 4)), generator.integers(11, size=(300, 11))
    means = [values_SP[row][:, column].mean() for row, column in zip(rows, columns, strict=True)]
    wanted = np.percentile(means, [2.5, 97.5])
    assert crossed_interval(values_SP, seed=7, resamples=300) == pytest.approx(tuple(wanted))
    # Runs that all say the same leave the problems to be uncertain of, and the other way round nothing.
    same = np.tile(values_SP[:1], (4, 1))
    assert crossed_interval(same) == pytest.approx(crossed_interval(same[:1]), abs=0.03)
    assert crossed_interval(np.full((3, 5), 0.4)) == pytest.approx((0.4, 0.4))


def test_seeds_are_written_as_numbers_and_ranges() -> None:
    assert seed_numbers("1-5") == [1, 2, 3, 4, 5] and seed_numbers("17") == [17]
    assert seed_numbers("1-3, 8") == [1, 2, 3, 8]
    for text in ("", "a", "5-1", "1,", "-3", "1-2-3", "1-999999999"):
        with pytest.raises(UserError, match="expected numbers and ranges such as 1-5"):
            seed_numbers(text)
    with pytest.raises(UserError, match="names a seed twice"):
        seed_numbers("1-3,2")


def make(root: Path, seed: int, right: dict[str, list[int]], steps: int = 4) -> Path:
    """A run with one evaluation: of each model, how many of 2 answers to each problem are right."""
    protocol = Protocol.model_validate(
        {
            "models": list(right),
            "benchmarks": {"b": {"samples": 2, "max_tokens": 8, "slices": {"low": [0, 5]}}},
            "resamples": 100,
        }
    )
    out, rows = root / "scores" / "out", dict[str, Any]()
    store(out, protocol, {"b": PROBLEMS})
    for model, counts in right.items():
        rows[model] = {"b": [*_answers(counts)]}
        write_rows(completions_path(out, model, "b"), rows[model]["b"])
    write_json(out / "results.json", score(rows, {"b": PROBLEMS}, protocol))
    stages = {"sft": {"kind": "sft", "steps": steps}, "scores": {"kind": "evaluate"}}
    recipe = {"name": "r", "seed": seed, "stages": stages}
    write_json(
        root / "run.json", {"name": "r", "seed": seed, "stages": list(stages), "recipe": recipe}
    )
    write_json(root / "sft" / "manifest.json", {"cost": {"seconds": 2.0, "tokens_trained": 10}})
    return root


def _answers(counts: list[int]):
    for problem, count in zip(PROBLEMS, counts, strict=True):
        for index in range(2):
            status = "correct" if index < count else "incorrect"
            verdict = Verdict(status, "1" if index < count else "2")
            yield Completion(problem.id, index, (1,), (1, 2), "x", "stop", verdict=verdict)


BASE = {"base": [0, 0, 0, 0, 1, 0, 0, 0]}


def test_runs_that_differ_in_their_seed_are_one_table(tmp_path: Path) -> None:
    # 8 problems with 2 answers each: of 16 answers 12 and 14 are right, of the first six problems 10 and 12 of 12.
    first = make(tmp_path / "seed-2", 2, {**BASE, "sft": [2, 2, 2, 2, 1, 1, 1, 1]})
    second = make(tmp_path / "seed-10", 10, {**BASE, "sft": [2, 2, 2, 2, 2, 2, 1, 1]})
    assert seed_folders(tmp_path) == [first, second]
    found = compare([first, second], ["seed 2", "seed 10"])
    assert found.seeds and found.differs == () and found.title == "r: 2 seeds"
    assert [(side.seed, side.state, side.seconds) for side in found.sides] == [
        ("2", "1 of 2 stages", 2.0),
        ("10", "1 of 2 stages", 2.0),
    ]
    header, base, sft = comparison_rows(found)
    assert header == ["model", "b avg@2, n=8", "b low avg@2, n=6", "per seed (b)"]
    assert (base[0], base[1].split()[0], base[3]) == ("base", "6.2", "6.2 6.2")
    assert (sft[0], sft[1].split()[0], sft[2].split()[0]) == ("sft", "81.2", "91.7")
    assert sft[3] == "75.0 87.5"
    [said] = found.columns[0].sentences
    assert said.startswith("sft - base = +75.0 points") and "8 problems, 2 of 2 seeds" in said
    assert said.endswith("sft is better")


def test_other_runs_stand_beside_each_other_with_what_differs(tmp_path: Path) -> None:
    first = make(tmp_path / "a", 1, {**BASE, "sft": [2] * 6 + [0, 0]})
    second = make(tmp_path / "b", 1, {**BASE, "sft": [2] * 8, "rl": [2] * 8}, steps=9)
    found = compare([first, second])
    assert not found.seeds and found.differs == (("stages.sft.steps", ("4", "9")),)
    assert comparison_rows(found)[:4] == [
        ["benchmark", "model", "a", "b"],
        ["b avg@2, n=8", "base", *[found_interval(found, 0, side) for side in (0, 1)]],
        ["", "sft", *[found_interval(found, 1, side) for side in (0, 1)]],
        ["", "rl", "-", found_interval(found, 2, 1)],
    ]
    assert found.columns[0].sentences[1].startswith("b sft - a sft = +25.0 points")
    with pytest.raises(UserError, match="not a run folder"):
        compare([first, tmp_path])


def found_interval(found: Any, line: int, side: int) -> str:
    score = found.columns[0].lines[line].each[side]
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


SMALL = """
name: small
stages:
  problems: {kind: curate, sources: [{kind: chain, count: 6, difficulty: [1, 1]}], filters: [{kind: has_answer}]}
"""


def test_one_command_runs_each_seed_in_its_folder_and_goes_on(tmp_path: Path) -> None:
    recipe, out = tmp_path / "small.yaml", tmp_path / "runs"
    recipe.write_text(SMALL)
    command = ["run", str(recipe), "--out", str(out), "--seeds"]
    assert CliRunner().invoke(app, [*command, "3,5"]).exit_code == 0
    seeds = [read_json(run / "run.json")["seed"] for run in seed_folders(out)]
    assert seeds == [3, 5] and "small: 2 seeds" in (out / "report.html").read_text()
    again = CliRunner().invoke(app, [*command, "3-5"])
    assert again.output.count("finished, verified, skipped") == 2  # 4 is new
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    assert "small: 3 seeds" in (out / "report.html").read_text()
    told = CliRunner().invoke(app, ["report", str(out / "seed-3"), "--out", "x.html"])
    assert isinstance(told.exception, UserError) and "--out is for several runs" in str(
        told.exception
    )
