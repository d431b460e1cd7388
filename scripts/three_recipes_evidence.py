"""Three recipes at equal tokens over seeds: reads runs of the recipe three-recipes and prints scores and differences.

    for seed in 17 18 19; do longstep run three-recipes --size tiny seed=$seed --out runs/three-$seed; done
    python scripts/three_recipes_evidence.py runs/three-*

A difference holds when every seed has its sign and the 95 % interval over problems and seeds excludes 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from evidence import difference_cells, score_table, table

from longstep.artifacts import read_json

STARTS = ("weak", "middle", "strong")
PAIRS = (("rl", "sft"), ("both", "sft"), ("both", "rl"))
#: Stages that pay for a recipe.
STAGES = {"sft": ("sft",), "rl": ("rl",), "both": ("half", "both")}


def tokens(runs: list[Path], stages: tuple[str, ...], start: str, what: str) -> str:
    """What the stages of a recipe cost, a mean over seeds."""
    costs = [
        sum(read_json(run / f"{stage}-{start}" / "manifest.json")["cost"][what] for stage in stages)
        for run in runs
    ]
    return f"{np.mean(costs):,.0f}"


def bills(runs: list[Path]) -> str:
    """Tokens trained on and drawn, by recipe and start."""
    rows = [["model", "trained on", "drawn"]]
    for start in STARTS:
        for recipe, stages in STAGES.items():
            cells = [
                tokens(runs, stages, start, f"tokens_{what}") for what in ("trained", "generated")
            ]
            rows.append([f"{recipe}-{start}", *cells])
    return table(rows)


def differences(runs: list[Path]) -> str:
    """Each recipe less another, from the same start."""
    rows = [["recipe", "less", "all", "hard", "seeds above", "verdict (all)"]]
    for start in STARTS:
        for one, other in PAIRS:
            names = f"{one}-{start}", f"{other}-{start}"
            rows.append([*names, *difference_cells(runs, *names, ("all", "hard"))])
    return table(rows)


def main() -> None:
    """Print the tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    sys.stdout.write("\n\n".join(part(runs) for part in (score_table, differences, bills)) + "\n")


if __name__ == "__main__":
    main()
