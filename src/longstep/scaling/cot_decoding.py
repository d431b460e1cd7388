"""CoT decoding: what the model would say had it begun otherwise."""

from __future__ import annotations

from typing import ClassVar, Literal

from longstep.config import Field
from longstep.scaling.base import ROOT, Extend, Play, Strategy
from longstep.scaling.votes import SameAnswer


class CotDecoding(Strategy):
    """The k likeliest first tokens, and the likeliest answer behind each (Wang and Zhou 2024, arXiv 2402.10200).

    No temperature: every token but the first is the likeliest one. Each answer keeps its margin, the mean over the
    tokens *of the answer alone* of how much likelier each is than the next best; a pick with the scorer ``margin``
    chooses by it: ``weighted`` adds the margins of equal answers up (the paper's aggregated path), ``best`` takes the
    widest.

    Attributes:
        k: first tokens.
    """

    distribution: ClassVar[bool] = True
    kind: Literal["cot-decoding"] = "cot-decoding"
    k: int = Field(default=10, ge=1)

    def play(self, same: SameAnswer) -> Play:
        """All at once."""
        yield [Extend(ROOT, self.k, ranked=True)]

    @property
    def rows(self) -> int:
        """All."""
        return self.k

    def answers(self, mean: float) -> float:
        """All."""
        return self.k
