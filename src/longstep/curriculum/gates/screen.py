"""SPEED (arXiv 2506.09016): a few answers first, and the others only where those are right and wrong.

Most problems that teach nothing are known after 4 answers, so 4 are spent on them and not 16. It costs truth:

    passes            1 - p^s - (1-p)^s                           of problems with pass rate p, s answers in the screen
    mean of those s   (p - p^s) / (1 - p^s - (1-p)^s)             given that they pass
    mean of all n     (s mean_s + (n - s) p) / n

With s 4 and n 16 a problem of pass rate .05 passes 19 times in 100, and its groups then have a mean of .105, twice
what is true; at .5 nothing is changed. So hard problems are trained on rarely, and with baselines that are too high.
Metrics ``screened_correct`` and ``later_correct`` show both means for the groups of a step. ``trains: later`` trains
on answers drawn after the screen only: their mean is p, for ``first`` more answers a problem.

Differences from the reference implementation: answers of one group are all drawn by the policy of one step, and what is
carried is compared with what the sampler recorded and stands in the checkpoint (there screens of the next batch share a
call with the second draw of this one, older rows count as drawn now, and the buffer is lost on resume).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from longstep.config import Field
from longstep.curriculum.base import Horizon, Outcome
from longstep.curriculum.gates.base import Chosen
from longstep.curriculum.gates.filling import Filling, FillingGate
from longstep.curriculum.groups import DrawnGroup, DrawnRow


class Screen(Filling):
    """SPEED: draws a few answers, then the rest of the group where those are right and wrong, until the batch is full.

    Attributes:
        first: answers of the screen.
        trains: on ``all`` answers (SPEED: ``first`` of the group are those of the screen), or on the ``later`` ones, a
            whole group beside the screen, which are an unbiased sample.
        when_short: as for ``mixed``; what a screen refused cannot pad.
    """

    kind: Literal["screen"] = "screen"
    first: int = Field(default=4, ge=2)
    trains: Literal["all", "later"] = "all"
    when_short: Literal["train-fewer", "stop"] = "train-fewer"

    def fits(self, group: int) -> Iterator[str]:
        """There must be a second round."""
        if self.trains == "all" and self.first >= group:
            yield (
                f"first: {self.first} answers leave no second round for a group of {group}; raise group (SPEED: "
                "16) or screen with fewer"
            )

    def answers(self, group: int) -> int:
        """A screen that does not train comes on top."""
        return group + (self.first if self.trains == "later" else 0)

    def build(self, group: int, horizon: Horizon) -> ScreenGate:
        """Give the gate for groups of this size."""
        rounds = (self.first, self.answers(group) - self.first)
        skipped = self.first if self.trains == "later" else 0
        return ScreenGate(self, rounds, self.when_short, first=self.first, skipped=skipped)


@dataclass
class ScreenGate(FillingGate):
    """Looks after the first answers.

    Attributes:
        first: answers of the screen.
        skipped: how many of them are not trained on.
        means: of the screens and of the later answers of the last step's groups.
    """

    first: int = 0
    skipped: int = 0
    means: tuple[float | None, float | None] = (None, None)

    def admits(self, outcome: Outcome, round: int) -> str:
        """By the screen alone: a second look at the later answers would bias those too."""
        return "" if round or outcome.signal == "mixed" else f"screened {outcome.signal}"

    def choose(
        self, groups: Sequence[DrawnGroup], refused: Sequence[DrawnGroup], wanted: int
    ) -> Chosen:
        """Measure the bias, and leave out the screen where it does not train."""
        rows = [group.rows for group in groups]
        self.means = (
            _correct(row for each in rows for row in each[: self.first]),
            _correct(row for each in rows for row in each[self.first :]),
        )
        kept = [replace(group, rows=group.rows[self.skipped :]) for group in groups]
        return super().choose(kept, refused, wanted)

    def metrics(self) -> dict[str, float]:
        """What every such gate tells, and both means, where a group passed."""
        means = zip(("screened_correct", "later_correct"), self.means, strict=True)
        return {**super().metrics(), **{name: mean for name, mean in means if mean is not None}}


def _correct(rows: Iterator[DrawnRow]) -> float | None:
    known = [row.correctness for row in rows if row.correctness is not None]
    return statistics.fmean(known) if known else None
