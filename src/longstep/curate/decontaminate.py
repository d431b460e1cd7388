"""Contaminated training problems: rows that hold a benchmark's question."""

from __future__ import annotations

from longstep.config import Strict
from longstep.curate.overlap import AnyContamination, Match, Overlap


class Decontaminate(Strict):
    """What counts as contamination.

    Attributes:
        rule: how rows are compared with benchmarks: ``overlap``, or a published rule (``light-r1``, ``open-r1``,
            ``s1``), of which every hit is removed.
    """

    rule: AnyContamination = Overlap()


def reason(match: Match) -> str:
    """Say why a row goes, for the funnel: the class counts, the question is the detail."""
    return f"contaminated, {match.kind}: {match.benchmark}/{match.item}, score {match.score:.2f}"
