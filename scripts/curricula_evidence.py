"""Curricula over seeds: reads runs of the recipe curricula and prints scores, differences to random order, and costs.

    for seed in 21 22 23; do longstep run curricula seed=$seed --out runs/curricula-$seed; done
    python scripts/curricula_evidence.py runs/curricula-*

A difference *holds* when every seed has its sign and the 95 % interval over problems and seeds excludes 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from evidence import difference_cells, score_table, table

from longstep.artifacts import read_json

#: arm -> what it is compared with; all others with random order
CONTROLS = {"rl-mixed_16": "rl-uniform_16"}
#: Share of a run's last steps over which a mean says how it ended.
LATE = 1 / 3


def arms(run: Path) -> list[str]:
    """The arms, as the scores name them."""
    models = read_json(run / "scores" / "out" / "protocol.json")["models"]
    return [name for name in models if name.startswith("rl-")]


def differences(runs: list[Path]) -> str:
    """Every arm less its control."""
    rows = [["arm", "less", "all", "hard", "seeds above", "verdict (all)"]]
    for arm in arms(runs[0]):
        control = CONTROLS.get(arm, "rl-uniform")
        if arm == control:
            continue
        rows.append([arm, control, *difference_cells(runs, arm, control, ("all", "hard"))])
    return table(rows)


def costs(runs: list[Path]) -> str:
    """What the budget bought: steps, where the tokens went, and groups that taught something."""
    header = [
        "arm",
        "steps",
        "drawn",
        "of it trained on",
        "probes",
        "groups that teach",
        "at the end",
    ]
    rows = [header]
    for arm in arms(runs[0]):
        logs = [_lines(run / arm / "metrics.jsonl") for run in runs]
        last = [log[-1] for log in logs]
        drawn = [sum(line[f"tokens/{part}"] for part in _DRAWN) for line in last]
        teach = [np.mean([line["effective_groups"] for line in log]) for log in logs]
        late = [
            np.mean([line["effective_groups"] for line in log[-max(1, round(LATE * len(log))) :]])
            for log in logs
        ]
        rows.append(
            [
                arm,
                " ".join(str(line["step"]) for line in last),
                f"{np.mean(drawn):,.0f}",
                f"{np.mean([line['tokens/trained'] for line in last] / np.array(drawn)):.0%}",
                f"{np.mean([line['tokens/probe'] for line in last] / np.array(drawn)):.0%}",
                f"{np.mean(teach):.1f}",
                f"{np.mean(late):.1f}",
            ]
        )
    return table(rows)


_DRAWN = ("trained", "discarded", "carried", "probe", "guided")


def _lines(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "effective_groups" in line]


def main() -> None:
    """Print the three tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    for part in (score_table, differences, costs):
        sys.stdout.write(part(runs) + "\n\n")


if __name__ == "__main__":
    main()
