"""How far the model's distributions are from knowing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from longstep.generate import Prompt
from longstep.generate.base import AnswerReader, ToRead
from longstep.scaling.scorers.base import PathRater, ReadingScorer, ScoringDesk
from longstep.scaling.tree import Trail


class SelfCertaintyScorer(ReadingScorer):
    """Self-certainty: mean ``KL(uniform || distribution)`` of drawn tokens (Kang et al. 2025, arXiv 2502.18581).

    In nats, at temperature 1, over the ids that stand for a token. It needs whole distributions, so the model reads
    every answer again. Its authors vote by ranks with it: the pick ``borda``.
    """

    partial: ClassVar[bool] = True
    kind: Literal["self-certainty"] = "self-certainty"

    def gifts(self) -> frozenset[str]:
        """Whole distributions."""
        return frozenset({"distribution"})

    def rater(self, desk: ScoringDesk) -> PathRater:
        """Read with the model that draws."""
        return _CertaintyRater(desk.generator.reader())


class _CertaintyRater:
    identity = doubt = ""
    steps = ()

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader

    def rate(self, asked: Sequence[tuple[Prompt, Trail]]) -> list[float]:
        """One mean a path; 0, the least there is, where the model drew nothing."""
        rows = [ToRead(prompt.prompt_ids, trail.ids) for prompt, trail in asked]
        found: list[float] = []
        for (_, trail), read in zip(asked, self._reader.read(rows), strict=True):
            own = [each.origin == "model" for each in trail.segments for _ in each.token_ids]
            values = [float(v) for v, mine in zip(read.certainties_T, own, strict=True) if mine]
            found.append(sum(values) / len(values) if values else 0.0)
        return found
