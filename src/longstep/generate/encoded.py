"""Answers written on piece by piece where nothing may be held: every prefix is encoded again.

Windows and recurrent states keep what the last tokens need, and not what a row needs that goes back or waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longstep.generate.base import Continuation, Continued, Frontier, Sampling
from longstep.generate.cached_rows import CachedRows, continued
from longstep.generate.noise import row_key
from longstep.generate.written import AnswerPiece

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine

SHRINK = (
    0.9  # drop rows that are over when at most this share of them is not: dropping copies the cache
)


class EncodedFrontier(Frontier):
    """Unfinished answers of one model that holds nothing between the requests; see ``Frontier``."""

    def __init__(self, engine: TransformersEngine) -> None:
        """Take the engine."""
        self._engine = engine

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Write each on, all in one batch."""
        engine = self._engine
        engine.check([ask.prompt for ask in asked], how)
        pieces = [AnswerPiece(ask, row_key(how.seed, *ask.noise)) for ask in asked]
        with engine.drawing():
            rows = CachedRows(engine, pieces)
            while rows.live:
                rows.step(how)
                if 0 < rows.live <= SHRINK * len(rows.written.pieces):
                    rows.rearrange(rows.written.live_B.nonzero()[0].tolist())
        return [continued(engine, piece, how) for piece in pieces]
