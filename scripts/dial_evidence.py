"""Budgets for thinking, and a calculator, over seeds: reads runs of two recipes and prints tables with intervals.

    for seed in 1 2 3; do longstep run scale-budgets seed=$seed --out runs/budgets-$seed; done
    for seed in 1 2 3; do longstep run scale-tools seed=$seed --out runs/tools-$seed; done
    python scripts/dial_evidence.py runs/budgets-* runs/tools-*

Intervals are 95 %, bootstrapped over problems and seeds together. A difference *holds* when every seed has its sign and
the interval excludes 0; everything else is a null and is printed as one.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from evidence import table

from longstep.artifacts import read_rows
from longstep.evaluate.seeds import crossed_interval
from longstep.scaling.account import bill
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.dial import Dial, slope
from longstep.scaling.store import PROBLEMS, PROMPTS, Begun, trees
from longstep.scaling.tree import Trail, leaves
from longstep.types import Problem

ARMS = ("plain", "unlearnt", "changing", "confirming")
BUDGETS = (8, 16, 24, 32, 40, 48)
WAITS = ("one_wait", "two_waits")
Answers = list[tuple[Trail, float]]


@cache
def answers(out: Path, strategy: str) -> Answers:
    """Of each problem in order: its one answer, and the tokens of its tree."""
    prompts = {each.problem_id: each.tokens for each in read_rows(out / PROMPTS, Begun)}
    found: Answers = []
    for problem_id, tree in trees(out, strategy):
        (leaf,) = leaves(tree)
        found.append((leaf, bill(tree, prompts[problem_id]).tokens))
    return found


def right(out: Path, strategy: str) -> np.ndarray:
    """Correctness by problem."""
    return np.array([leaf.correctness or 0.0 for leaf, _ in answers(out, strategy)])


def over(outs: list[Path], strategy: str) -> np.ndarray:
    """Correctness by seed and problem, each seed's problems its own."""
    return np.stack([right(out, strategy) for out in outs])


def cell(values_SP: np.ndarray, sign: bool = False) -> str:
    """A mean in percent with its interval."""
    low, high = crossed_interval(values_SP)
    form = "{:+.1f} [{:+.1f}, {:+.1f}]" if sign else "{:.1f} [{:.1f}, {:.1f}]"
    return form.format(100 * values_SP.mean(), 100 * low, 100 * high)


def verdict(values_SP: np.ndarray) -> str:
    """Whether a difference holds."""
    low, high = crossed_interval(values_SP)
    means = values_SP.mean(1)
    if low > 0 and (means > 0).all():
        return "higher"
    return "lower" if high < 0 and (means < 0).all() else "null"


def budget_curve(runs: list[Path]) -> str:
    """Accuracy by the most tokens of a thought."""
    rows = [["traces", *(f"most {most}" for most in BUDGETS), "free"]]
    for arm in ARMS:
        outs = [run / f"budgets-{arm}" / "out" for run in runs]
        names = [*(f"most{most}" for most in BUDGETS), "free"]
        rows.append([arm, *(cell(over(outs, name)) for name in names)])
    return table(rows)


def budget_numbers(runs: list[Path]) -> str:
    """Control, Scaling and Performance, and where more budget gave less."""
    rows = [
        ["traces", "Control", "Scaling, points a token", "Performance", "steps down", "below 0"]
    ]
    for arm in ARMS:
        outs = [run / f"budgets-{arm}" / "out" for run in runs]
        dial = Dial()
        for most in BUDGETS:
            found = [leaf for out in outs for leaf, _ in answers(out, f"most{most}")]
            dial.add("all", BudgetForcing(most=most), found)
        points = [
            (
                float(np.mean([tokens for out in outs for _, tokens in answers(out, f"most{m}")])),
                float(over(outs, f"most{m}").mean()),
            )
            for m in BUDGETS
        ]
        steps = [
            over(outs, f"most{more}") - over(outs, f"most{less}")
            for less, more in pairwise(BUDGETS)
        ]
        down = [step for step in steps if step.mean() < 0]
        sure = [step for step in down if crossed_interval(step)[1] < 0]
        rows.append(
            [
                arm,
                f"{100 * np.mean(dial.kept['all']):.0f} %",
                f"{100 * (slope(points) or 0.0):+.2f}",
                f"{100 * max(accuracy for _, accuracy in points):.1f}",
                f"{len(down)} of {len(steps)}",
                str(len(sure)),
            ]
        )
    return table(rows)


def wait_table(runs: list[Path]) -> str:
    """What going on does, and to whom."""
    header = ["traces", "waits", "accuracy", "less free", "verdict"]
    rows = [[*header, "right to wrong", "wrong to right", "doubts in free answers"]]
    for arm in ARMS:
        outs = [run / f"budgets-{arm}" / "out" for run in runs]
        free = over(outs, "free")
        doubts = np.mean(["~" in leaf.text for out in outs for leaf, _ in answers(out, "free")])
        for name in WAITS:
            forced = over(outs, name)
            lost, won = (free > forced).mean(), (forced > free).mean()
            rows.append(
                [
                    arm,
                    name.replace("_", " "),
                    cell(forced),
                    cell(forced - free, sign=True),
                    verdict(forced - free),
                    f"{100 * lost:.1f}",
                    f"{100 * won:.1f}",
                    f"{100 * doubts:.0f} %",
                ]
            )
    return table(rows)


def wait_order(runs: list[Path]) -> str:
    """Whether one wait harms an arm less than the one before."""
    rows = [["one wait less free", "difference", "verdict"]]
    changes = [
        over(outs, "one_wait") - over(outs, "free")
        for outs in ([run / f"budgets-{arm}" / "out" for run in runs] for arm in ARMS)
    ]
    for at in range(1, len(ARMS)):
        delta = changes[at] - changes[at - 1]
        rows.append([f"{ARMS[at]} less {ARMS[at - 1]}", cell(delta, sign=True), verdict(delta)])
    return table(rows)


def tool_table(runs: list[Path]) -> str:
    """With and without the calculator, by steps of the chain."""
    rows = [["steps", "without", "with", "with less without", "verdict", "calls", "tokens of it"]]
    for part, spans in (("inside", [(1, 5), *((n, n) for n in range(1, 6))]), ("beyond", [(6, 8)])):
        outs = [run / f"calls-{part}" / "out" for run in runs]
        for low, high in spans:
            masks = [_between(out, low, high) for out in outs]
            size = min(int(mask.sum()) for mask in masks)
            off, on = (
                np.stack([right(o, name)[mask][:size] for o, mask in zip(outs, masks, strict=True)])
                for name in ("off", "calculator")
            )
            calls = [
                [s.origin == "tool" for s in leaf.segments].count(True)
                for out, mask in zip(outs, masks, strict=True)
                for (leaf, _), take in zip(answers(out, "calculator"), mask, strict=True)
                if take
            ]
            tokens = [
                sum(len(s.token_ids) for s in leaf.segments if s.origin == "tool")
                for out, mask in zip(outs, masks, strict=True)
                for (leaf, _), take in zip(answers(out, "calculator"), mask, strict=True)
                if take
            ]
            steps = f"{low}" if low == high else f"{low} to {high}"
            rows.append(
                [
                    steps + ("" if part == "inside" else ", untaught"),
                    cell(off),
                    cell(on),
                    cell(on - off, sign=True),
                    verdict(on - off),
                    f"{np.mean(calls):.1f}",
                    f"{np.mean(tokens):.1f}",
                ]
            )
    return table(rows)


def _between(out: Path, low: int, high: int) -> np.ndarray:
    """Which problems have so many steps, in the order of the trees."""
    steps = {each.id: each.difficulty or 0 for each in read_rows(out / PROBLEMS, Problem)}
    names = [name for name, _ in trees(out, "off")]
    return np.array([low <= steps[name] <= high for name in names])


def main() -> None:
    """Print what the runs given can show."""
    runs = [Path(name) for name in sys.argv[1:]]
    budgets = [run for run in runs if (run / "budgets-plain").is_dir()]
    tools = [run for run in runs if (run / "calls-inside").is_dir()]
    if not budgets and not tools:
        sys.exit(__doc__)
    parts = (budget_curve, budget_numbers, wait_table, wait_order) if budgets else ()
    for part in parts:
        sys.stdout.write(part(budgets) + "\n\n")
    if tools:
        sys.stdout.write(tool_table(tools) + "\n")


if __name__ == "__main__":
    main()
