"""Contaminated training problems: rows that hold a benchmark's question."""

from __future__ import annotations

from collections.abc import Sequence

from longstep.config import Strict
from longstep.curate.overlap import AnyContamination, Index, Match, Overlap
from longstep.curate.overlap.legacy import LegacyIndex
from longstep.curate.overlap.match import Kind


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


def scan(
    index: Index | LegacyIndex, texts: Sequence[str], answers: Sequence[str | None] | None = None
) -> list[tuple[Match, ...]]:
    """Give each text's matches, best first; published rules do not look at answers."""
    return index.scan(texts, answers) if isinstance(index, Index) else index.scan(texts)


def reason(match: Match) -> str:
    """Say why a row goes, for the funnel: the class counts, the question is the detail."""
    return f"contaminated, {match.kind}: {match.benchmark}/{match.item}, score {match.score:.2f}"
