"""What happened to every row: steps with kept and dropped counts, and each dropped row's reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from longstep.types import Problem

#: ``(problem) -> (keep, reason when dropped)``
Filter = Callable[[Problem], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Dropped:
    """One row that was left out, whole, with the step and the reason."""

    step: str
    reason: str
    problem: Problem


@dataclass(slots=True)
class Funnel:
    """Records a pipeline of steps; ``rows()`` and ``dropped_rows()`` are ready for JSON."""

    steps: list[dict[str, object]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def record(
        self, step: str, kept: list[Problem], dropped: Iterable[tuple[Problem, str]]
    ) -> list[Problem]:
        """Note one step and give its kept problems back."""
        new = [Dropped(step, reason, problem) for problem, reason in dropped]
        # "kind: detail" reasons are counted by kind, so that the table stays short
        reasons = Counter(each.reason.split(":", 1)[0] for each in new)
        self.steps.append(
            {
                "step": step,
                "kept": len(kept),
                "dropped": len(new),
                "reasons": dict(sorted(reasons.items())),
            }
        )
        self.dropped += new
        return kept

    def apply(self, step: str, keep: Filter, problems: Iterable[Problem]) -> list[Problem]:
        """Run one filter over the problems, in order, and note what it dropped."""
        kept, dropped = [], []
        for problem in problems:
            good, reason = keep(problem)
            if good:
                kept.append(problem)
            else:
                dropped.append((problem, reason))
        return self.record(step, kept, dropped)

    def rows(self) -> list[dict[str, object]]:
        """Give the steps in order: step, kept, dropped, reasons."""
        return self.steps

    def dropped_rows(self) -> list[dict[str, object]]:
        """Give every dropped problem with its step and reason."""
        return [asdict(each) for each in self.dropped]
