"""The miniature of Light-R1 over seeds: reads evidence runs and prints every claim with its interval.

    for seed in 1 2 3 4 5; do longstep run light-r1 --size tiny+evidence seed=$seed --out runs/evidence-$seed; done
    python scripts/evidence.py runs/evidence-*

A claim holds when its sign agrees in at least 4 of 5 seeds and the 95 % interval, bootstrapped over problems and
seeds together, excludes 0. Everything else is a null and is printed as one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from longstep.artifacts import read_json, read_rows
from longstep.evaluate.seeds import crossed_interval
from longstep.types import Completion, Problem

#: (claim, better model, other model, slice)
CLAIMS = [
    ("SFT-1 above base", "sft1", "base", "all"),
    ("SFT-2 above SFT-1, hard slice", "sft2", "sft1", "hard"),
    ("SFT-2 above SFT-1, easy slice (forgetting?)", "sft2", "sft1", "easy"),
    ("final above SFT-2", "rl", "sft2", "all"),
    ("hard band above random items in stage 2, hard slice", "sft2", "sft2_random", "hard"),
    ("two stages above one at equal steps, hard slice", "sft2", "one_stage", "hard"),
    ("two stages above one at equal steps", "sft2", "one_stage", "all"),
    (
        "two stages above one at equal steps and rates, hard slice",
        "sft2",
        "one_stage_decayed",
        "hard",
    ),
    ("two stages above one at equal steps and rates", "sft2", "one_stage_decayed", "all"),
    ("NCA above SFT-2", "nca", "sft2", "all"),
    ("DPO above SFT-2", "dpo", "sft2", "all"),
    ("NCA above DPO", "nca", "dpo", "all"),
    ("merge above SFT-2", "merged", "sft2", "all"),
    ("merge above NCA", "merged", "nca", "all"),
    ("merge above NCA with skipped tokens", "merged", "nca_skipped", "all"),
    ("GRPO above its start", "rl", "merged", "all"),
    ("GRPO band above unfiltered", "rl", "rl_all", "all"),
    ("GRPO band above unfiltered, 10 % wrong keys", "rl_spoiled_band", "rl_spoiled_all", "all"),
]


def correctness(run: Path, model: str, slice_name: str, scores: str = "scores") -> np.ndarray:
    """Mean correctness by problem, in the order of the stored problems; ``scores`` is the stage that has them."""
    out = run / scores / "out"
    (benchmark,) = read_json(out / "protocol.json")["benchmarks"].items()
    problems = list(read_rows(out / "problems" / f"{benchmark[0]}.jsonl", Problem))
    low, high = (-np.inf, np.inf) if slice_name == "all" else benchmark[1]["slices"][slice_name]
    wanted = [p.id for p in problems if p.difficulty is not None and low <= p.difficulty <= high]
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for row in read_rows(out / "completions" / model / f"{benchmark[0]}.jsonl", Completion):
        assert row.verdict is not None and row.verdict.correctness is not None
        if row.problem_id in found:
            found[row.problem_id].append(row.verdict.correctness)
    return np.array([np.mean(found[name]) for name in wanted])


def table(rows: list[list[str]]) -> str:
    """A Markdown table."""
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]
    return "\n".join(lines)


def score_table(runs: list[Path]) -> str:
    """Models by slices, mean over seeds with interval."""
    models = read_json(runs[0] / "scores" / "out" / "protocol.json")["models"]
    rows = [["model", "all", "easy", "hard", "per seed (all)"]]
    for model in models:
        cells = [model]
        for slice_name in ("all", "easy", "hard"):
            values_SP = np.stack([correctness(run, model, slice_name) for run in runs])
            low, high = crossed_interval(values_SP)
            cells.append(f"{100 * values_SP.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        cells.append(" ".join(f"{100 * correctness(run, model, 'all').mean():.1f}" for run in runs))
        rows.append(cells)
    return table(rows)


def difference_cells(runs: list[Path], arm: str, control: str, parts: tuple[str, ...]) -> list[str]:
    """An arm less its control on each slice, the first being what is judged by: seeds above, and a verdict in a word.

    A difference holds when four seeds in five have its sign and the 95 % interval over problems and seeds excludes 0.
    """
    cells: list[str] = []
    judged: list[str] = []
    for part in parts:
        values_SP = np.stack(
            [correctness(run, arm, part) - correctness(run, control, part) for run in runs]
        )
        low, high = crossed_interval(values_SP)
        cells.append(f"{100 * values_SP.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        above = int((values_SP.mean(1) > 0).sum())
        verdict = "null"
        if low > 0 and above >= 0.8 * len(runs):
            verdict = "better"
        elif high < 0 and len(runs) - above >= 0.8 * len(runs):
            verdict = "worse"
        judged = judged or [f"{above} of {len(runs)}", verdict]
    return [*cells, *judged]


def claim_table(runs: list[Path]) -> str:
    """Every claim: difference, interval, seeds that agree, verdict."""
    rows = [["claim", "difference (points)", "95 % interval", "seeds that agree", "verdict"]]
    for claim, better, other, slice_name in CLAIMS:
        values_SP = np.stack(
            [
                correctness(run, better, slice_name) - correctness(run, other, slice_name)
                for run in runs
            ]
        )
        low, high = crossed_interval(values_SP)
        agree = int((values_SP.mean(1) > 0).sum())
        verdict = (
            "holds" if low > 0 and agree >= 0.8 * len(runs) else "reversed" if high < 0 else "null"
        )
        rows.append(
            [
                claim,
                f"{100 * values_SP.mean():+.1f}",
                f"[{100 * low:+.1f}, {100 * high:+.1f}]",
                f"{agree} of {len(runs)}",
                verdict,
            ]
        )
    return table(rows)


def last_metric(run: Path, stage: str, key: str) -> float:
    """A metric's last value in a stage's log."""
    lines = (run / stage / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)[key] for line in lines if key in json.loads(line)][-1]


def mean_metric(run: Path, stage: str, key: str) -> float:
    """A metric's mean over a stage's log."""
    lines = (run / stage / "metrics.jsonl").read_text().splitlines()
    return float(np.mean([json.loads(line)[key] for line in lines if key in json.loads(line)]))


def mechanism_table(runs: list[Path]) -> str:
    """What should be seen inside: chosen rewards, groups without signal, wrong keys that reach training."""
    facts = {
        "NCA: reward of the chosen side at the end": lambda r: last_metric(
            r, "nca", "rewards/chosen"
        ),
        "DPO: reward of the chosen side at the end": lambda r: last_metric(
            r, "dpo", "rewards/chosen"
        ),
        "NCA: log-prob of the chosen side at the end": lambda r: last_metric(
            r, "nca", "logps/chosen"
        ),
        "DPO: log-prob of the chosen side at the end": lambda r: last_metric(
            r, "dpo", "logps/chosen"
        ),
        "GRPO band: share of groups without signal": lambda r: mean_metric(
            r, "rl", "zero_variance_share"
        ),
        "GRPO unfiltered: share of groups without signal": lambda r: mean_metric(
            r, "rl_all", "zero_variance_share"
        ),
        "wrong keys in the pool": lambda r: float(len(_spoiled(r))),
        "wrong keys inside the band": lambda r: float(len(_spoiled(r) & _band(r))),
    }
    rows = [["quantity", "mean", "per seed"]]
    for name, measure in facts.items():
        values = [measure(run) for run in runs]
        rows.append([name, f"{np.mean(values):.3g}", " ".join(f"{value:.3g}" for value in values)])
    return table(rows)


def _spoiled(run: Path) -> set[str]:
    lines = (run / "problems_spoiled" / "out" / "spoiled.jsonl").read_text().splitlines()
    return {json.loads(line)["id"] for line in lines}


def _band(run: Path) -> set[str]:
    problems = read_rows(run / "pool_spoiled" / "out" / "problems.jsonl", Problem)
    return {p.id for p in problems if p.pass_rate is not None and 0.25 <= p.pass_rate <= 0.625}


def main() -> None:
    """Print the three tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    for part in (score_table, claim_table, mechanism_table):
        sys.stdout.write(part(runs) + "\n\n")


if __name__ == "__main__":
    main()
