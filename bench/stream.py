"""Rows per second and peak memory of the streaming data verbs on a generated file, in 1 GB of address space.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/stream.py [rows] [verb ...] [--kill] [--workers N]
[--file jsonl|jsonl.gz|parquet]``; a Parquet file is one row group, the hardest case for memory.
Rows are about 80 bytes; one of 50 repeats an earlier question, one of 1000 with another answer, one of 10,000 is a
question of the made-up benchmark. With ``--kill`` each verb is also run in a second folder, killed with SIGKILL
half-way and run again: both must end with the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.json
import pyarrow.parquet

LIMIT = 1 << 30
VERBS = ("check", "dedup", "decontaminate")
THINGS = ("sheep", "geese", "carts", "barrels", "coins", "stamps", "bridges", "candles", "ladders")
PLACES = ("Siena", "Lagos", "Quito", "Oslo", "Perth", "Turin", "Dakar", "Lima", "Kyoto", "Basel")


def exam(number: int) -> str:
    """A question of the benchmark."""
    rng = random.Random(number)
    one, two, place = rng.choice(THINGS), rng.choice(THINGS), rng.choice(PLACES)
    own = f"A trader of {place} owns {rng.randrange(90)} {one}"
    return f"{own} and swaps {number} of them for {two}; how many {one} stay?"


def generate(path: Path, rows: int) -> None:
    """Write the file; questions repeat by number, so none is kept in memory."""
    rng = random.Random(0)
    with path.with_name("exam.jsonl").open("w") as file:
        file.writelines(f'{{"id":"e{n}","problem":"{exam(n)}"}}\n' for n in range(500))
    with path.open("w") as file:
        for number in range(rows):
            other = number
            if number and number % 50 == 0:
                other = rng.randrange(number)
            answer = other * 7 + (number % 1000 == 0)
            question = f"What is {other} times {other % 97 + 2} minus {other % 89}?"
            if number % 10_000 == 9_999:
                question = exam(number // 10_000 % 500)
            file.write(f'{{"id":"r{number}","problem":"{question}","answer":"{answer}"}}\n')


def packed(path: Path, file: str) -> Path:
    """The same rows compressed or as a table."""
    made = path.with_name(f"rows.{file}")
    if file == "jsonl.gz":
        with path.open("rb") as rows, gzip.open(made, "wb", compresslevel=1) as out:
            shutil.copyfileobj(rows, out)
    elif file == "parquet":
        table = pyarrow.json.read_json(path)
        pyarrow.parquet.write_table(table, made, row_group_size=len(table))
    return made


def command(verb: str, path: Path, out: Path, workers: int) -> list[str]:
    """One call of the program."""
    words = [sys.executable, "-m", "longstep", "data", verb, str(path)]
    options = ["--out", str(out), "--workers", str(workers), "--json"]
    against = ["--against", str(path.with_name("exam.jsonl"))] if verb == "decontaminate" else []
    return [*words, *options, *against]


def run(words: list[str], kill_after: float | None = None) -> tuple[float, int]:
    """Run it under the limit; seconds and peak RSS in MB of the process (its workers are like it)."""
    start = time.monotonic()
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
    )
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(process.pid, signal.SIGKILL)
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if kill_after is None and process.returncode not in (0, 1):
        raise SystemExit(said[-2000:])
    return time.monotonic() - start, usage.ru_maxrss >> 10


def content(folder: Path) -> str:
    """The one hash of all results."""
    return json.loads((folder / "manifest.json").read_text())["content"]


def measure(verb: str, path: Path, rows: int, folder: Path, options: argparse.Namespace) -> None:
    """Print one line of the table."""
    seconds, peak = run(command(verb, path, folder / verb, options.workers))
    line = f"{verb:<14} {rows:>11,} rows {seconds:7.1f} s {rows / seconds:>10,.0f} rows/s  peak {peak} MB"
    if options.kill:
        words = command(verb, path, folder / f"{verb}-killed", options.workers)
        run(words, kill_after=seconds / 2)
        finished = (folder / f"{verb}-killed" / "manifest.json").exists()
        again, _ = run(words)
        same = content(folder / verb) == content(folder / f"{verb}-killed")
        state = "too late" if finished else f"then {again:.1f} s"
        line += f"  killed at {seconds / 2:.1f} s, {state}: {'same bytes' if same else 'DIFFERENT'}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Generate, measure, delete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=200_000)
    parser.add_argument("verbs", nargs="*", default=VERBS)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--file", choices=("jsonl", "jsonl.gz", "parquet"), default="jsonl")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longstep-stream-") as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        generate(path, options.rows)
        path = packed(path, options.file)
        sys.stdout.write(
            f"{path.stat().st_size >> 20} MB of {options.file}, load {os.getloadavg()[0]:.1f}\n"
        )
        for verb in options.verbs:
            measure(verb, path, options.rows, folder, options)


if __name__ == "__main__":
    main()
