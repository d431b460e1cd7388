"""A verifier from outside of the package: no fork, no registration, only ``module:function``.

    PYTHONPATH=examples longstep curate rows.yaml --out runs/mine

where ``rows.yaml`` has two lines (``python examples/my_verifier.py`` writes it and runs the command):

    sources: [{kind: jsonl, path: rows.jsonl, verifier: "my_verifier:within_one_percent"}]
    filters: [{kind: verifiable_gold}]

The name is written into every problem, so the same function also judges samples, rewards and benchmark answers. The
filter ``verifiable_gold`` asks it about each gold answer first: a row whose own answer it does not accept is dropped,
with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from longstep.types import Problem, Verdict
from longstep.verify import canonical, extract


def within_one_percent(problem: Problem, text: str) -> Verdict:
    """Accept a number that is within one percent of the gold one: right for measurements, wrong for proofs.

    What can be the matter has a status of its own: a gold answer that is no number (``bad_gold``: the row's fault,
    never scored), a text without an answer or with one that is no number (``unparseable``), another number.
    """
    gold = _number(problem.answer)
    if gold is None:
        return Verdict("bad_gold", None, f"gold {problem.answer!r} is not a number")
    answer = extract(text)  # the one extractor: last \boxed{...} after the thinking
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    value = _number(answer)
    if value is None:
        return Verdict("unparseable", answer, "the answer is not a number")
    if abs(value - gold) <= 0.01 * abs(gold):
        return Verdict("correct", answer)
    return Verdict("incorrect", answer, "more than one percent away")


def _number(text: str) -> float | None:
    exact = canonical(text)
    if exact is None or len(exact) > 300:  # longer ones do not fit into a float
        return None
    over, _, under = exact.partition("/")
    return int(over) / int(under or 1)


ROWS = [
    {"prompt": "Boiling point of water at sea level, in kelvin?", "answer": "373.15"},
    {"prompt": "Metres that light travels in a microsecond?", "answer": "299.79"},
    {"prompt": "Is the sky blue?", "answer": "yes"},
]
YAML = """\
sources: [{kind: jsonl, path: %s, verifier: "my_verifier:within_one_percent"}]
filters: [{kind: verifiable_gold}]
"""


def main() -> None:
    """Curate three rows, of which one cannot be verified, then judge a few answers to the first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, config = folder / "rows.jsonl", folder / "rows.yaml"
        rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        config.write_text(YAML % rows, encoding="utf-8")
        path = os.pathsep.join([str(Path(__file__).parent), *(each for each in sys.path if each)])
        command = [
            sys.executable,
            "-m",
            "longstep",
            "curate",
            str(config),
            "--out",
            str(folder / "run"),
        ]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
        out = folder / "run" / "curate" / "out"
        kept = [
            json.loads(line) for line in (out / "problems.jsonl").read_text("utf-8").splitlines()
        ]
        for line in (out / "dropped.jsonl").read_text("utf-8").splitlines():
            dropped = json.loads(line)
            print(f"dropped: {dropped['problem']['prompt']} ({dropped['reason']})")
    problem = Problem(**kept[0])
    for text in (r"<think>100 C</think>\boxed{373}", r"\boxed{100}", r"\boxed{hot}", "no idea"):
        verdict = within_one_percent(problem, text)
        print(f"{verdict.status:<12} {text}  {verdict.reason}")


if __name__ == "__main__":
    main()
