"""What happened to every row: steps with kept and dropped counts, and each dropped row's reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from longstep.types import Problem, Verdict

#: ``(problem) -> (keep, reason when dropped)``
Filter = Callable[[Problem], tuple[bool, str]]
#: What a problem's own verifier makes of its gold answer.
Judge = Callable[[Problem], Verdict]


@dataclass(frozen=True, slots=True)
class Dropped:
    """One row that was left out, whole, with the step and the reason."""

    step: str
    reason: str
    problem: Problem


def kind_of(reason: str) -> str:
    """What a reason is counted as: "kind: detail" by its kind, so that the table stays short."""
    return reason.split(":", 1)[0]


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
        self.count(step, len(kept), Counter(kind_of(each.reason) for each in new))
        self.dropped += new
        return kept

    def count(self, step: str, kept: int, reasons: Mapping[str, int]) -> None:
        """Note one step whose dropped rows are written elsewhere, as they go."""
        entry = {"step": step, "kept": kept, "dropped": sum(reasons.values())}
        self.steps.append({**entry, "reasons": dict(sorted(reasons.items()))})

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

    def told(self) -> str:
        """The steps in one line, for an error."""
        return "; ".join(
            f"{row['step']} kept {row['kept']}, dropped {row['dropped']}" for row in self.steps
        )
