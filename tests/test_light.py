"""The light half: with every library of an extra refused, data, verdicts, plan and show work, and the rest says what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_manifest
from longstep.run.extras import EXTRAS, missing
from patience import PATIENCE

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
REFUSED = sorted({module for _, modules in EXTRAS.values() for module in modules})

# Stands before all other finders, so that the libraries are not found although they are here.
REFUSE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""
# One process for many commands: starting one takes a second. Its last line says how each of them ended.
COMMANDS = """
import contextlib, io, json, traceback
from longstep.cli import main

said = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["longstep", *words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            code = traceback.format_exc()
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""


def light(code: str, *words: str, cwd: Path) -> str:
    """Run a program that finds no library of an extra; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSE + textwrap.dedent(code), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def typed(commands: list[list[str]], cwd: Path) -> list[Any]:
    """(status, stdout, stderr) of each command line."""
    return json.loads(light(COMMANDS, json.dumps(commands), cwd=cwd).splitlines()[-1])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    questions = ["What is 1 plus 2?", "What is 1  plus 2?", "Name the sum of 4 and 5."]
    with path.open("w", encoding="utf-8") as file:
        for number, (text, answer) in enumerate(zip(questions, ("3", "3", "9"), strict=True)):
            row: Mapping[str, object] = {
                "id": f"q{number}", "problem": text, "answer": answer, "rate": number / 4,
                "completion": f"so \\boxed{{{answer}}}",
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    return path


def test_what_starts_reads_only_what_it_needs(tmp_path: Path):
    """The package alone brings names of rows; the program brings no stage before one is asked for or all are listed."""
    code = """
        import sys, longstep
        print([name for name in ("pydantic", "yaml", "longstep.config") if name in sys.modules])
        sys.argv = ["longstep", "data", "--help"]
        from longstep.cli import main
        try:
            main.main()
        except SystemExit:
            print([name for name in ("longstep.stages", "longstep.draw.samplers") if name in sys.modules])
    """
    said = light(code, cwd=tmp_path).splitlines()
    assert said[0] == said[-1] == "[]"


def test_stages_are_commands_that_are_listed_and_found(tmp_path: Path):
    helped, stage, wrong = typed([["--help"], ["rl", "--help"], ["prefre"]], tmp_path)
    assert "Stages, one at a time" in helped[1] and "soft_sft" in helped[1]
    assert "--verifier" in stage[1] and "--anyway" in stage[1]
    assert wrong[0] == 2 and "Did you mean 'prefer'?" in wrong[2].replace("\n", " ")


def test_data_verbs(rows: Path, tmp_path: Path):
    file, benchmark = str(rows), tmp_path / "benchmark.jsonl"
    benchmark.write_text('{"id": "b", "problem": "Name the sum of 4 and 5.", "answer": "9"}\n')
    rating = ["--import", "rate", "--unit", "solved_share", "--samples", "4"]
    verbs = {
        "check": [],
        "convert": ["--to", "messages"],
        "dedup": [],
        "decontaminate": ["--against", str(benchmark)],
        "verify": ["--completions", "completion"],
        "rate": rating,
        "select": [*rating, "--rule", "band:min=0.2,max=1.0"],
    }
    commands = [
        ["data", verb, file, *more, "--out", str(tmp_path / verb)] for verb, more in verbs.items()
    ]
    commands += [["data", "show", file], ["data", "show", file, "--fields"]]
    for words, (code, _, err) in zip(commands, typed(commands, tmp_path), strict=True):
        assert code == 0, f"{' '.join(words)}: {code} {err}"


def test_plan_and_show(tmp_path: Path):
    from longstep.cli.families import FAMILIES

    commands = [["plan", "light-r1", "--size", size, "--json"] for size in ("tiny", "qwen-7b")]
    commands += [["plan", "lightreasoner", "--size", "tiny"]]
    commands += [["show", family, "--json"] for family in (*FAMILIES, "recipes", "schema")]
    commands += [["--help"], ["sft", "--help"]]
    answers = typed(commands, tmp_path)
    for words, (code, _, err) in zip(commands, answers, strict=True):
        assert code == 0, f"{' '.join(words)}: {code} {err}"
    assert {row["stage"] for row in json.loads(answers[1][1])["stages"]} > {"sft1", "rl"}


def test_verdicts(tmp_path: Path):
    said = light(
        """
        from longstep.types import Problem
        from longstep.verify import VERIFIERS

        for answer, text in [("1/2", "so \\\\boxed{0.5}"), ("1/2", "so \\\\boxed{2}"),
                             ("\\\\sin^2 x", "it is \\\\boxed{1-\\\\cos^2 x}")]:
            print(VERIFIERS["math"](Problem("p", "?", answer), text).status)
        """,
        cwd=tmp_path,
    )
    assert said.split() == ["correct", "incorrect", "correct"]


def whole_run(cwd: Path) -> Any:
    """A run of two light stages in the folder ``run``; gives (status, stdout, stderr)."""
    (cwd / "recipe.yaml").write_text(
        "name: r\nstages:\n  base: {kind: checkpoint, path: longstep-tiny}\n"
        "  problems: {kind: curate, sources: [{kind: chain, count: 4, difficulty: [1, 1]}]}\n"
    )
    return typed([["run", "recipe.yaml", "--out", "run"]], cwd)[0]


def test_a_run_without_models_is_whole_and_says_what_its_report_needs(tmp_path: Path):
    code, out, err = whole_run(tmp_path)
    assert code == 0, err
    assert out.splitlines()[-1].startswith("report: not installed, needed for writing a report")
    assert read_manifest(tmp_path / "run/problems") is not None


def test_a_missing_extra_is_one_sentence_with_what_to_type(rows: Path, tmp_path: Path):
    table = tmp_path / "rows.parquet"
    table.write_bytes(b"PAR1....PAR1")
    whole_run(tmp_path)
    commands = {
        "parquet": [["data", "check", str(table)], ["data", "show", str(table)]],
        "train": [
            ["chat", "longstep-tiny"],
            ["serve", "longstep-tiny"],
            ["run", "light-r1", "--size", "tiny", "--only", "rated"],
        ],
        "hub": [["data", "check", "hub:a/b"]],
        "report": [["report", "run"]],
    }
    commands["parquet"].append(
        ["data", "convert", str(rows), "--to", "messages", "--file", "parquet", "--out", "c"]
    )
    flat = [(extra, words) for extra, each in commands.items() for words in each]
    answers = typed([words for _, words in flat], tmp_path)
    for (extra, words), (code, _, err) in zip(flat, answers, strict=True):
        wanted = f"not installed: pip install 'longstep[{extra}]'"
        assert code == 2 and wanted in err.splitlines()[-1], f"{words}: {code} {err}"
        assert "Traceback" not in err


def test_what_no_extra_brings_is_a_fault_and_keeps_its_traceback():
    assert missing(ModuleNotFoundError("no", name="longstep.absent")) is None
    assert missing(ModuleNotFoundError("no", name="torch.nn.absent")) is not None


def test_the_table_of_extras_is_that_of_the_project():
    brought_by_others = {"tokenizers", "huggingface_hub", "httpx2"}
    for extra, (_, modules) in EXTRAS.items():
        listed = {
            line.split(">")[0] for line in PROJECT["optional-dependencies"][extra] if ">" in line
        }
        assert set(modules) - brought_by_others == listed
    assert set(EXTRAS) | {"serving", "dev"} == set(PROJECT["optional-dependencies"])


def test_what_make_installs_is_what_all_extras_of_the_program_bring():
    """requirements.txt pins; every library that the project names is in it, but for those that need a GPU."""
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if "==" in line
    }
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    libraries = {line.split(">")[0] for line in named if not line.startswith("longstep")}
    assert libraries - pinned == {"bitsandbytes"}


def test_the_wheel_holds_every_file_that_is_not_code():
    """setuptools takes what these patterns match; recipes/ of the repository lies in the package as a link."""
    [patterns] = SETUPTOOLS["package-data"].values()
    package = ROOT / "src/longstep"
    taken = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    data = {
        Path(folder, name)
        for folder, _, names in os.walk(package, followlinks=True)
        for name in names
        if not name.endswith((".py", ".pyc"))
    }
    assert taken == data
    recipes = {path for path in (ROOT / "recipes").rglob("*") if path.is_file()}
    assert len(recipes) > 20
    assert {
        ROOT / path.relative_to(package) for path in taken if "recipes" in path.parts
    } == recipes
