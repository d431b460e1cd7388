"""Predicted difficulty: a problem is as hard as those were that look like it (after DOTS, arXiv 2506.05316).

    x = counts of a prompt's three-letter pieces, hashed to 64 places
    rate(x) = mean success rate of the ``neighbours`` references nearest to x     references: the last groups drawn

Of the next candidates those are asked whose predicted rate is nearest to ``target``. Nothing is drawn for it, and a
problem that was never seen has a prediction, which ``mopps`` lacks. Longer prompts have more pieces, so length counts.

Differences from the paper: it predicts by attention over a language model's embeddings, with a learned scale, from 256
problems that are rated anew every other step; here it is the nearest neighbours by spelling, from the last 256 groups
that were drawn anyway, a policy that is a few steps old among them. It samples among all problems with weights of
``exp(-|rate - 0.5| / 0.001)``, which takes the nearest as good as always; here the nearest of some candidates are
taken. It replays old answers, too; that is not here. Whether spelling tells difficulty depends on the pool: the metric
``error`` stands beside ``error_of_mean``, that of one rate for all, and where it is no smaller nothing is predicted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from longstep.config import Field, Strict, model_validator
from longstep.curriculum.base import Ask, Horizon, Outcome
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem

PLACES = 64


class Predicted(Strict):
    """Problems whose success rate, predicted from similar problems that were just drawn, is nearest to a target.

    Attributes:
        target: success rate aimed at.
        candidates: problems looked at for each one asked; those not taken wait for the next epoch.
        references: groups that predictions are made from, the last ones drawn.
        neighbours: of them, whose mean is the prediction.
    """

    kind: Literal["predicted"] = "predicted"
    target: float = Field(default=0.5, ge=0.0, le=1.0)
    candidates: int = Field(default=8, ge=2)
    references: int = Field(default=256, ge=1)
    neighbours: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _some_are_nearer(self) -> Self:
        if self.neighbours >= self.references:
            raise ValueError(
                f"neighbours: {self.neighbours} are all of {self.references} references, so that every problem has one "
                "prediction; take fewer"
            )
        return self

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> PredictedOrder:
        """Give the order over these problems."""
        pieces_PF = np.stack([pieces(problem.prompt) for problem in problems]) if problems else None
        return PredictedOrder(self, pieces_PF, horizon.seed)


class PredictedOrder:
    """Looks at the next candidates of a walk and takes those predicted nearest to the target."""

    def __init__(self, config: Predicted, pieces_PF: NDArray[np.float64] | None, seed: int) -> None:
        """Nothing was drawn: every prediction is the target."""
        count = 0 if pieces_PF is None else len(pieces_PF)
        self._asks = StepAsks(count, seed)
        assert pieces_PF is not None
        self.config, self.pieces_PF = config, pieces_PF
        self.drawn: deque[tuple[int, float]] = deque(maxlen=config.references)
        self.picked, self.error, self.error_of_mean = config.target, 0.0, 0.0
        self._walk = Walk(range(count), str(seed))

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for those whose predicted rate is nearest to the target."""
        self._asks.begin(step)
        picked: list[int] = []
        rates: list[float] = []
        while len(picked) < n:  # more than there are come again
            wanted, looked_at = n - len(picked), set(self._asks.asked)
            found: list[int] = []
            for _ in range(
                min(wanted * self.config.candidates, len(self.pieces_PF) - len(looked_at))
            ):
                found.append(self._walk.next(looked_at))
                looked_at.add(found[-1])
            rated = zip(found, self.rates(found), strict=True)
            nearest = sorted((abs(rate - self.config.target), index, rate) for index, rate in rated)
            for _, index, rate in nearest[:wanted]:
                self._asks.add(index)
                picked.append(index)
                rates.append(rate)
        self.picked = sum(rates) / max(1, n)
        return [Ask(index) for index in picked]

    def rates(self, indices: Sequence[int]) -> list[float]:
        """Predicted success rates."""
        if not self.drawn:
            return [self.config.target] * len(indices)
        known = [index for index, _ in self.drawn]
        # Whole numbers far below 2^53: sums are exact in any order, so every machine finds the same neighbours.
        asked_NF, known_RF = self.pieces_PF[list(indices)], self.pieces_PF[known]
        squares_NR = (
            (asked_NF**2).sum(1)[:, None] + (known_RF**2).sum(1) - 2 * asked_NF @ known_RF.T
        )
        nearest_NK = squares_NR.argsort(axis=1, kind="stable")[:, : self.config.neighbours]
        rate_R = [rate for _, rate in self.drawn]
        return [sum(rate_R[place] for place in row) / len(row) for row in nearest_NK.tolist()]

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Compare with what was predicted, and predict from it next time."""
        scored = [outcome for outcome in outcomes if outcome.signal != "unscorable"]
        if not scored:
            return
        rates = [sum(outcome.known_G) / len(outcome.known_G) for outcome in scored]
        predicted = self.rates([outcome.index for outcome in scored])
        mean = (
            sum(rate for _, rate in self.drawn) / len(self.drawn)
            if self.drawn
            else self.config.target
        )
        self.error = sum(abs(a - b) for a, b in zip(predicted, rates, strict=True)) / len(rates)
        self.error_of_mean = sum(abs(mean - rate) for rate in rates) / len(rates)
        self.drawn.extend((o.index, rate) for o, rate in zip(scored, rates, strict=True))

    def metrics(self) -> dict[str, float]:
        """Give the rate predicted of the last pick, how far predictions were off, and how far one rate for all was."""
        return {"picked": self.picked, "error": self.error, "error_of_mean": self.error_of_mean}

    def state(self) -> dict[str, Any]:
        """Give the references and the place in the row of candidates."""
        return {
            "drawn": [[index, rate] for index, rate in self.drawn],
            "walk": self._walk.state(),
            **self.metrics(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.drawn = deque(
            ((index, rate) for index, rate in state["drawn"]), maxlen=self.config.references
        )
        self._walk.restore(state["walk"])
        self.picked, self.error = state["picked"], state["error"]
        self.error_of_mean = state["error_of_mean"]


def pieces(text: str) -> NDArray[np.float64]:
    """How often each of 64 kinds of three bytes in a row stands in a text; whole numbers."""
    data = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64)
    codes = data[:-2] * 65536 + data[1:-1] * 256 + data[2:]
    mixed = (codes * 2654435761 >> 13) % PLACES  # a multiplier whose bits are well mixed: Knuth's
    return np.bincount(mixed, minlength=PLACES).astype(np.float64)
