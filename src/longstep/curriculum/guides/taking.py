"""What guides share that put answers into hopeless groups: when, how many, in whose place, and at which weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from longstep.config import Field
from longstep.curriculum.base import Outcome, Signal
from longstep.curriculum.groups import DrawnGroup, DrawnRow, Weight
from longstep.curriculum.guides.base import Guidance, GuideConfig
from longstep.types import Problem

Baseline = Literal["group", "own"]


class Taking(GuideConfig):
    """Settings of every guide that replaces wrong answers."""

    def mends(self) -> frozenset[Signal]:
        """Those without a right answer."""
        return frozenset({"wrong"})


class Asking(Taking):
    """Settings of every guide that draws with help.

    Attributes:
        samples: answers drawn with help for a group.
        replaced: wrong answers of a group that may be replaced.
        baseline: what a mended group is measured by: ``group``, its mean, as any other; ``own``, its own answers, which
            were all wrong: those stay worth nothing, and a row taken is worth 1. With ``group`` one right answer among
            eight is worth 2.47 under GRPO, and each of the others is pushed down by 0.35 only because this one was put
            in.
    """

    samples: int = Field(default=4, ge=1)
    replaced: int = Field(default=1, ge=1)
    baseline: Baseline = "group"

    def fits(self, group: int) -> Iterator[str]:
        """An answer is measured against others of its group."""
        if self.replaced >= group:
            yield f"replaced: {self.replaced} answers leave none of the policy's own in a group of {group}"
        elif self.replaced > self.samples:
            yield (
                f"replaced: {self.replaced} answers of a group, where {self.samples} are drawn with help; lower it, or "
                "raise samples"
            )

    def foretold(self) -> str:
        """How many groups are hopeless depends on the model."""
        return f"its guide draws {self.samples} more answers for each group without a right one, beyond its hours"


class TakingGuide:
    """Gets help for groups without a right answer, and lets right answers take the place of the last wrong ones.

    Attributes:
        problems: the pool.
        samples: answers to get for a group.
        replaced: answers of a group that may be replaced.
        weight: of the rows taken.
        baseline: of a group with rows taken.
    """

    baseline: Baseline = "group"

    def __init__(
        self, problems: Sequence[Problem], samples: int, replaced: int, weight: Weight
    ) -> None:
        """Start with nobody helped."""
        self.problems, self.samples = problems, samples
        self.replaced, self.weight = replaced, weight
        self.counts: Counter[str] = Counter()

    def wanted(self, outcome: Outcome) -> int:
        """All samples for a group without a right answer."""
        return self.samples if outcome.signal == "wrong" else 0

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """The member's to say."""
        raise NotImplementedError

    def leak(self, problem: Problem, text: str) -> str:
        """Why a right answer is refused: the help shows in it; ``""`` when it may train."""
        return ""

    def admit(self, group: DrawnGroup, guided: Sequence[DrawnRow]) -> DrawnGroup:
        """Take the first right answers that do not give away the help."""
        problem = self.problems[group.outcome.index]
        right = [row for row in guided if row.correctness == 1.0]
        leaks = [self.leak(problem, row.completion.text) for row in right]
        found = [row for row, leak in zip(right, leaks, strict=True) if not leak][: self.replaced]
        mended = _with(group, [replace(row, weight=self.weight) for row in found])
        # Fewer than found where a group has not so many wrong answers, as with one that is all right.
        taken = sum(new is not old for new, old in zip(mended.rows, group.rows, strict=True))
        self.counts.update(groups=1, leaks=len([*filter(None, leaks)]), taken=taken)
        self.counts["mended"] += bool(taken)
        return _by_own(mended) if taken and self.baseline == "own" else mended

    def metrics(self) -> dict[str, float]:
        """Groups that got help, those mended, rows taken, and right answers refused because they leak; sums."""
        names = ("groups", "mended", "taken", "leaks")
        return {name: float(self.counts[name]) for name in names}

    def state(self) -> dict[str, Any]:
        """The counts."""
        return {"counts": dict(self.counts)}

    def restore(self, state: dict[str, Any]) -> None:
        """Count on."""
        self.counts = Counter(state["counts"])


def _by_own(group: DrawnGroup) -> DrawnGroup:
    """The group with its own answers worth what they were before it was mended: nothing."""
    rows = (replace(row, advantage=0.0 if row.own else 1.0) for row in group.rows)
    return replace(group, rows=tuple(rows))


def _with(group: DrawnGroup, rows: Sequence[DrawnRow]) -> DrawnGroup:
    """The group with its last wrong answers replaced; wrong ones, so that no unscorable place is spent on it."""
    wrong = [i for i, row in enumerate(group.rows) if row.correctness != 1.0 and row.own]
    known = [i for i in wrong if group.rows[i].correctness is not None]
    places = (known or wrong)[-len(rows) :] if rows else []
    new = list(group.rows)
    for place, row in zip(places, rows, strict=False):
        new[place] = row
    return replace(group, rows=tuple(new))
