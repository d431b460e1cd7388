"""What help costs: time and tokens of guided draws against plain draws for the same hopeless groups.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/guides.py [problems] [rounds]``. Every problem counts as hopeless,
so that each guide is asked for all of them; a plain draw gives as many answers. Rounds take turns, the table has
medians. The shipped rater was never taught to use a hint: the shares of mended groups say nothing about the methods.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from longstep.curriculum import Horizon, Outcome
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.guides import Egsr, Expert, Prefix
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Sampling
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.problems.chain import Chain
from longstep.rl.drawing import Asked, Drawer
from longstep.rl.guiding import Hints, guided

SAMPLES, LONGEST = 4, 96
# The shipped models know no letters for a sentence: the help is the bare answer and solution before the question.
TOLD = {"copies": "take", "samples": SAMPLES}
GUIDES = {
    "egsr, answer": Egsr(show="answer", template="{answer}{prompt}", **TOLD),
    "egsr, solution": Egsr(template="{answer}{solution}{prompt}", **TOLD),
    "prefix": Prefix(samples=SAMPLES),
    "expert": Expert(),
}


def main(count: int, rounds: int) -> None:
    """Print the table."""
    folder = shipped_folder("longstep-tiny-rater")
    tokenizer = load_tokenizer(folder)
    problems = [*Chain(kind="chain", count=count, difficulty=(6, 8)).load(0)]
    asked = [
        Asked(p, prompt)
        for p, prompt in zip(problems, prompts_for(tokenizer, problems), strict=True)
    ]
    sampling = Sampling(temperature=1, top_p=1, max_tokens=LONGEST, seed=0, logprobs=True)
    drawer = Drawer(engine(load_model(folder).eval(), tokenizer), sampling)
    hints = Hints(tokenizer, 160, LONGEST)
    _, answers = drawer.draw(asked, SAMPLES)
    groups = [
        DrawnGroup(
            str(place),
            Outcome(place, "train", (0.0,) * SAMPLES, (1,) * SAMPLES, 0, 0),
            tuple(DrawnRow(row) for row in rows),
        )
        for place, rows in enumerate(answers)
    ]

    def plain() -> tuple[int, float]:
        _, drawn = drawer.draw(asked, SAMPLES)
        rows = [row for each in drawn for row in each]
        right = [any(row.verdict and row.verdict.correctness for row in each) for each in drawn]
        return sum(len(row.token_ids) for row in rows), sum(right) / count

    def helped(name: str) -> Callable[[], tuple[int, float]]:
        guide = GUIDES[name].build(problems, Horizon(1, count, 0))

        def one() -> tuple[int, float]:
            mended, tokens = guided(guide, groups, problems, hints, drawer)
            return tokens, sum(any(not row.own for row in group.rows) for group in mended) / count

        return one

    ways = {"plain": plain, **{name: helped(name) for name in GUIDES}}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    told: dict[str, tuple[int, float]] = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            drawer.begin(0)  # the same noise in every round
            start = time.perf_counter()
            told[name] = way()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    base, (drawn, _) = statistics.median(seconds["plain"]), told["plain"]
    print(f"{count} problems, {SAMPLES} answers each, medians of {rounds}")
    print("| | seconds | x plain | tokens | x plain | groups with a right answer |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, (tokens, share) in told.items():
        took = statistics.median(seconds[name])
        print(
            f"| {name} | {took:.3f} | {took / base:.2f} | {tokens} | {tokens / drawn:.2f} | {share:.0%} |"
        )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]] + [128, 5][len(sys.argv) - 1 :]
    main(*given)
