"""Selections over DeepScaleR's published ratings, its conflicting golds, and what adaptive sampling would have saved.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/selection.py [data folder]``

The ratings are the ``difficulty`` column: percent of 128 rollouts of a 7B model that failed. Nothing here asserts.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from longstep.curate.adaptive import Adaptive
from longstep.curate.audit import conflict_suspects, conflicting_golds
from longstep.curate.difficulty import Band, PassRate, Ratings
from longstep.curate.domains import domain_of
from longstep.curate.duplicates import duplicate_key
from longstep.curate.selection import (
    AtRandom,
    Balanced,
    Candidate,
    Hardest,
    InBand,
    LightR1Hard,
    LightR1Rl,
)
from longstep.jobs.rate import tenth
from longstep.types import Problem
from longstep.verify import verify

RATINGS = Ratings(unit="failed_percent", samples=128)
RULES = (
    InBand(max=0.5), LightR1Hard(), LightR1Rl(), Hardest(count=1000),
    Balanced(by=("domain",), count=3000), AtRandom(count=3000),
)  # fmt: skip
BANDS = {
    "[0.25, 0.625]": Band(min=0.25, max=0.625),
    "at most 0.5": Band(max=0.5),
    "at most 0.4, mixed": Band(max=0.4, mixed=True),
}


def say(*cells: object) -> None:
    sys.stdout.write("| " + " | ".join(map(str, cells)) + " |\n")


def header(*cells: str) -> None:
    sys.stdout.write("\n")
    say(*cells)
    say(*["---"] * len(cells))


def load(folder: Path) -> tuple[list[Problem], dict[str, PassRate]]:
    problems: list[Problem] = []
    rates: dict[str, PassRate] = {}
    with gzip.open(folder / "deepscaler_40k.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            problem = Problem(row["id"], row["problem"], row["answer"], verifier="math")
            if row["difficulty"] is not None:
                rates[problem.id] = RATINGS.read(row["difficulty"])
                problem = replace(problem, pass_rate=rates[problem.id].value)
            problems.append(problem)
    return problems, rates


def bins(problems: Sequence[Problem], rates: dict[str, PassRate]) -> None:
    header("pass rate", "rows")
    for name, count in sorted(Counter(tenth(rates.get(p.id)) for p in problems).items()):
        say(name, f"{count:,}")


def rules(problems: Sequence[Problem]) -> None:
    header("rule", "picked", "dropped, by reason", "CPU seconds")
    pool = [Candidate(p, domain=domain_of(p.prompt)) for p in problems]
    for rule in RULES:
        begun = time.process_time()
        reasons = rule.pick(pool, 17)
        spent = time.process_time() - begun
        dropped = Counter(reason.split(":")[0] for reason in reasons if reason)
        counted = ", ".join(f"{name} {count:,}" for name, count in sorted(dropped.items()))
        settings = ", ".join(f"{k} {v}" for k, v in rule.model_dump(exclude_defaults=True).items())
        say(f"{rule.kind} {settings}", f"{reasons.count(''):,}", counted, f"{spent:.2f}")


def same(first: str, second: str) -> bool:
    return first.strip() == second.strip() or verify(gold=first, answer=second).status == "correct"


def golds(problems: Sequence[Problem]) -> None:
    header(
        "equal questions", "groups with conflicting golds", "rows", "never solved",
        "of these beside a solved row", "CPU seconds",
    )  # fmt: skip
    for name, key in (("as written", str), ("normalised", duplicate_key)):
        begun = time.process_time()
        groups = list(conflicting_golds(problems, key, same))
        spent = time.process_time() - begun
        suspects = conflict_suspects(groups)
        never = [s for s in suspects if s.problem.pass_rate == 0]
        beside = sum("never solved here" in s.reason for s in never)
        say(name, len(groups), len(suspects), len(never), beside, f"{spent:.2f}")


def play(rule: Adaptive, solved: int, rng: random.Random) -> tuple[str, int, bool]:
    """Decision, samples used, and whether the recorded rate lies in the band; outcomes are the 128 real ones."""
    outcomes = [1] * solved + [0] * (128 - solved)
    rng.shuffle(outcomes)
    decision, size = "open", 0
    for size in rule.rounds():
        decision = rule.decide(PassRate(sum(outcomes[:size]), size))
        if decision != "open":
            break
    return decision, size, rule.band.min <= sum(outcomes[:size]) / size <= rule.band.max


def adaptive(rates: Sequence[PassRate]) -> None:
    header(
        "band", "most", "confidence", "samples a problem", "saved", "inside / outside / open",
        "wrong among decided", "misplaced by recorded rate", "misplaced by a fixed number",
    )  # fmt: skip
    rng = random.Random(0)
    for name, band in BANDS.items():
        for most in (16, 32, 64):
            for confidence in (0.9, 0.95):
                rule = Adaptive(band=band, max=most, confidence=confidence)
                told: Counter[str] = Counter()
                used = wrong = misplaced = fixed = 0
                for rate in rates:
                    inside = band.min <= rate.correct / 128 <= band.max
                    decision, size, recorded = play(rule, rate.correct, rng)
                    told[decision] += 1
                    used += size
                    wrong += decision != "open" and (decision == "inside") != inside
                    misplaced += recorded != inside
                    # so many of the 128 without putting any back: what a fixed number sees
                    seen = sum(rng.sample([1] * rate.correct + [0] * (128 - rate.correct), most))
                    fixed += (band.min <= seen / most <= band.max) != inside
                count = len(rates)
                shares = " / ".join(f"{told[d] / count:.1%}" for d in ("inside", "outside", "open"))
                say(
                    name, most, confidence, f"{used / count:.1f}", f"{1 - used / count / most:.0%}", shares,
                    f"{wrong / (count - told['open']):.2%}", f"{misplaced / count:.2%}", f"{fixed / count:.2%}",
                )  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    if not (folder / "deepscaler_40k.jsonl.gz").is_file():
        sys.stdout.write(
            f"{folder}: no deepscaler_40k.jsonl.gz here, so there is nothing to measure\n"
        )
        return
    problems, rates = load(folder)
    sys.stdout.write(
        f"{len(problems):,} rows, {len(rates):,} rated, load {os.getloadavg()[0]:.1f}\n"
    )
    bins(problems, rates)
    rules(problems)
    golds(problems)
    adaptive(list(rates.values()))


if __name__ == "__main__":
    main()
