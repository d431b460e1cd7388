"""A trained scorer over seeds: reads runs of the recipe scale-head and prints cards, accuracies and differences.

    for seed in 17 18 19; do longstep run scale-head seed=$seed --out runs/head-$seed; done
    python scripts/head_evidence.py runs/head-*

A difference *holds* when every seed has its sign and the 95 % interval over problems and seeds excludes 0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from evidence import table

from longstep.artifacts import read_json, read_rows
from longstep.evaluate.seeds import crossed_interval
from longstep.scaling.head import read_facts
from longstep.scaling.store import CHOICES, CURVES, GivenAnswer

HEADS = ("steps", "outcome")
STEPS, OUTCOME = "weighted by head @steps", "weighted by head @outcome"
#: (temperature, claim, (strategy, pick), less (strategy, pick))
CLAIMS = [
    ("hot", "vote weighted by the step head", ("vote", STEPS), ("vote", "majority")),
    ("cool", "vote weighted by the step head", ("vote", STEPS), ("vote", "majority")),
    ("hot", "vote weighted by the outcome head", ("vote", OUTCOME), ("vote", "majority")),
    ("cool", "vote weighted by the outcome head", ("vote", OUTCOME), ("vote", "majority")),
    ("hot", "vote weighted by log-probability", ("vote", "weighted"), ("vote", "majority")),
    ("cool", "vote weighted by log-probability", ("vote", "weighted"), ("vote", "majority")),
    ("hot", "best by the step head", ("vote", "best by head @steps"), ("vote", "majority")),
    ("cool", "best by the step head", ("vote", "best by head @steps"), ("vote", "majority")),
    ("hot", "step head against log-probability", ("vote", STEPS), ("vote", "weighted")),
    ("cool", "step head against log-probability", ("vote", STEPS), ("vote", "weighted")),
    ("hot", "Borda by self-certainty", ("vote", "borda by self-certainty"), ("vote", "majority")),
    ("cool", "Borda by self-certainty", ("vote", "borda by self-certainty"), ("vote", "majority")),
    ("hot", "DVTS, weighted vote", ("trees", STEPS), ("vote", STEPS)),
    ("hot", "REBASE, weighted vote", ("rebase", STEPS), ("vote", STEPS)),
    ("hot", "DVTS, majority", ("trees", "majority"), ("vote", STEPS)),
    ("hot", "REBASE, majority", ("rebase", "majority"), ("vote", STEPS)),
    ("hot", "DVTS, weighted vote, against plain votes", ("trees", STEPS), ("vote", "majority")),
    ("hot", "REBASE, weighted vote, against plain votes", ("rebase", STEPS), ("vote", "majority")),
]


def values(run: Path, stage: str, strategy: str, pick: str) -> np.ndarray:
    """Expected correctness by problem, all answers used, in stored order; not a number where nobody can say."""
    rows = read_rows(run / stage / "out" / CHOICES, GivenAnswer)
    found = [row.correctness for row in rows if (row.strategy, row.pick) == (strategy, pick)]
    return np.array([np.nan if value is None else value for value in found])


def cards(runs: list[Path]) -> str:
    """What each head can tell, run by run."""
    rows = [["run", "labels", "step AUC", "within a problem", "pooled", "log-probability, within"]]
    for run in runs:
        for head in HEADS:
            facts = read_facts(run / head / "out")
            card = facts.card
            low, high = card.within_ci95 or (0.0, 1.0)
            within = f"{card.within_auc or 0:.3f} [{low:.3f}, {high:.3f}]"
            others = (card.pooled_auc or 0, card.logprob_within_auc or 0)
            cells = [f"{card.step_auc or 0:.3f}", within, *(f"{each:.3f}" for each in others)]
            rows.append([run.name, facts.labels, *cells])
    return table(rows)


def accuracies(runs: list[Path]) -> str:
    """Every strategy and pick at both temperatures, mean over seeds with interval."""
    rows = [["sampling", "strategy", "pick", "tokens", "read by scorers", "accuracy", "per seed"]]
    for stage in ("hot", "cool"):
        for strategy, pick, tokens, read in _points(runs, stage):
            values_SP = np.stack([values(run, stage, strategy, pick) for run in runs])
            low, high = crossed_interval(values_SP)
            mean = f"{100 * values_SP.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"
            seeds = " ".join(f"{100 * each:.1f}" for each in values_SP.mean(1))
            rows.append([stage, strategy, pick, f"{tokens:,.0f}", f"{read:,.0f}", mean, seeds])
    return table(rows)


def _points(runs: list[Path], stage: str) -> Iterator[tuple[str, str, float, float]]:
    """Strategies and picks with their tokens a problem and those that scorers read, means over runs."""
    found = [read_json(run / stage / "out" / CURVES) for run in runs]
    seen: set[tuple[str, str]] = set()
    for point in found[0]["points"]:
        key = point["strategy"], point["pick"]
        if key not in seen:
            seen.add(key)
            bills = [each["bills"][key[0]] for each in found]
            drawn = np.mean([bill["drawn"] + bill["forced"] + bill["tool"] for bill in bills])
            yield *key, float(drawn), float(np.mean([bill["scored_again"] for bill in bills]))


def differences(runs: list[Path]) -> str:
    """Every claim: difference, interval, seeds that agree, verdict."""
    rows = [["sampling", "claim", "difference (points)", "seeds above", "tokens, times", "verdict"]]
    for stage, claim, one, other in CLAIMS:
        values_SP = np.stack(
            [values(run, stage, *one) - values(run, stage, *other) for run in runs]
        )
        low, high = crossed_interval(values_SP)
        above = int((values_SP.mean(1) > 0).sum())
        verdict = "null"
        if low > 0 and above == len(runs):
            verdict = "better"
        elif high < 0 and above == 0:
            verdict = "worse"
        tokens = {(s, p): t for s, p, t, _ in _points(runs, stage)}
        shown = f"{100 * values_SP.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        times = f"{tokens[one] / tokens[other]:.2f}"
        rows.append([stage, claim, shown, f"{above} of {len(runs)}", times, verdict])
    return table(rows)


def main() -> None:
    """Print the three tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    for part in (cards, accuracies, differences):
        sys.stdout.write(part(runs) + "\n\n")


if __name__ == "__main__":
    main()
