"""Throw-away members of the RL families, each as small as its idea: the loop must carry them without knowing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from longstep.config import Field, Strict
from longstep.curriculum import Ask, Horizon, Outcome, Shuffle
from longstep.curriculum.gates import All, Chosen, GateConfig
from longstep.curriculum.groups import DrawnGroup, DrawnRow, packed, unpacked
from longstep.curriculum.guides import Guidance, GuideConfig, NoGuide
from longstep.generate import worked
from longstep.stages.rl import Rl
from longstep.types import Problem


class Probing(Strict):
    """ADCL's idea: the next batch is rated by the current policy, and its easiest problems come first."""

    kind: Literal["probing"] = "probing"

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Prober:
        """Give the order over these problems."""
        return Prober(list(range(len(problems))), 2 * horizon.groups)


class Prober:
    """Batches of two steps; while the last step of one is drawn, the next one is rated."""

    def __init__(self, order: list[int], batch: int) -> None:
        self.order, self.batch, self.position, self.rated = order, batch, 0, 0

    def pick(self, n: int, step: int) -> list[Ask]:
        asks = [Ask(self.order[(self.position + i) % len(self.order)]) for i in range(n)]
        self.position += n
        if step % 2 and self.rated < self.position:
            self.rated = self.position + self.batch
            asks = [*(Ask(i, "rate", 2) for i in self._next()), *asks]
        return asks

    def _next(self) -> list[int]:
        start = self.position % len(self.order)
        return self.order[start : start + self.batch]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        rates = {o.index: -sum(o.known_G) for o in outcomes if o.use == "rate"}
        start, found = self.position % len(self.order), self._next()
        if rates.keys() >= set(found):
            self.order[start : start + self.batch] = sorted(found, key=rates.__getitem__)

    def metrics(self) -> dict[str, float]:
        return {"position": self.position}

    def state(self) -> dict[str, Any]:
        return {"order": self.order, "position": self.position, "rated": self.rated}

    def restore(self, state: dict[str, Any]) -> None:
        self.order, self.position = list(state["order"]), state["position"]
        self.rated = state["rated"]


class Mixed(GateConfig):
    """DAPO's dynamic sampling: only groups with right and wrong answers; a surplus waits for the next step.

    ``refill`` asks again for what is missing and ``spare`` more, or for a whole batch; ``limit`` ends it, in batches.
    """

    kind: Literal["mixed"] = "mixed"
    refill: Literal["exact", "whole"] = "exact"
    limit: int = 3
    screen: int = 0
    spare: int = 0
    takes: tuple[str, ...] = ("mixed",)

    def build(self, group: int, horizon: Horizon) -> MixedGate:
        """Give the gate; with ``screen`` answers to look at before the others are drawn."""
        rounds = (self.screen, group - self.screen) if self.screen else (group,)
        return MixedGate(self, rounds)


class MixedGate:
    def __init__(self, config: Mixed, rounds: tuple[int, ...]) -> None:
        self.config, self.rounds = config, rounds
        self.kept: list[DrawnGroup] = []

    def admits(self, outcome: Outcome, round: int) -> str:
        return "" if outcome.signal in self.config.takes else outcome.signal

    def more(self, kept: int, wanted: int, drawn: int) -> int:
        need = wanted - kept - len(self.kept)
        asked = wanted if self.config.refill == "whole" else need + self.config.spare
        return 0 if need <= 0 else min(asked, self.config.limit * wanted - drawn)

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        line = [*self.kept, *groups]
        self.kept = line[wanted:]
        short = (
            "" if len(line) >= wanted else f"{len(line)} mixed groups in {self.config.limit} draws"
        )
        return Chosen(line[:wanted], self.kept, short)

    def metrics(self) -> dict[str, float]:
        return {"carried": len(self.kept)}

    def state(self) -> dict[str, Any]:
        return {"kept": packed(self.kept)}

    def restore(self, state: dict[str, Any]) -> None:
        self.kept = unpacked(state["kept"])


class Help(GuideConfig):
    """EGSR's idea: where all answers are wrong, one is drawn with help and takes the place of the last.

    ``how`` is an answer in the question, a forced beginning of the solution, or the whole solution.
    """

    kind: Literal["help"] = "help"
    how: Literal["shown", "forced", "given"] = "shown"

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Helper:
        """Give the guide."""
        return Helper(self.how)


class Helper:
    def __init__(self, how: str) -> None:
        self.how, self.taken = how, 0

    def wanted(self, outcome: Outcome) -> int:
        return 2 if outcome.signal == "wrong" else 0

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        if self.how == "shown":
            return Guidance(shown=problem.answer + problem.prompt)
        if problem.solution is None:
            return None
        if self.how == "forced":
            return Guidance(forced=problem.solution[:3])
        return Guidance(given=worked(problem))

    def admit(self, group: DrawnGroup, guided: Sequence[DrawnRow]) -> DrawnGroup:
        right = [row for row in guided if row.correctness == 1.0]
        if not right:
            return group
        self.taken += 1
        return replace(group, rows=(*group.rows[:-1], replace(right[0], weight="own")))

    def metrics(self) -> dict[str, float]:
        return {"taken": self.taken}

    def state(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def restore(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


class WithOurs(Rl):
    """The stage ``rl`` after one line was added to each of the three lists."""

    curriculum: Annotated[Shuffle | Probing, Field(discriminator="kind")] = Shuffle()
    gate: Annotated[All | Mixed, Field(discriminator="kind")] = All()
    guide: Annotated[NoGuide | Help, Field(discriminator="kind")] = NoGuide()
