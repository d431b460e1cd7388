"""Drawing in rounds: more samples for some of the problems at a time, each round with its own seed and its own log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from longstep.context import PARTIAL, Context
from longstep.curate import pass_rates
from longstep.curate.adaptive import Adaptive
from longstep.curate.difficulty import PassRate
from longstep.draw.drawing import Drawing, ShownProgress
from longstep.generate import Generator, Prompt, Sampling
from longstep.generate.base import canonical
from longstep.types import Completion, Problem


@dataclass
class Rounds:
    """Draws samples of some of the problems at a time, and numbers each problem's samples through.

    The first round has the stage's own seed: its samples are those of a stage that draws no more. Completions lie in
    the rounds' journals; in memory is one count a problem.

    Attributes:
        tokens: token ids drawn; 0 when the generator gives text alone.
    """

    generator: Generator
    prompts: Sequence[Prompt]
    problems: Sequence[Problem]
    sampling: Sampling
    context: Context
    tokens: int = 0
    _drawings: list[Drawing] = field(default_factory=list)
    _rates: dict[str, PassRate] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Every problem."""
        return [problem.id for problem in self.problems]

    @property
    def drawn(self) -> int:
        """Completions so far."""
        return sum(rate.scored + rate.excluded for rate in self._rates.values())

    def draw(self, ids: Collection[str], samples: int) -> None:
        """Draw ``samples`` more completions of each of these problems."""
        if not ids:
            return
        number, wanted = len(self._drawings), set(ids)
        settings = {"seed": self.context.seed + number, "samples": samples}
        drawing = Drawing(
            self.generator,
            [prompt for prompt in self.prompts if prompt.problem_id in wanted],
            {problem.id: problem for problem in self.problems},
            self.sampling.model_copy(update=settings),
            self.context.folder / PARTIAL / f"completions{f'-{number}' if number else ''}.jsonl",
        )
        self._drawings.append(drawing)
        label = f"{self.context.name}{f' ({number + 1})' if number else ''}"
        shown = ShownProgress(self.context.progress(label, len(wanted) * samples, "completion"))
        none = PassRate(0, 0)
        for each, rate in pass_rates(self._counted(drawing.rows(shown))).items():
            self._rates[each] = self._rates.get(each, none) + rate
        shown.finish()

    def rates(self) -> dict[str, PassRate]:
        """Counts of every problem sampled so far."""
        return dict(self._rates)

    def completions(self) -> Iterator[Completion]:
        """All completions: problems in canonical order, their samples by number."""
        return self._merged([drawing.rows() for drawing in self._drawings])

    def verdicts(self) -> Iterator[Completion]:
        """All completions without ids and texts: small lines, to be read as often as wanted."""
        return self._merged([drawing.slim() for drawing in self._drawings])

    def _counted(self, rows: Iterator[Completion]) -> Iterator[Completion]:
        for row in rows:
            self.tokens += len(row.token_ids)
            yield row

    def _merged(self, rounds: Sequence[Iterator[Completion]]) -> Iterator[Completion]:
        """Rows of all rounds, problem by problem.

        Each round drew some of the problems in the one canonical order, so its next problem is the one that is wanted
        or a later one: the rounds are read side by side, and no index of their rows is needed.
        """
        parts = [groupby(rows, attrgetter("problem_id")) for rows in rounds]
        heads = [next(part, None) for part in parts]
        for prompt in canonical(self.prompts):
            index = 0
            for number, head in enumerate(heads):
                if head is None or head[0] != prompt.problem_id:
                    continue
                for row in head[1]:
                    yield replace(row, sample_index=index)
                    index += 1
                heads[number] = next(parts[number], None)


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
    drawn, most = rounds.drawn, adaptive.max * len(rounds.ids)
    return {
        "decided": dict(sorted(Counter(decisions.values()).items())),
        "drawn": drawn,
        "most": most,
        "saved": 1 - drawn / most,
    }
