"""Verifiers side by side: pairs labelled by mathematics, a realistic mix, hostile answers, a loaded machine.

Run: ``PYTHONPATH=src python bench/verify.py [DATA] [--parts pairs,hostile] [--verifiers ours,installed]``; DATA is a
folder with ``deepscaler_40k.jsonl.gz``, ``math500.jsonl.gz``, ``math_train_7500.jsonl.gz``, ``minerva_math.jsonl.gz``;
without it the mix is made of the golds of the conformance set. The part ``fresh`` judges pairs that nobody tuned on
(``--fresh``, in the layout of ``tests/conformance``) and prints counts alone. It prints markdown. The other graders are
re-implementations (``bench/graders``, with what differs) except the installed Math-Verify. Every grader runs in a
process of its own; CPU seconds are of its whole process tree, so that a ratio survives a loaded machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFORMANCE = ROOT / "tests" / "conformance"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from graders.isolate import Grader, Pair, Reply  # noqa: E402
from graders.mix import golds, mixed  # noqa: E402

from conformance.costly import costly  # noqa: E402
from conformance.generated import generate  # noqa: E402
from conformance.hostile import hostile  # noqa: E402

NAMES = {
    "ours": "longstep",
    "installed": "Math-Verify",
    "qwen": "Qwen2.5-Math",
    "rllm": "rllm / DeepScaleR",
    "prime": "PRIME",
}
MIX = 900  # pairs of the mix that every verifier judges
LARGE = 30_000  # pairs of the mix that the fast one judges as well
GENERATED = 900
SLOW_S = 0.2
LOST = ("unparseable", "timeout", "raised")
PARTS = ("pairs", "fresh", "generated", "mix", "hostile", "costly", "batch", "load")
LIMIT_S = {"installed": 20.0}  # CPU seconds of one pair; it has limits of its own, 5 s of wall each
LIMIT_ELSE_S = 3.0
HOSTILE = 4  # longstep judges all hostile answers, the others every fourth: a kill costs seconds
COSTLY = 12  # costly pairs that every verifier judges; longstep judges all


def main() -> None:
    """Print the parts that were asked for."""
    parser = argparse.ArgumentParser(description="Compare verifiers side by side.")
    parser.add_argument("data", nargs="?", type=Path, help="folder with the shared data")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--verifiers", default=",".join(NAMES))
    parser.add_argument("--fresh", type=Path, default=CONFORMANCE / "fresh.jsonl")
    arguments = parser.parse_args()
    names = {name: NAMES[name] for name in arguments.verifiers.split(",")}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    pairs = labelled()
    runs = {
        "pairs": lambda: print_disagreements(pairs, print_pairs("labelled pairs", pairs, names)),
        "fresh": lambda: print_pairs("fresh pairs", read_pairs(arguments.fresh), names),
        "generated": lambda: print_generated(names),
        "mix": lambda: print_mix(golds(arguments.data) or [each["gold"] for each in pairs], names),
        "hostile": lambda: print_hostile(names),
        "costly": lambda: print_costly(names),
        "batch": print_batch,
        "load": lambda: print_load(pairs, names),
    }
    for part in arguments.parts.split(","):
        runs[part]()
        print(flush=True)


def labelled() -> list[dict]:
    """Read both halves of the conformance set."""
    return read_pairs(CONFORMANCE / "pairs.jsonl") + read_pairs(CONFORMANCE / "unseen.jsonl")


def read_pairs(file: Path) -> list[dict]:
    """Read labelled pairs: id, gold, answer, kind (perhaps null) and equal."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def header(*columns: str) -> None:
    """Print the head of a markdown table."""
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


@contextmanager
def opened(name: str, pairs: int = 1) -> Iterator[Grader]:
    """Start a grader that is asked about so many pairs at once, and make sure that it ends."""
    grader = Grader(name, pairs * LIMIT_S.get(name, LIMIT_ELSE_S))
    try:
        yield grader
    finally:
        grader.close()


# --- labelled pairs ---------------------------------------------------------------------------------


def print_pairs(what: str, pairs: list[dict], names: dict[str, str]) -> dict[str, list[str]]:
    """Judge every labelled pair with every verifier; print the confusion matrix, give the verdicts."""
    print(f"\n## {len(pairs)} {what} ({sum(p['equal'] for p in pairs)} equal)\n")
    header("verifier", "right", "true +", "false +", "false -", "true -", *LOST, "max CPU s")
    found: dict[str, list[str]] = {}
    for name, title in names.items():
        with opened(name) as grader:
            replies = [judged(grader, (p["gold"], p["answer"], p["kind"])) for p in pairs]
        found[name] = [reply.statuses[0] for reply in replies]
        counts = confusion(pairs, found[name])
        worst = max(reply.cpu_s for reply in replies)
        print(f"| {title} | " + " | ".join(counts) + f" | {worst:.2f} |", flush=True)
    return found


def judged(grader: Grader, pair: Pair) -> Reply:
    """Judge one pair; one that seems slow is asked again, since the first may have paid for an import."""
    reply = grader.ask([pair])
    if reply.cpu_s < SLOW_S or reply.statuses == ["timeout"]:
        return reply
    return min(reply, grader.ask([pair]), key=lambda each: each.cpu_s)


def confusion(pairs: list[dict], statuses: list[str]) -> list[str]:
    """Count; a pair is right when it is called ``correct`` exactly if equal, and something was decided."""
    cells = Counter(
        (pair["equal"], status == "correct") for pair, status in zip(pairs, statuses, strict=True)
    )
    lost = Counter(status.split()[0] for status in statuses)
    undecided = sum(
        not pair["equal"] and status.split()[0] in ("timeout", "bad_gold", "raised")
        for pair, status in zip(pairs, statuses, strict=True)
    )
    right = cells[True, True] + cells[False, False] - undecided
    counts = [cells[True, True], cells[False, True], cells[True, False], cells[False, False]]
    counts += [lost["unparseable"] + lost["bad_gold"], lost["timeout"], lost["raised"]]
    return [f"{100 * right / len(pairs):.1f} %", *map(str, counts)]


def print_disagreements(pairs: list[dict], found: dict[str, list[str]]) -> None:
    """List the pairs on which we and Math-Verify differ, and ours that contradict the label, if both were asked."""
    if not {"ours", "installed"} <= set(found):
        return
    ours, theirs = found["ours"], found["installed"]
    rows = [
        (pair, one, two)
        for pair, one, two in zip(pairs, ours, theirs, strict=True)
        if (one == "correct") != (two == "correct") or (one == "correct") != pair["equal"]
    ]
    print(f"\n{len(rows)} pairs where longstep and Math-Verify differ, or longstep is wrong:\n")
    header("id", "gold", "answer", "equal", "longstep", "Math-Verify")
    for pair, one, two in rows:
        mark = "" if (one == "correct") == pair["equal"] else " **wrong**"
        gold, answer = (cell(pair[side]) for side in ("gold", "answer"))
        print(f"| {pair['id']} | {gold} | {answer} | {pair['equal']} | {one}{mark} | {two} |")


def cell(text: str) -> str:
    """Show a text in a markdown table."""
    return "`" + text.replace("\n", " ").replace("|", "¦")[:70] + "`"


# --- pairs with a label by construction --------------------------------------------------------------


def print_generated(names: dict[str, str]) -> None:
    """Judge pairs that were made equal or unequal with exact arithmetic."""
    print(f"\n## {GENERATED} generated pairs, half of them equal (longstep: {LARGE:,} as well)\n")
    print(
        "| verifier | pairs | false + | false - | timeout | worst family |\n|---|---|---|---|---|---|"
    )
    for name, size in (*((name, GENERATED) for name in names), ("ours", LARGE)):
        pairs = generate(size, seed=size)
        with opened(name) as grader:
            statuses = [grader.ask([(p.gold, p.answer, None)]).statuses[0] for p in pairs]
        judged_ = list(zip(pairs, statuses, strict=True))
        positive = sum(s == "correct" and not p.equal for p, s in judged_)
        negative = sum(s != "correct" and p.equal for p, s in judged_)
        families = Counter(p.family for p, s in judged_ if (s == "correct") != p.equal)
        worst = (
            ", ".join(f"{family} {count}" for family, count in families.most_common(2)) or "none"
        )
        row = f"{size:,} | {positive} | {negative} | {statuses.count('timeout')} | {worst}"
        print(f"| {NAMES[name]} | {row} |", flush=True)


# --- a realistic mix --------------------------------------------------------------------------------


def print_mix(answers: list[str], names: dict[str, str]) -> None:
    """Time the verifiers on the same pairs: medians of three fresh processes, in pairs per second."""
    mix = mixed(answers, MIX)
    large = mixed(answers, LARGE, seed=1)
    print(f"\n## Speed on {MIX} pairs: golds against themselves, re-spelt, and other golds\n")
    print(
        "| verifier | pairs/s (wall) | pairs/s (CPU) | of Math-Verify | missed itself | missed re-spelt |"
    )
    print("|---|---|---|---|---|---|")
    speeds: dict[str, float] = {}
    for name in sorted(names, key=lambda name: name != "installed"):
        wall, speeds[name], statuses = speed(name, mix, repeats=3)
        row = f"{wall:,.0f} | {speeds[name]:,.0f} | {ratio(speeds, name)}"
        print(f"| {NAMES[name]} | {row} | {misses(mix, statuses)} |", flush=True)
    wall, speeds["large"], statuses = speed("ours", large, repeats=3)
    row = f"{wall:,.0f} | {speeds['large']:,.0f} | {ratio(speeds, 'large')} | {misses(large, statuses)}"
    print(f"| longstep, {LARGE:,} pairs | {row} |\n")
    print(f"statuses of the last row: {dict(Counter(statuses))}; load {os.getloadavg()[0]:.1f}")


def ratio(speeds: dict[str, float], name: str) -> str:
    """Give a speed as a multiple of Math-Verify's in this run."""
    return f"{speeds[name] / speeds['installed']:.1f}" if "installed" in speeds else "-"


def speed(name: str, mix: list[tuple[str, Pair]], repeats: int) -> tuple[float, float, list[str]]:
    """Give pairs per second of wall and of CPU, each the median over fresh processes, and the verdicts.

    Pairs go in batches of ten: what hangs costs one batch and its limit, not the run.
    """
    walls, cpus, statuses = [], [], []
    for _ in range(repeats):
        statuses, wall_s, cpu_s = [], 0.0, 0.0
        step = 1000 if name == "ours" else 10
        with opened(name, pairs=3) as grader:
            for start in range(0, len(mix), step):
                reply = grader.ask([pair for _, pair in mix[start : start + step]])
                statuses += reply.statuses
                wall_s, cpu_s = wall_s + reply.wall_s, cpu_s + reply.cpu_s
        walls.append(len(mix) / wall_s)
        cpus.append(len(mix) / max(cpu_s, 0.01))
    return statistics.median(walls), statistics.median(cpus), statuses


def misses(mix: list[tuple[str, Pair]], statuses: list[str]) -> str:
    """Give the shares of the equal pairs that were not called correct."""
    shares = []
    for way in ("itself", "re-spelt"):
        judged = [s for (each, _), s in zip(mix, statuses, strict=True) if each == way]
        shares.append(f"{100 * sum(s != 'correct' for s in judged) / len(judged):.2f} %")
    return " | ".join(shares)


# --- hostile answers --------------------------------------------------------------------------------


def print_hostile(names: dict[str, str]) -> None:
    """Judge every hostile answer with every verifier, each alone and with a limit."""
    cases = hostile()
    some = dict(list(cases.items())[::HOSTILE])
    limits = f"{LIMIT_ELSE_S:g} s of CPU (Math-Verify: {LIMIT_S['installed']:g} s)"
    print(f"\n## {len(cases)} hostile answers, each alone, killed after {limits}\n")
    columns = (
        "answers",
        "called correct",
        "decided",
        "raised",
        "killed or died",
        "max CPU s",
        "longest",
    )
    header("verifier", *columns)
    for name, title in names.items():
        asked = cases if name == "ours" else some
        with opened(name) as grader:
            replies = {case: grader.ask([("12", text, None)]) for case, text in asked.items()}
        statuses = Counter(reply.statuses[0].split()[0] for reply in replies.values())
        decided = statuses["correct"] + statuses["incorrect"] + statuses["unparseable"]
        worst = max(replies, key=lambda case: replies[case].cpu_s)
        row = [len(asked), statuses["correct"], decided, statuses["raised"], statuses["timeout"]]
        cells = " | ".join(map(str, row))
        print(f"| {title} | {cells} | {replies[worst].cpu_s:.2f} | {worst} |", flush=True)


def print_costly(names: dict[str, str]) -> None:
    """Judge pairs that are as expensive as the bounds allow; what is decided must be right."""
    pairs = costly()
    some = pairs[:: len(pairs) // COSTLY]
    print(
        f"\n## {len(pairs)} costly pairs, gold and answer long; {len(some)} of them for everybody\n"
    )
    columns = ("pairs", "right", "called equal wrongly", "called unequal wrongly", "undecided")
    header("verifier", *columns, "killed or died", "max CPU s", "longest")
    for name, asked in (*((name, some) for name in names), ("ours", pairs)):
        with opened(name) as grader:
            replies = [judged(grader, (pair.gold, pair.answer, None)) for pair in asked]
        found = Counter(
            (reply.statuses[0].split()[0], pair.equal)
            for reply, pair in zip(replies, asked, strict=True)
        )
        right = found["correct", True] + found["incorrect", False]
        killed = found["timeout", True] + found["timeout", False]
        wrong = (found["correct", False], found["incorrect", True])
        worst = max(range(len(asked)), key=lambda place: replies[place].cpu_s)
        cells = [len(asked), right, *wrong, len(asked) - right - sum(wrong) - killed, killed]
        row = " | ".join(map(str, cells))
        longest = f"{replies[worst].cpu_s:.2f} | {asked[worst].name}"
        print(f"| {NAMES[name]} | {row} | {longest} |", flush=True)


BATCH = """
import json, os, sys, time
from pathlib import Path
from conformance.hostile import hostile
from longstep.types import Problem
from longstep.verify import judge_all

texts = list(hostile().values())
bad = {n: texts[k % len(texts)] for k, n in enumerate(range(7, 1000, 15)[:64])}

def batch(bad):
    items = []
    for n in range(1000):
        gold, answer = (f"x+{n}", f"{n + n % 2}+x") if n % 5 == 0 else (str(n), str(n + n % 2))
        problem = Problem(id=str(n), prompt="q", answer=gold, verifier="math")
        items.append((problem, "\\\\boxed{" + bad.get(n, answer) + "}", "stop"))
    start = time.perf_counter()
    return [v.status for v in judge_all(items, threads=4)], time.perf_counter() - start

(clean, one_s), (mixed, two_s) = batch({}), batch(bad)
tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
workers = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
print(json.dumps([clean, mixed, sorted(bad), workers, one_s, two_s]))
"""


def print_batch() -> None:
    """Judge 1,000 answers of which 64 are hostile, and the same without them; look for orphans."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", BATCH],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    clean, mixed_, bad, workers, one_s, two_s = json.loads(done.stdout)
    changed = sum(
        a != b for n, (a, b) in enumerate(zip(clean, mixed_, strict=True)) if n not in bad
    )
    orphans = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    print(f"\n## 1,000 answers, {len(bad)} of them hostile\n")
    print(
        f"clean {one_s:.2f} s, with hostile {two_s:.2f} s; verdicts of the other 936 changed: {changed}"
    )
    print(
        f"hostile ones: {dict(Counter(mixed_[n] for n in bad))}; orphan processes: {len(orphans)}"
    )


# --- a loaded machine -------------------------------------------------------------------------------


def print_load(pairs: list[dict], names: dict[str, str]) -> None:
    """Judge the labelled pairs with the machine quiet and with two busy processes per core."""
    print("\n## Verdicts on a quiet machine against one with two busy processes per core\n")
    asked: list[Pair] = [(pair["gold"], pair["answer"], pair["kind"]) for pair in pairs]
    for name in sorted({"ours", "installed"} & set(names), reverse=True):
        with opened(name, pairs=len(pairs)) as grader:
            quiet = grader.ask(asked).statuses
            spin = [sys.executable, "-c", "while True: pass"]
            burners = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
            try:
                loaded = grader.ask(asked).statuses
            finally:
                for burner in burners:
                    burner.kill()
                    burner.wait()
        changed = sum(one != two for one, two in zip(quiet, loaded, strict=True))
        print(f"* {NAMES[name]}: {changed} of {len(pairs)} verdicts changed")


if __name__ == "__main__":
    main()
