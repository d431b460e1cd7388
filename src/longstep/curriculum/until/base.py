"""What every rule is that ends a training: a pure look at how all draws so far went, and who keeps that history."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from longstep.config import Field, Strict, dump
from longstep.curriculum.groups import DrawnGroup


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one batch of rollouts was like, over all processes; ``None`` where nothing was drawn that could tell.

    Attributes:
        step: optimiser steps done before it.
        correct: share of right answers among those that could be scored.
        length: mean tokens of an answer.
        truncated: share of answers cut at the limit.
        entropy: nats per token, as the sampler recorded them: the mean of minus the log-probability of what it drew,
            which estimates the entropy of the policy without bias at temperature 1.
        tokens: all that was drawn so far, for whatever purpose.
        answers: drawn to be trained on.
    """

    step: int
    correct: float | None = None
    length: float | None = None
    truncated: float | None = None
    entropy: float | None = None
    tokens: int = 0
    answers: int = 0


History = Sequence[Drawn]


class Until(Strict):
    """Settings of a rule, which are all of it: what it says depends on the history alone."""

    def reason(self, history: History) -> str | None:
        """Why the training ends after the last draw of the history, in words with numbers; ``None`` to go on."""
        raise NotImplementedError

    def needs(self) -> frozenset[str]:
        """What it looks at beside verdicts and lengths: ``behaviour``, what the sampler recorded."""
        return frozenset()

    def foretold(self) -> str:
        """What a plan cannot know, in a sentence, or nothing."""
        return "counted to its last step; its rule (until) may end it earlier"

    def fits(self, draws: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when a training draws so many batches of rollouts."""
        yield from ()


class Smoothed(Until):
    """A rule that looks at moving averages.

    Attributes:
        window: batches of rollouts that an average looks back at: the newest weighs 2 / (window + 1). The first window
            only fills the averages.
    """

    window: int = Field(20, ge=2)

    def fewest(self) -> int:
        """Batches of rollouts before which it never speaks: one more than fill the averages."""
        return self.window + 1

    def fits(self, draws: int) -> Iterator[str]:
        """A rule that would never speak."""
        if self.fewest() >= draws:
            yield (
                f"window: the rule says nothing before batch {self.fewest()} of rollouts, and there are {draws}, so it "
                "could never end the stage early; set a smaller window, or more steps"
            )


@dataclass
class Watched:
    """A rule at work in one training.

    Every process gives it the same, gathered groups, so all of them end at the same step.

    Attributes:
        rule: what ends the training.
        history: one entry for each batch of rollouts.
    """

    rule: Until
    history: list[Drawn] = field(default_factory=list)

    def observe(self, step: int, groups: Sequence[DrawnGroup], tokens: int) -> str:
        """Take note of what was drawn at a step; gives the reason to end the training after it, or ``""``.

        Args:
            step: optimiser steps done before it.
            groups: all that were drawn for it.
            tokens: drawn since the first step, for whatever purpose.
        """
        self.history.append(replace(drawn(step, groups), tokens=tokens))
        why = self.rule.reason(self.history)
        return f"until {dump(self.rule)['kind']}: {why}" if why else ""

    def state(self) -> dict[str, Any]:
        """Give the history, ready for JSON."""
        return {"history": [astuple(each) for each in self.history]}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self.history = [Drawn(*each) for each in state["history"]]


def drawn(step: int, groups: Sequence[DrawnGroup]) -> Drawn:
    """What all the groups drawn for a step were like, trained on or not."""
    outcomes = [group.outcome for group in groups]
    lengths = [length for outcome in outcomes for length in outcome.lengths_G]
    if not lengths:
        return Drawn(step)
    known = [each for outcome in outcomes for each in outcome.known_G]
    records = [row.completion.logprobs or () for group in groups for row in group.rows]
    logps = [logp for record in records for logp in record]
    return Drawn(
        step,
        correct=statistics.fmean(known) if known else None,
        length=statistics.fmean(lengths),
        truncated=sum(outcome.truncated for outcome in outcomes) / len(lengths),
        entropy=-math.fsum(logps) / len(logps) if logps else None,
        answers=len(lengths),
    )
