"""Memory and seconds of stage ``curate`` on made problems: what it adds to the process, and what its index costs.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/curation.py [rows] [--kill] [--source file|chain]``
One row of ten repeats an earlier question, one of a thousand with another answer, one of ten thousand is a question of
a made-up benchmark; ``chain`` draws distinct problems of that family instead. With ``--kill`` it is also run in a
second folder, killed with SIGKILL half-way and run again: both must end with the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stream import exam


def generate(folder: Path, rows: int) -> None:
    """Write the rows and the benchmark; questions repeat by number, so none is kept in memory."""
    rng = random.Random(0)
    with (folder / "exam.jsonl").open("w") as file:
        file.writelines(f'{{"id":"e{n}","problem":"{exam(n)}","answer":"1"}}\n' for n in range(500))
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(rows):
            other = rng.randrange(number) if number and number % 10 == 0 else number
            answer = other * 7 + (number % 1000 == 0)
            question = f"What is {other} times {other % 97 + 2} minus {other % 89}?"
            if number % 10_000 == 9_999:
                question = exam(number // 10_000 % 500)
            file.write(f'{{"problem":"{question}","answer":"{answer}"}}\n')


def settings(folder: Path, source: str, rows: int) -> dict[str, object]:
    """The stage."""
    made = {"kind": "jsonl", "path": str(folder / "rows.jsonl"), "verifier": "exact"}
    drawn = {"kind": "chain", "count": rows, "difficulty": [6, 8]}
    test = {"kind": "jsonl", "path": str(folder / "exam.jsonl")}
    return {
        "sources": [drawn if source == "chain" else made],
        "filters": [
            {"kind": "has_answer"},
            {"kind": "length", "max_chars": 4000},
            {"kind": "characters"},
        ],
        "decontaminate": [{"name": "exam", "source": test}, "math500"],
    }


def resident(field: str) -> float:
    """MB of this process, as the system counts them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status says nothing of {field}")


def curate(given: dict[str, object], out: Path) -> None:
    """Run the stage in this process and print what it took."""
    from longstep.context import Context
    from longstep.curate.duplicates import duplicate_key
    from longstep.jobs.groups import SAID
    from longstep.progress import Progress
    from longstep.stages.curate import Curate
    from longstep.verify import judge_gold

    assert callable(duplicate_key) and callable(judge_gold)
    stage = Curate.model_validate(given)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, began = resident("VmRSS"), time.monotonic()
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    stage.run(Context("problems", out, 7, {}, quiet, lambda what, facts: None))
    facts = {
        "seconds": round(time.monotonic() - began, 1),
        "after imports": round(before),
        "peak": round(resident("VmHWM")),
        "repeated": (out / "partial" / "said").stat().st_size // SAID.itemsize,
    }
    sys.stdout.write(json.dumps(facts) + "\n")


def child(folder: Path, out: Path, kill_after: float | None = None) -> dict[str, float]:
    """Run the stage in a process of its own."""
    words = [
        sys.executable,
        __file__,
        "--settings",
        str(folder / "settings.json"),
        "--out",
        str(out),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    if kill_after is None and process.returncode:
        raise SystemExit("the stage failed")
    return json.loads(said) if said else {}


def content(out: Path) -> dict[str, str]:
    """A hash of every result."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "out").iterdir()
    }


def main() -> None:
    """Generate, measure, delete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--source", choices=("file", "chain"), default="file")
    parser.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.settings is not None:
        curate(json.loads(options.settings.read_text()), options.out)
        return
    with tempfile.TemporaryDirectory(prefix="longstep-curation-") as name:
        folder = Path(name)
        generate(folder, options.rows)
        given = settings(folder, options.source, options.rows)
        (folder / "settings.json").write_text(json.dumps(given))
        facts = child(folder, folder / "whole")
        added = facts["peak"] - facts["after imports"]
        sys.stdout.write(
            f"{options.rows:,} rows from {options.source}: {facts['seconds']} s, load {os.getloadavg()[0]:.1f}; "
            f"resident {facts['after imports']} MB after imports, peak {facts['peak']} MB, added {added} MB; "
            f"{facts['repeated']:,} repeated rows\n"
        )
        if options.kill:
            child(folder, folder / "killed", kill_after=facts["seconds"] / 2)
            begun = [path.name for path in (folder / "killed" / "partial").glob("*.json")]
            again = child(folder, folder / "killed")
            same = content(folder / "whole") == content(folder / "killed")
            sys.stdout.write(
                f"killed at {facts['seconds'] / 2:.1f} s ({', '.join(sorted(begun))}), then {again['seconds']} s: "
                f"{'same bytes' if same else 'DIFFERENT'}\n"
            )


if __name__ == "__main__":
    main()
