"""The program as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from longstep.artifacts import read_json, read_rows, verify_manifest, write_rows
from longstep.cli import main as cli
from longstep.config import UserError
from longstep.run.card import whole_card
from longstep.types import Completion
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]


def typed(*words: str):
    """Run the program in this process; a user error is raised."""
    result = CliRunner().invoke(cli.app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a program."""
    command = [sys.executable, "-m", "longstep", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)


@pytest.fixture
def scores(finished: Path, tmp_path: Path) -> Path:
    """A copy of the short run's evaluate stage."""
    stage = next(p.parent for p in finished.glob("*/out/results.json")).parent
    shutil.copytree(stage, tmp_path / "scores")
    return tmp_path / "scores" / "out"


def test_plan_names_a_misspelt_key_its_neighbour_and_the_line(tmp_path: Path):
    text = (
        (ROOT / "recipes/light-r1/recipe.yaml").read_text().replace("keep: correct", "kep: correct")
    )
    (tmp_path / "recipe.yaml").write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "kep:" in row)
    done = program("plan", str(tmp_path))
    assert done.returncode == 2
    assert (
        f"recipe.yaml:{line}: stages.traces.kep: unknown key 'kep'; did you mean 'keep'?"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_mistyped_command_is_one_message():
    done = program("runn")
    assert (
        done.returncode == 2
        and "Did you mean 'run'" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_status_lists_every_stage_in_order(finished: Path):
    rows = json.loads(typed("status", str(finished), "--json").stdout)
    assert [row["state"] for row in rows] == ["done"] * len(rows)
    assert [row["stage"] for row in rows] == read_json(finished / "run.json")["stages"]
    with pytest.raises(UserError, match="not a run folder"):
        typed("status", str(finished / "sft1"))


@pytest.mark.parametrize("family", ["benchmarks", "curricula", "filters", "gates", "guides", "losses", "merges", "optimizers",
                                    "reducers", "rewards", "sources", "stages", "verifiers"])  # fmt: skip
def test_show_lists_a_family(family: str):
    rows = json.loads(typed("show", family, "--json").stdout)
    assert rows and all(row["kind"] and row["what"] for row in rows)


def test_show_refuses_an_unknown_family_with_its_neighbour():
    with pytest.raises(UserError, match="did you mean 'losses'"):
        typed("show", "lossess")


def test_the_schema_is_closed():
    schema = json.loads(typed("show", "schema").stdout)
    assert schema["additionalProperties"] is False and "stages" in schema["properties"]


def test_scoring_again_gives_the_same_bytes_and_a_folder_that_still_verifies(scores: Path):
    before = (scores / "results.json").read_bytes()
    (scores / "results.json").unlink()
    typed("eval", "score", str(scores))
    assert (scores / "results.json").read_bytes() == before
    verify_manifest(scores.parent)


def test_more_samples_than_stored_are_refused(scores: Path):
    with pytest.raises(UserError, match="avg@64"):
        typed("eval", "score", str(scores), "--samples", "64")


def test_diff_names_what_flipped_and_why(scores: Path, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(scores, other)
    path = sorted(other.glob("completions/*/*.jsonl"))[0]
    rows = list(read_rows(path, Completion))
    victim = rows[0].problem_id
    right = {
        p["id"]: p["answer"] for p in map(json.loads, next(other.glob("problems/*.jsonl")).open())
    }[victim]
    from dataclasses import replace

    for n, row in enumerate(rows):
        if row.problem_id == victim:
            correct = row.verdict is not None and row.verdict.status == "correct"
            answer = "x" if correct else right
            rows[n] = replace(row, text=f"<think></think>\\boxed{{{answer}}}")
    write_rows(path, rows)
    typed("eval", "score", str(other))
    found = json.loads(typed("eval", "diff", str(scores), str(other), "--json").stdout)[
        "comparisons"
    ]
    flips = [flip for each in found for flip in each["flips"]]
    assert [(flip["problem_id"], flip["gold"]) for flip in flips] == [(victim, right)]
    assert list(flips[0]["causes"]) == ["sampled"]
    same = json.loads(typed("eval", "diff", str(scores), str(scores), "--json").stdout)
    assert [each["flips"] for each in same["comparisons"]] == [[]] * len(found)


def test_eval_report_says_in_words_what_is_distinguishable(scores: Path):
    text = typed("eval", "report", str(scores)).stdout
    comparisons = read_json(scores / "results.json")["comparisons"]
    assert comparisons and all(comparison["sentence"] in text for comparison in comparisons)


def test_every_model_folder_loads_by_itself(finished: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    models = [p.parent for p in sorted(finished.glob("*/out/model.safetensors"))]
    assert len(models) >= 5
    for folder in models:
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert (
            tokenizer.chat_template
            and model.generation_config.eos_token_id == tokenizer.eos_token_id
        )
        card = folder / "README.md"
        assert card.is_file() and "Made by longstep" in card.read_text()


def test_45_the_whole_card_has_scores_protocol_and_ledger(finished: Path, tmp_path: Path) -> None:
    text = whole_card(finished, "rl")
    assert 'license: "apache-2.0"\nbase_model: ["longstep-tiny"]\n' in text
    assert "## Scores, by stage `scores`" in text and "| easy | 12 | avg@2 " in text
    assert "* easy: extraction strict, max_tokens 24, samples 2, temperature 0.6" in text
    ledger = text.split("## Ledger")[1]
    assert "| stage | seconds | tokens trained | tokens generated |" in ledger
    assert [line.split("|")[1].strip() for line in ledger.strip().splitlines()[2:]] == [
        "`base`", "`problems`", "`rated`", "`traces`", "`sft1`", "`sft2`", "`own`", "`nca`", "`merged`", "`pool`", "`rl`",
        "all",
    ]  # fmt: skip
    out = tmp_path / "card.md"
    assert typed("card", str(finished), "rl", "--out", str(out)).exit_code == 0
    assert out.read_text("utf-8") == text
    with pytest.raises(
        UserError, match="stage rated has no card; expected a finished stage that makes a model"
    ):
        whole_card(finished, "rated")


def test_chat_answers_once_and_shows_its_thinking():
    text = typed("chat", "longstep-tiny", "--question", "a3b+4?").stdout
    assert text.startswith("<think>") and "\\boxed{" in text


def test_doctor_finds_nothing_wrong_here():
    facts = json.loads(typed("doctor", "--json").stdout)
    assert facts["problems"] == [] and facts["torch"].startswith("2.13")


def test_a_stage_is_a_verb(tmp_path: Path):
    (tmp_path / "curate.yaml").write_text("sources: [{kind: chain, count: 5}]\n")
    done = program("curate", str(tmp_path / "curate.yaml"), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "run/curate/out/problems.jsonl").read_text().splitlines()
    assert len(rows) == 5
    assert os.path.exists(tmp_path / "run/curate/manifest.json")


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_wait_without_a_core_unless_the_user_says_otherwise(monkeypatch, given, spins):
    """They would spin where another process has a core: ten times slower with a small model."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # put back after the test, what main sets included
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["longstep", "--version"])
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
