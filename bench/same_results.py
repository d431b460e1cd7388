"""Whether a re-laying changed results: two commits run one recipe, and weights and rows are compared.

Run: ``python bench/same_results.py ac6499e light-r1 lightreasoner`` (size tiny; some minutes a recipe and commit).
Each commit runs its own recipe with its own code, in one environment on one machine, one after the other. Weights are
compared bit by bit. Rows are compared in canonical order (by id and sample) and by the fields that the older commit
wrote, so that a field added since does not count. A finished run is given with ``--before FOLDER`` or
``--after FOLDER`` instead of being made again (one recipe then).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
#: What names a row; two rows of one file never share these.
NAMES = ("id", "problem_id", "sample_index", "position", "source", "step", "reason")


def run(source: Path, recipe: str, folder: Path) -> Path:
    """Run a recipe at size tiny with the code of one tree."""
    command = [sys.executable, "-m", "longstep", "run", str(source / "recipes" / recipe)]
    command += ["--size", "tiny", "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    subprocess.run(command, env=environment, cwd=folder.parent, check=True, stdout=sys.stderr)
    return folder


def checked_out(commit: str, folder: Path) -> Path:
    """A tree of a commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", commit], check=True)
    return folder


def compared(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Each weight or row file of the older run, and how the newer one's differs; empty when it does not."""
    for path in sorted(before.glob("*/out/**/*")):
        name = str(path.relative_to(before))
        other = after / name
        if path.suffix not in (".jsonl", ".safetensors"):
            continue
        if not other.is_file():
            yield name, "is missing"
        elif path.suffix == ".safetensors":
            yield name, weights_differ(path, other)
        else:
            yield name, rows_differ(path, other)


def weights_differ(before: Path, after: Path) -> str:
    """The largest difference of two weight files."""
    old, new = load_file(before), load_file(after)
    if old.keys() != new.keys():
        return f"other tensors: {sorted(old.keys() ^ new.keys())[:3]}"
    worst = max(((abs(old[k] - new[k]).max(), k) for k in old), default=(0.0, ""))
    return f"differs by at most {worst[0]:.3g} ({worst[1]})" if worst[0] else ""


def rows_differ(before: Path, after: Path) -> str:
    """The first row that differs in a field which the older file has."""
    old, new = _rows(before), _rows(after)
    if len(old) != len(new):
        return f"{len(old)} -> {len(new)} rows"
    for mine, other in zip(old, new, strict=True):
        for field, value in mine.items():
            if other.get(field) != value:
                name = {key: mine[key] for key in NAMES if key in mine}
                return f"{name}: {field}: {_short(value)} -> {_short(other.get(field))}"
    return ""


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return sorted(rows, key=lambda row: json.dumps([row.get(name) for name in NAMES]))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return (
        text
        if len(text) <= 40
        else f"{text[:25]}... {hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )


def main() -> int:
    """Run what is not given, compare, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--after", type=Path)
    given = parser.parse_args()
    differing = 0
    with tempfile.TemporaryDirectory(prefix="longstep-same-") as scratch:
        work = Path(scratch)
        old_tree = work / "tree" if given.before else checked_out(given.commit, work / "tree")
        for recipe in given.recipes:
            before = given.before or run(old_tree, recipe, work / f"before-{recipe}")
            after = given.after or run(ROOT, recipe, work / f"after-{recipe}")
            found = list(compared(before, after))
            for name, how in found:
                if how:
                    print(f"{recipe}/{name}: {how}")
            bad = sum(bool(how) for _, how in found)
            print(
                f"{recipe}: {len(found) - bad} of {len(found)} files of weights and rows are equal"
            )
            differing += bad or not found
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
