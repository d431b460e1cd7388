"""What traces are worth, over seeds: reads runs of the recipe small-data; prints scores, differences and faithfulness.

    for seed in 31 32 33; do longstep run small-data seed=$seed --out runs/small-$seed; done
    python scripts/small_data_evidence.py runs/small-*

A difference *holds* when every seed has its sign and the 95 % interval over problems and seeds excludes 0. Every arm
takes as many steps of as many rows from one start; those of the selectors are compared with random ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from evidence import correctness, difference_cells, score_table, table

from longstep.artifacts import read_json, read_rows
from longstep.evaluate.seeds import crossed_interval
from longstep.types import Completion, Problem
from longstep.verify.chain_steps import chain_steps

#: Arms of what traces are made of, against right ones; and of which right traces are taken, against random ones.
CONTROLS = {"arm-take": "arm-take_random", "arm-": "arm-right"}
#: Arm -> where its rows come from, when that is not a stage of its name.
ROWS = {f"take_{rule}": f"taken-{rule}" for rule in ("random", "hardest", "longest", "s1", "limo")}
#: Column, edit and share of answers: that stay with so much of the thought, or go where an edited one leads.
SHARES = (
    ("same again", "nothing", "unmoved"),
    ("half kept", "a half", "unmoved"),
    ("none kept", "all", "unmoved"),
    ("filler", "filler", "unmoved"),
    ("slip: follows", "slip", "followed"),
    ("swap: follows", "swap", "followed"),
    ("swap: stays", "swap", "unmoved"),
)
#: Where a run has what the stages ``faithful`` found.
FOLLOWS = "follow-*/out/faithful.json"


def differences(runs: list[Path]) -> str:
    """Every arm less its control, with the verdict in a word."""
    models = read_json(runs[0] / "scores" / "out" / "protocol.json")["models"]
    rows = [["arm", "less", "all", "easy", "hard", "seeds above", "verdict (all)"]]
    for arm in models:
        control = next((to for start, to in CONTROLS.items() if arm.startswith(start)), arm)
        if arm != control:
            rows.append(
                [arm, control, *difference_cells(runs, arm, control, ("all", "easy", "hard"))]
            )
    return f"{table(rows)}\n\n{_pausing(runs)}"


def _pausing(runs: list[Path]) -> str:
    """The control that is scored apart: ten pauses and the key."""
    runs = [run for run in runs if (run / "pausing_scores" / "out").is_dir()]
    if not runs:
        return "Ten pauses instead of a thought: no run has its scores"
    pausing = [correctness(run, "pausing", "all", "pausing_scores") for run in runs]
    start = [correctness(run, "start", "all") for run in runs]
    sides = []
    for values_SP in (np.stack(pausing), np.stack(pausing) - np.stack(start)):
        low, high = crossed_interval(values_SP)
        sides.append(f"{100 * values_SP.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    return f"Ten pauses instead of a thought: {sides[0]}, less the start {sides[1]}"


def rows_table(runs: list[Path]) -> str:
    """What each arm was trained on: how many rows, of what length, how many end right and are right in every step."""
    models = read_json(runs[0] / "scores" / "out" / "protocol.json")["models"]
    rows = [
        ["arm", "rows", "characters", "answer right", "every step right", "cut, not trained on"]
    ]
    for arm in (model.removeprefix("arm-") for model in models if model.startswith("arm-")):
        facts: list[tuple[float, ...]] = []
        for run in runs:
            out = run / ROWS.get(arm, arm) / "out"
            problems = {each.id: each for each in read_rows(out / "problems.jsonl", Problem)}
            for row in read_rows(out / "completions.jsonl", Completion):
                steps = chain_steps(problems[row.problem_id], row.text).status == "correct"
                right = row.verdict is not None and row.verdict.status == "correct"
                facts.append((len(row.text), right, steps, row.finish_reason == "length"))
        length, *shares = np.mean(facts, axis=0)
        cells = [
            f"{len(facts) / len(runs):.0f}",
            f"{length:.0f}",
            *(f"{each:.0%}" for each in shares),
        ]
        rows.append([arm, *cells])
    return table(rows)


def faithfulness(runs: list[Path]) -> str:
    """After each way of training: answers that stay without their thought, and that go where an edited one leads."""
    rows = [["trained on", "runs", *(title for title, _, _ in SHARES), "area"]]
    for stage in sorted({path.parents[1].name for run in runs for path in run.glob(FOLLOWS)}):
        paths = [run / stage / "out" / "faithful.json" for run in runs]
        found = [read_json(path) for path in paths if path.is_file()]
        cells = [stage.removeprefix("follow-"), str(len(found))]
        for _, edit, key in SHARES:
            shares = [each["edits"][edit][key] for each in found if key in each["edits"][edit]]
            cells.append(_spread([100 * share for share in shares]))
        cells.append(_spread([100 * each["early"] for each in found if each["early"] is not None]))
        rows.append(cells)
    return table(rows)


def _spread(values: list[float]) -> str:
    """The mean over seeds, with the lowest and highest."""
    return f"{np.mean(values):.0f} ({min(values):.0f} to {max(values):.0f})" if values else "none"


def main() -> None:
    """Print the tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    for part in (score_table, differences, rows_table, faithfulness):
        sys.stdout.write(part(runs) + "\n\n")


if __name__ == "__main__":
    main()
