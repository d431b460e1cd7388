"""Drawing in rounds: more samples for some of the problems at a time, each round with its own seed and its own log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from longstep.context import PARTIAL, Context
from longstep.curate import pass_rates
from longstep.curate.adaptive import Adaptive
from longstep.curate.difficulty import PassRate
from longstep.draw.drawing import draw
from longstep.generate import Generator, Prompt, Sampling
from longstep.types import Completion, Problem


@dataclass
class Rounds:
    """Draws samples of some of the problems at a time, and numbers each problem's samples through.

    The first round has the stage's own seed: its samples are those of a stage that draws no more.
    """

    generator: Generator
    prompts: Sequence[Prompt]
    problems: Sequence[Problem]
    sampling: Sampling
    context: Context
    _drawn: dict[str, list[Completion]] = field(default_factory=dict)
    _rounds: int = 0

    @property
    def ids(self) -> list[str]:
        """Every problem."""
        return [problem.id for problem in self.problems]

    def draw(self, ids: Collection[str], samples: int) -> None:
        """Draw ``samples`` more completions of each of these problems."""
        if not ids:
            return
        number, self._rounds = self._rounds, self._rounds + 1
        wanted = set(ids)
        sampling = self.sampling.model_copy(
            update={"seed": self.context.seed + number, "samples": samples}
        )
        label = f"{self.context.name}{f' ({number + 1})' if number else ''}"
        rows = draw(
            self.generator,
            [prompt for prompt in self.prompts if prompt.problem_id in wanted],
            self.problems,
            sampling,
            self.context.folder / PARTIAL / f"completions{f'-{number}' if number else ''}.jsonl",
            self.context.progress(label, len(wanted) * samples, "completion"),
        )
        starts = {each: len(self._drawn.get(each, ())) for each in wanted}
        for row in rows:
            index = starts[row.problem_id] + row.sample_index
            self._drawn.setdefault(row.problem_id, []).append(replace(row, sample_index=index))

    def rates(self) -> dict[str, PassRate]:
        """Counts of every problem sampled so far."""
        return pass_rates(self.completions())

    def completions(self) -> list[Completion]:
        """All completions: problems in canonical order, their samples by number."""
        # The first round draws every problem, in canonical order.
        return [row for rows in self._drawn.values() for row in rows]


def draw_adaptively(rounds: Rounds, adaptive: Adaptive) -> dict[str, Any]:
    """Draw round after round for the problems that are still open; returns decisions and samples saved.

    A problem is judged only after whole rounds, so the rows do not depend on the size of batches.
    """
    open_ids, done = rounds.ids, 0
    decisions: dict[str, str] = {}
    for size in adaptive.rounds():
        rounds.draw(open_ids, size - done)
        done = size
        rates = rounds.rates()
        decisions |= {each: adaptive.decide(rates[each]) for each in open_ids}
        open_ids = [each for each in open_ids if decisions[each] == "open"]
        if not open_ids:
            break
    drawn, most = len(rounds.completions()), adaptive.max * len(rounds.ids)
    return {
        "decided": dict(sorted(Counter(decisions.values()).items())),
        "drawn": drawn,
        "most": most,
        "saved": 1 - drawn / most,
    }
