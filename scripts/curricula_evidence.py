"""Curricula over seeds: reads runs of the recipe curricula and prints scores, differences to the control, and costs.

    for seed in 21 22 23; do longstep run curricula --size orders+gates seed=$seed --out runs/curricula-$seed; done
    python scripts/curricula_evidence.py runs/curricula-*

A difference *holds* when every seed but one in five has its sign and the 95 % interval over problems and seeds excludes
0. Along the way, an arm is compared with its control by the exams of the training. At equal tokens: the area below the
curve, as the mean accuracy from the start to the last exam that every arm of the seed came to. At equal updates: the
accuracy after as many as both came to. Those intervals are over seeds alone (Student's t).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from evidence import difference_cells, score_table, table

from longstep.artifacts import read_json

#: What an arm is compared with, by the end of its name; all others with random order.
CONTROLS = {"_16": "rl-uniform_16"}
#: What is compared with another arm than random order, by the beginning of its name: DAPO without a part with the
#: whole, methods and penalties with GRPO.
WHOLES = {"rl-dapo_": "rl-dapo"} | dict.fromkeys(
    ("rl-grpo_", "rl-rloo", "rl-reinforce", "rl-ppo"), "rl-grpo"
)
#: Student's t for a two-sided interval of 95 %, by degrees of freedom.
T_975 = dict(enumerate((12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262), start=1))
#: Accuracy to be reached in the exam.
THRESHOLD = 0.5
#: Share of a run's last steps over which a mean says how it ended.
LATE = 1 / 3


def arms(run: Path) -> list[str]:
    """The arms, as the scores name them."""
    models = read_json(run / "scores" / "out" / "protocol.json")["models"]
    return [name for name in models if name.startswith("rl-")]


def control_of(arm: str, there: list[str]) -> str:
    """The arm that another is compared with, among those of a run; itself when it is one."""
    for begin, whole in WHOLES.items():
        if arm.startswith(begin):
            return whole
    found = (control for end, control in CONTROLS.items() if arm.endswith(end))
    control = next(found, "rl-uniform")
    return "rl-uniform" if arm == control and arm in there else control


def differences(runs: list[Path]) -> str:
    """Every arm less its control."""
    rows = [["arm", "less", "all", "hard", "seeds above", "verdict (all)"]]
    for arm in arms(runs[0]):
        control = control_of(arm, arms(runs[0]))
        if arm == control:
            continue
        rows.append([arm, control, *difference_cells(runs, arm, control, ("all", "hard"))])
    return table(rows)


def along(runs: list[Path]) -> str:
    """Every arm less its control by the exams: area under the curve, at equal updates, tokens to a threshold."""
    there = arms(runs[0])
    if not (runs[0] / there[0] / "exam.jsonl").is_file():
        return "No exams were sat."
    header = ["arm", "less", "area at equal tokens", "at equal updates", "updates"]
    rows = [[*header, f"tokens to {THRESHOLD:.0%}", "of the control"]]
    for arm in there:
        control = control_of(arm, there)
        if arm == control:
            continue
        areas, levels, updates, reached = [], [], [], []
        for run in runs:
            until = min(Exams.of(run, name).drawn_E[-1] for name in there)
            own, other = Exams.of(run, arm), Exams.of(run, control)
            areas.append(own.area(until) - other.area(until))
            last = min(own.updates_E[-1], other.updates_E[-1])
            levels.append(own.after(last) - other.after(last))
            updates.append(f"{last:.0f}")
            reached.append((own.reaches(THRESHOLD), other.reaches(THRESHOLD)))
        cells = [arm, control, _over_seeds(areas), _over_seeds(levels), " ".join(updates)]
        rows.append([*cells, *(_thousands(each) for each in zip(*reached, strict=True))])
    return table(rows)


@dataclass(frozen=True)
class Exams:
    """The exams of one arm: tokens drawn and updates made before each (E), and the share correct."""

    drawn_E: np.ndarray
    updates_E: np.ndarray
    correct_E: np.ndarray

    @classmethod
    def of(cls, run: Path, arm: str) -> Exams:
        """Read from a run."""
        lines = [json.loads(line) for line in (run / arm / "exam.jsonl").read_text().splitlines()]
        columns = ([line[key] for line in lines] for key in ("drawn", "updates", "correct"))
        return cls(*(np.array(column, dtype=float) for column in columns))

    def area(self, until: float) -> float:
        """Mean accuracy from no token to ``until`` tokens, by straight lines between exams."""
        inside = self.drawn_E < until
        x = np.append(self.drawn_E[inside], until)
        y = np.append(self.correct_E[inside], np.interp(until, self.drawn_E, self.correct_E))
        return float(np.trapezoid(y, x) / until)

    def after(self, updates: float) -> float:
        """Accuracy after so many updates."""
        return float(np.interp(updates, self.updates_E, self.correct_E))

    def reaches(self, level: float) -> float:
        """Tokens drawn when an accuracy is first reached; NaN if it never is."""
        above = np.flatnonzero(self.correct_E >= level)
        if not len(above) or above[0] == 0:
            return 0.0 if len(above) else float("nan")
        place = slice(above[0] - 1, above[0] + 1)
        return float(np.interp(level, self.correct_E[place], self.drawn_E[place]))


def _over_seeds(values: list[float]) -> str:
    mean = np.mean(values)
    if len(values) < 2:
        return f"{100 * mean:+.1f}"
    half = T_975[len(values) - 1] * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{100 * mean:+.1f} [{100 * (mean - half):+.1f}, {100 * (mean + half):+.1f}]"


def _thousands(values: tuple[float, ...]) -> str:
    return " ".join("never" if np.isnan(value) else f"{value / 1000:.0f}k" for value in values)


def costs(runs: list[Path]) -> str:
    """What the budget bought: steps, where the tokens went, and groups that taught something."""
    header = [
        "arm",
        "steps",
        "drawn",
        "of it trained on",
        "probes",
        "groups that teach",
        "at the end",
    ]
    rows = [header]
    for arm in arms(runs[0]):
        logs = [_lines(run / arm / "metrics.jsonl") for run in runs]
        last = [log[-1] for log in logs]
        drawn = [sum(line[f"tokens/{part}"] for part in _DRAWN) for line in last]
        teach = [np.mean([line["effective_groups"] for line in log]) for log in logs]
        late = [
            np.mean([line["effective_groups"] for line in log[-max(1, round(LATE * len(log))) :]])
            for log in logs
        ]
        rows.append(
            [
                arm,
                " ".join(str(line["step"]) for line in last),
                f"{np.mean(drawn):,.0f}",
                f"{np.mean([line['tokens/trained'] for line in last] / np.array(drawn)):.0%}",
                f"{np.mean([line['tokens/probe'] for line in last] / np.array(drawn)):.0%}",
                f"{np.mean(teach):.1f}",
                f"{np.mean(late):.1f}",
            ]
        )
    return table(rows)


_DRAWN = ("trained", "discarded", "carried", "probe", "guided")


def _lines(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "effective_groups" in line]


def main() -> None:
    """Print the four tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    for part in (score_table, differences, along, costs):
        sys.stdout.write(part(runs) + "\n\n")


if __name__ == "__main__":
    main()
