"""Contaminated training problems, as a filter: rows that hold a benchmark's question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longstep.config import Strict
from longstep.curate.funnel import Filter
from longstep.curate.overlap import AnyContamination, Index, Item, Match, Overlap
from longstep.curate.overlap.legacy import LegacyIndex
from longstep.curate.overlap.match import Kind
from longstep.types import Problem


class Decontaminate(Strict):
    """What counts as contamination.

    Attributes:
        rule: how rows are compared with benchmarks: ``overlap``, or a published rule (``light-r1``, ``open-r1``,
            ``s1``), of which every hit is removed.
    """

    rule: AnyContamination = Overlap()

    @property
    def remove(self) -> tuple[Kind, ...]:
        """Classes of matches whose rows go."""
        return self.rule.remove if isinstance(self.rule, Overlap) else ("identical",)

    def index(self, benchmarks: Iterable[Problem]) -> Index | LegacyIndex:
        """Index benchmark problems; a problem's source is the name of its benchmark."""
        return self.rule.build(
            Item(each.source, each.id, each.prompt, each.answer or None) for each in benchmarks
        )

    def build(self, benchmarks: Iterable[Problem]) -> Filter:
        """Give a filter that judges one row at a time; ``judge_rows`` is faster for many."""
        index = self.index(benchmarks)

        def keep(problem: Problem) -> tuple[bool, str]:
            match = judge_rows(index, [problem.prompt], self.remove, [problem.answer])[0]
            return (True, "") if match is None else (False, reason(match))

        return keep


def judge_rows(
    index: Index | LegacyIndex,
    texts: Sequence[str],
    remove: Sequence[Kind],
    answers: Sequence[str | None] | None = None,
) -> list[Match | None]:
    """Give for each text the best match of a class to be removed, if there is one."""
    found = scan(index, texts, answers)
    return [next((m for m in matches if m.kind in remove), None) for matches in found]


def scan(
    index: Index | LegacyIndex, texts: Sequence[str], answers: Sequence[str | None] | None = None
) -> list[tuple[Match, ...]]:
    """Give each text's matches, best first; published rules do not look at answers."""
    return index.scan(texts, answers) if isinstance(index, Index) else index.scan(texts)


def reason(match: Match) -> str:
    """Say why a row goes, for the funnel: the class counts, the question is the detail."""
    return f"contaminated, {match.kind}: {match.benchmark}/{match.item}, score {match.score:.2f}"
