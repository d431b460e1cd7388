"""The recipe as it is shipped, with two steps a stage: from nothing to a merged, judged model and its report."""

from __future__ import annotations

import json
from pathlib import Path

from longstep.report import build_report
from longstep.run.recipe import load, recipe_files
from longstep.run.runner import Run, execute
from patience import PATIENCE
from short_recipe import start

FEW = [
    "stages.problems.sources=[{kind: chain, count: 80, difficulty: [1, 3], style: detour, split: train}]",
    "stages.questions.sources=[{kind: chain, count: 24, difficulty: [1, 3], split: train}]",
    "stages.contrast.positions={kind: kl, beta: 0.01}",
    "stages.contrast.sampling.max_tokens=24",
    *(
        f"stages.{name}.{key}=2"
        for name in ("expert", "weak", "tuned")
        for key in ("steps", "save_every")
    ),
    *(f"stages.{name}.batch=4" for name in ("expert", "weak", "tuned")),
    "stages.tuned.optimizer.lr=1e-2",
    "stages.scores.benchmarks=[{name: few, source: {kind: chain, count: 6, difficulty: [1, 2], split: heldout}}]",
    "stages.scores.samples=2",
    "stages.scores.max_tokens=24",
    "stages.scores.resamples=100",
]


def run_recipe(folder: Path) -> None:
    recipe, located = load(recipe_files("lightreasoner", "tiny"), FEW)
    execute(Run(recipe, located, folder, lambda line: None), [])


def test_the_recipe_goes_from_nothing_to_a_judged_model_and_a_report(tmp_path: Path):
    folder = tmp_path / "run"
    process = start(run_recipe, folder)
    process.join(PATIENCE)
    assert process.exitcode == 0
    facts = json.loads((folder / "contrast" / "out" / "contrast.json").read_text("utf-8"))
    assert facts["kept"] > 0 and facts["thinking"] is True
    results = json.loads((folder / "scores" / "out" / "results.json").read_text("utf-8"))
    assert set(results["models"]) == {"base", "expert", "tuned", "weak"}
    card = (folder / "tuned" / "out" / "README.md").read_text("utf-8")
    assert "perplexity on the expert's rollouts: " in card and "against chain (" in card
    page = build_report(folder).read_text("utf-8")
    assert "Where the expert was steered" in page and 'class="kept"' in page
