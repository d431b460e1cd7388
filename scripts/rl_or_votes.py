r"""Reinforcement learning or voting, at equal tokens in all: reads runs of light-r1 with votes of two of their models.

    for seed in 17 18 19; do
      longstep run light-r1 --size tiny seed=$seed --out runs/r1-$seed
      for model in merged rl; do
        longstep scale run runs/r1-$seed/$model/out --data runs/r1-$seed/scores/out/problems/chain.jsonl \
          --max-tokens 80 --strategy vote=samples:n=64 --pick majority --out runs/r1-$seed/votes-$model
      done
    done
    python scripts/rl_or_votes.py runs/r1-*

Training is paid for once: what was drawn to rate its problems and in its rollouts. Votes are paid for by the question.
So the answer depends on how many questions will be asked; each row spends as much on both sides. Between the votes that
were counted (1, 2, 4 ... 64 answers) accuracy is read off a straight line in the logarithm of tokens; above the
largest it stays as it is. Tokens that training passes through the model again, and its updates, are not counted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from evidence import table

from longstep.artifacts import read_json

QUESTIONS = (1_000, 10_000, 100_000, 1_000_000)
#: Answers of the trained model that vote.
ANSWERS = (1, 4, 16)


@dataclass(frozen=True)
class Votes:
    """The majority's accuracy by answers asked for, and the tokens of each."""

    answers_B: np.ndarray
    tokens_B: np.ndarray
    accuracy_B: np.ndarray

    @classmethod
    def of(cls, run: Path, model: str) -> Votes:
        """Of a model of a run."""
        points = read_json(run / f"votes-{model}" / "scale" / "out" / "curves.json")["points"]
        found = sorted(
            (p["answers"], p["tokens"], p["accuracy"]) for p in points if p["pick"] == "majority"
        )
        return cls(*np.array(found).T)

    def at(self, tokens: float) -> float:
        """Accuracy for so many tokens a question, of which there are enough for one answer."""
        return float(np.interp(np.log(tokens), np.log(self.tokens_B), self.accuracy_B))

    def point(self, answers: int) -> tuple[float, float]:
        """Tokens and accuracy of a vote of so many."""
        (place,) = np.flatnonzero(self.answers_B == answers)
        return float(self.tokens_B[place]), float(self.accuracy_B[place])


def price(run: Path) -> int:
    """Tokens drawn for training: to rate its problems, and in its rollouts."""
    return sum(
        read_json(run / stage / "manifest.json")["cost"]["tokens_generated"]
        for stage in ("pool", "rl")
    )


def percent(values: list[float], sign: bool = False) -> str:
    """The mean over seeds, and each."""
    form = "{:+.1f}" if sign else "{:.1f}"
    each = " ".join(form.format(100 * value) for value in values)
    return f"{form.format(100 * float(np.mean(values)))} ({each})"


def alone(runs: list[Path]) -> str:
    """Each model's votes by themselves."""
    rows = [["model", "one answer", "vote of 4", "vote of 16", "vote of 64", "tokens of one"]]
    for model in ("merged", "rl"):
        votes = [Votes.of(run, model) for run in runs]
        cells = [percent([each.point(n)[1] for each in votes]) for n in (1, 4, 16, 64)]
        rows.append([model, *cells, f"{np.mean([each.point(1)[0] for each in votes]):.0f}"])
    return table(rows)


def equal(runs: list[Path]) -> str:
    """The trained model against votes of the one it was trained from, for as many tokens."""
    header = ["questions", "tokens each", "trained, votes of", "trained", "untrained", "difference"]
    rows = [header]
    for questions in QUESTIONS:
        for answers in ANSWERS:
            spent, ours, theirs = [], [], []
            for run in runs:
                tokens, accuracy = Votes.of(run, "rl").point(answers)
                spent.append(price(run) / questions + tokens)
                ours.append(accuracy)
                theirs.append(Votes.of(run, "merged").at(spent[-1]))
            rows.append(
                [
                    f"{questions:,}",
                    f"{np.mean(spent):,.0f}",
                    str(answers),
                    percent(ours),
                    percent(theirs),
                    percent([a - b for a, b in zip(ours, theirs, strict=True)], sign=True),
                ]
            )
    return table(rows)


def main() -> None:
    """Print both tables."""
    runs = [Path(name) for name in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    prices = " ".join(f"{price(run):,}" for run in runs)
    sys.stdout.write(f"{alone(runs)}\n\nTokens drawn for training: {prices}\n\n{equal(runs)}\n")


if __name__ == "__main__":
    main()
