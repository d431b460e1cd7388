"""docs/api.md and the notebook hold what they say; the public names are cheap and answer in words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import longstep
from longstep import UserError
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
API = (ROOT / "docs" / "api.md").read_text("utf-8")


def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", API, re.MULTILINE | re.DOTALL))
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    for block in blocks:  # a traceback names the line of the page
        lines = "\n" * API.count("\n", 0, block.start(1))
        exec(compile(lines + block[1], "docs/api.md", "exec"), names)


def test_the_page_names_every_public_function() -> None:
    told = set(re.findall(r"^\| `(\w+)\(", API, re.MULTILINE))
    assert told == {name for name in longstep.__all__ if name[0].islower()} - {"__version__"}


def test_public_functions_load_no_torch_and_are_listed() -> None:
    code = (
        "import sys, longstep;"
        "names = [n for n in longstep.__all__ if callable(vars(longstep).get(n) or getattr(longstep, n))];"
        "print(set(longstep.__all__) <= set(dir(longstep)), [m for m in ('torch', 'transformers', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.strip() == "True []", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'judgee'"):
        longstep.judgee  # type: ignore[attr-defined]  # noqa: B018


def test_marks_that_say_nothing_are_left_out_and_too_few_samples_are_refused() -> None:
    found = longstep.score([[1, None], [None, None], [0, 0]])
    assert (found.value, found.problems, found.left_out) == (0.5, 2, 1)
    assert str(found).endswith("over 2 problems, 1 left out")
    with pytest.raises(UserError, match="avg@3 asked, problem number 0 has 2 stored samples"):
        longstep.score([[1, 0]], k=3)
    with pytest.raises(UserError, match="maj needs the answers"):
        longstep.score([[1, 0]], "maj")
    with pytest.raises(UserError, match=r"got the mark 0\.5; expected a verdict, 1, 0 or None"):
        longstep.score([[0.5]])
    with pytest.raises(UserError, match="none of 1 problems has a sample that can be scored"):
        longstep.score([[None]])
    with pytest.raises(UserError, match="1 problems on one side and 2 on the other"):
        longstep.compare([[1]], [[1], [0]])
    both = longstep.compare([[1], [None]] * 6, [[0], [1]] * 6)  # only the first of each two counts
    assert both.delta == -1.0 and "6 problems" in both.sentence


def test_nothing_to_compare_with_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to compare with"):
        list(longstep.decontaminate(["a text"]))
    with pytest.raises(UserError, match="did you mean 'math500'"):
        list(longstep.decontaminate(["a text"], against=["math501"]))


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its code cells, in order, in one namespace: what a kernel does, without one."""
    notebook = json.loads((ROOT / "docs" / "first-minutes.ipynb").read_text("utf-8"))
    assert notebook["nbformat"] == 4
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"first-minutes.ipynb[{number}]", "exec"), names)
    printed = capsys.readouterr().out
    assert "60 problems: tuned is better" in printed
    stored = [
        "".join(line)
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for line in [output["text"]]
    ]
    assert printed == "".join(stored)  # what the page shows is what runs
