"""What two pages tell a stranger to type works: each layout by its one command, and the first hour from end to end.

``make stranger`` types the same from a wheel in a fresh environment, unshortened.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from fault_server import FaultServer
from longstep.artifacts import read_json
from longstep.cli.main import app
from longstep.models.load import shipped_folder

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from stranger import Entry, first_hour, layouts  # noqa: E402

LAYOUTS = layouts()


def typed(command: str, *more: str) -> str:
    """What the program prints."""
    words = shlex.split(command.partition("longstep ")[2])
    result = CliRunner().invoke(app, [*words, *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to type in, with the first hour's verifier."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in first_hour()[0].items():
        (tmp_path / name).write_text(text, "utf-8")
    sys.modules.pop("mine", None)
    return tmp_path


def trained_by(*verbs: str) -> list[Entry]:
    return [entry for entry in LAYOUTS if f"longstep {verbs[0]} " in entry.command]


def changed(model: Path) -> bool:
    """Whether any weight is another than the shipped model's."""
    start = load_file(shipped_folder("longstep-tiny") / "model.safetensors")
    end = load_file(model / "model.safetensors")
    assert end.keys() == start.keys()
    return any((end[name] != start[name]).any() for name in end)


def test_every_entry_of_the_page_is_found():
    text = (ROOT / "docs" / "layouts.md").read_text("utf-8")
    assert len(LAYOUTS) == text.count("\n### ") >= 23
    kinds = [len(trained_by(verb)) for verb in ("sft", "prefer", "rl", "eval")]
    assert sum(kinds) == len(LAYOUTS) and min(kinds) >= 1


@pytest.mark.parametrize("entry", trained_by("sft"), ids=lambda entry: entry.name)
def test_traces_of_each_layout_train_by_one_command(home: Path, entry: Entry):
    entry.write(home)
    typed(entry.command, "log_every=1")
    [run] = (home / "runs").iterdir()
    shown = ["".join(row["tokens"]) for row in lines(run / "sft/masks.jsonl")]
    assert len(shown) == 2
    for text in shown:
        thought = re.search("<think>(.*?)</think>", text, re.DOTALL)
        assert thought and text.count("<think>") == 1 and "\\boxed{5}" in text
        assert thought[1].strip() in ("2 and 3", "3 and 2", "")
    assert [row["step"] for row in lines(run / "sft/metrics.jsonl")] == [1, 2]
    assert changed(run / "sft/out") and (run / "report.html").is_file()


@pytest.mark.parametrize("entry", trained_by("prefer"), ids=lambda entry: entry.name)
def test_pairs_of_each_layout_train_by_one_command(home: Path, entry: Entry):
    entry.write(home)
    typed(entry.command, "log_every=1")
    [run] = (home / "runs").iterdir()
    pairs = lines(run / "pairs/out/pairs.jsonl")
    sides = [("<think>2 and 3</think>\\boxed{5}", "<think>2 and 2</think>\\boxed{4}")] * 2
    assert [(row["chosen"], row["rejected"]) for row in pairs] == sides
    assert changed(run / "prefer/out")


@pytest.mark.parametrize("entry", trained_by("rl"), ids=lambda entry: entry.name)
def test_problems_of_each_layout_are_learnt_from_by_one_command(home: Path, entry: Entry):
    entry.write(home)
    typed(entry.command, "log_every=1")
    [run] = (home / "runs").iterdir()
    problems = lines(run / "problems/out/problems.jsonl")
    assert {row["answer"].strip('[]"') for row in problems} == {"5"}
    own = "mine:counts" if "--verifier" in entry.command else "math"
    assert {row["verifier"] for row in problems} == {own}
    [step] = lines(run / "rl/metrics.jsonl")
    assert step["step"] == 1 and (run / "rl/out/model.safetensors").is_file()


def test_an_endpoint_is_asked_by_one_command(home: Path, start: Callable[..., FaultServer]):
    [entry] = trained_by("eval")
    entry.write(home)
    typed(entry.command.replace("http://127.0.0.1:8765/v1", start().url))
    results = read_json(home / "runs/eval-endpoint/evaluate/out/results.json")
    cell = results["models"]["longstep-tiny"]["questions"]["all"]
    assert (cell["problems"], cell["samples"]) == (2, 2)


#: Few rows, one step, short answers; the last of several settings counts.
SHORT = {
    "sft": ["steps=1"],
    "rl": ["steps=1", "batch=8", "micro_batch=8", "max_tokens=8"],
    "eval run": ["--samples", "1", "--max-tokens", "8"],
}


def test_the_first_hour_from_end_to_end(home: Path):
    files, commands = first_hour()
    assert set(files) == {"rows.py", "mine.py"}
    (home / "rows.py").write_text(
        re.sub(r"\b(2400|2200|1200)\b", lambda n: str(int(n[1]) // 100), files["rows.py"]), "utf-8"
    )
    said: dict[str, str] = {}
    for command in commands:
        if command.startswith("python3 "):
            subprocess.run([sys.executable, *command.split()[1:]], check=True)
        elif command.startswith("longstep ") and "doctor" not in command:
            kind = next((verb for verb in SHORT if command.startswith(f"longstep {verb} ")), "")
            said[command] = typed(command, *SHORT.get(kind, ()))
    scores = read_json(home / "runs/eval/evaluate/out/results.json")
    assert set(scores["models"]) == {"base", "sft", "rl"}
    assert scores["models"]["rl"]["heldout"]["all"]["problems"] == 2
    [diff] = [text for command, text in said.items() if " diff " in command]
    assert "rl" in diff and "sft" in diff
    assert all((home / "runs" / run / "report.html").is_file() for run in ("sft-traces", "eval"))


def test_what_a_partial_setting_leaves_out_is_the_verbs_own():
    from longstep.run.brought import READERS, Brought, brought_recipe

    for kind, reader in READERS.items():
        stage = brought_recipe(
            kind, Brought("rows.jsonl", "longstep-tiny", overrides=["optimizer.lr=0.5", "epochs=2"])
        ).data["stages"][kind]
        assert stage["optimizer"] == {**reader.defaults["optimizer"], "lr": 0.5}
        assert stage["epochs"] == 2 and "steps" not in stage


def test_rows_that_a_stage_read_are_not_read_otherwise(home: Path):
    from longstep.config import UserError

    (home / "problems.jsonl").write_text("{}\n", "utf-8")
    with pytest.raises(UserError, match="judged by an earlier stage; leave out --verifier"):
        typed("longstep rl --data . --model longstep-tiny --verifier mine:counts")
    (home / "settings.yaml").write_text("steps: 1\n", "utf-8")
    with pytest.raises(UserError, match="expected CONFIG and --out FOLDER, or --data FILE"):
        typed("longstep sft settings.yaml --out run --verifier mine:counts")
