"""What is kept of a strategy's trees: one number a problem for each pick and budget, and what they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from longstep.scaling import AnyStrategy
from longstep.scaling.axes import DrawnAnswers, Load, load, of_fewer, part_of, sum_of
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.picks.majority import MajorityVote
from longstep.types import Segment

#: Halves of fewer answers have no plurality worth the name.
LEAST_FOR_STRATA = 4
#: Answers that a problem's difficulty is guessed from.
PROBE = 4


@dataclass(frozen=True, slots=True)
class Grown:
    """One problem of a strategy: its segments, the tokens of its prompt, its answers."""

    tree: Sequence[Segment]
    prompt: int
    ballot: Ballot


@dataclass
class StrategyTally:
    """Numbers of all problems, in one order.

    Attributes:
        name: of the strategy.
        strategy: it.
        picks: by name.
        reading: names of the scorers that read paths with a model.
        answers: of all problems together.
        values: by pick and budget: expected correctness; ``None`` where nobody can say.
        loads: by the scorers that read with a model, and budget: what all problems took.
        problems: how many there are.
        strata: whether the first half's plurality is right; the second half's mean and plurality.
        agreed: votes for the leading one of the first ``PROBE`` answers, where there are as many.
    """

    name: str
    strategy: AnyStrategy
    picks: Mapping[str, AnyPick]
    reading: frozenset[str] = frozenset()
    problems: int = 0
    answers: int = 0
    values: dict[tuple[str, int], list[float | None]] = field(default_factory=dict)
    loads: dict[tuple[frozenset[str], int], Load] = field(default_factory=dict)
    strata: list[tuple[float | None, float | None, float | None]] = field(default_factory=list)
    agreed: list[int] = field(default_factory=list)

    @property
    def budgets(self) -> list[int]:
        """1, 2, 4, ... and all answers, where any of them are a smaller budget; else all there are."""
        most = self.strategy.rows
        if not self.strategy.exchangeable:
            return [most]
        return sorted({2**i for i in range(most.bit_length())} | {most})

    def readers(self, pick: str) -> frozenset[str]:
        """Scorers that read with a model, for the strategy or a pick."""
        users = (self.strategy, self.picks[pick])
        return frozenset(s.name for user in users for s in user.scorers()) & self.reading

    def add(self, grown: Grown) -> None:
        """Take a problem."""
        ballot, budgets = grown.ballot, self.budgets
        self.problems += 1
        self.answers += len(ballot.trails)
        for name, pick in self.picks.items():
            for budget in budgets if pick.chooses else budgets[:1]:
                n = budget if len(budgets) > 1 else len(ballot.trails)
                value = pick.at(ballot, n) if ballot.trails else 0.0
                self.values.setdefault((name, budget), []).append(value)
        for readers in {self._everyone(), *map(self.readers, self.picks)}:
            whole = load(grown.tree, grown.prompt, readers)
            lengths = [sum(len(s.token_ids) for s in trail.segments) for trail in ballot.trails]
            drawn = DrawnAnswers(grown.prompt, len(readers), lengths)
            for budget in budgets:
                part = of_fewer(whole, drawn, budget) if len(budgets) > 1 else whole
                key = readers, budget
                self.loads[key] = sum_of(self.loads[key], part) if key in self.loads else part
        if len(budgets) > 1 and len(ballot.trails) >= LEAST_FOR_STRATA:
            self.strata.append(_halves(ballot))
            self.agreed.append(int(ballot.part(np.arange(PROBE)[None]).counts_SW.max(initial=0)))

    def load(self, pick: str, budget: int) -> Load:
        """The mean problem at a budget, what the pick's scorers read included."""
        return part_of(self.loads[self.readers(pick), budget], 1 / self.problems)

    def whole(self) -> Load:
        """The mean problem with all answers, what the scorers of all picks read included."""
        return part_of(self.loads[self._everyone(), self.budgets[-1]], 1 / self.problems)

    def _everyone(self) -> frozenset[str]:
        return frozenset().union(*map(self.readers, self.picks))

    def given(self, budget: int) -> float:
        """Mean answers of a problem at a budget."""
        return self.answers / self.problems * budget / self.budgets[-1]


def _halves(ballot: Ballot) -> tuple[float | None, float | None, float | None]:
    places_N, half = np.arange(len(ballot.trails)), len(ballot.trails) // 2
    first, second = (ballot.part(part_N[None]) for part_N in (places_N[:half], places_N[half:]))
    vote, even_SN = MajorityVote(), np.full(second.places_SN.shape, 1 / second.places_SN.shape[-1])
    return (
        first.value(vote.chosen_SN(ballot, first)),
        second.value(even_SN),
        second.value(vote.chosen_SN(ballot, second)),
    )
