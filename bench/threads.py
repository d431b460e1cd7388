"""How long threads should spin for each other: a small model's forward passes, alone and beside busy processes.

Run: ``PYTHONPATH=src python bench/threads.py [rounds]``. The reference is one thread in the same round. ``longstep``
sets GOMP_SPINCOUNT to 1000; without it, libgomp spins for milliseconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

SETTINGS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "default": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
PASSES = """
import time, torch
from longstep.models.load import load_model, shipped_folder
model = load_model(shipped_folder("longstep-tiny")).eval()
ids_B1 = torch.full((256, 1), 7)
with torch.inference_mode():
    model(input_ids=ids_B1)
    began = time.perf_counter()
    for _ in range(60):
        model(input_ids=ids_B1)
print(time.perf_counter() - began)
"""


def seconds(setting: dict[str, str]) -> float:
    """Sixty passes of 256 rows of one token, in a process of its own."""
    taken = {"OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    env = {name: value for name, value in os.environ.items() if name not in taken} | setting
    done = subprocess.run(
        [sys.executable, "-c", PASSES], env=env, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Print medians and ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for busy in (0, os.cpu_count() or 1):
        beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            turns = [{name: seconds(how) for name, how in SETTINGS.items()} for _ in range(rounds)]
        finally:
            for process in beside:
                process.kill()
        sys.stdout.write(f"beside {busy} busy processes, seconds and times one thread:\n")
        for name in SETTINGS:
            median = statistics.median(turn[name] for turn in turns)
            ratio = statistics.median(turn[name] / turn["one thread"] for turn in turns)
            sys.stdout.write(f"  {name:24}{median:7.2f}{ratio:8.2f}\n")


if __name__ == "__main__":
    main()
