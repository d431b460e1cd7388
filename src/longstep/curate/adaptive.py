"""How many samples a pass rate needs: draw in rounds, stop when it is decided on which side of a band a problem lies.

The rule is Bayesian. Under a uniform prior, ``c`` correct of ``n`` samples leave Beta(c+1, n-c+1) as what is known of a
problem's true rate; a problem is decided as soon as that puts at least ``confidence`` inside the band, or outside of
it. A posterior does not mind being looked at after every round: whatever the stopping rule, at least ``confidence`` of
the decisions are right on average over problems whose true rates are spread like the prior. It is no promise for one
given rate: a rate that lies exactly on an edge of the band is decided wrongly more often, and close to an edge a wrong
decision is a small error. ``tests/test_adaptive.py`` measures both.

What the rule costs: the recorded rate of a problem that stopped early is biased away from the band's edges, for it
stopped *because* it was extreme. Use it to choose problems, not to report a model's accuracy; ``rates.jsonl`` carries
the number of samples of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Literal

from longstep.config import Field, Strict, model_validator
from longstep.curate.difficulty import Band, PassRate

Decision = Literal["inside", "outside", "open", "unscorable"]


class Adaptive(Strict):
    """Sampling in rounds until the band is decided.

    Attributes:
        band: the band that a later stage selects by. With ``mixed`` a problem is inside only once both outcomes were
            seen.
        first: samples of the first round.
        step: samples of each later round.
        max: samples after which a problem stays open. Nothing can be decided inside [0.25, 0.625] at 0.95 before 24
            samples, so with fewer only what lies outside is decided early.
        confidence: posterior probability that decides.
    """

    band: Band
    first: int = Field(default=4, ge=1)
    step: int = Field(default=4, ge=1)
    max: int = Field(default=32, ge=2)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _room(self) -> Adaptive:
        if self.first >= self.max:
            raise ValueError(
                f"first {self.first} is not below max {self.max}, so no round could be saved; "
                "lower first or sample a fixed number instead"
            )
        return self

    def rounds(self) -> Iterator[int]:
        """Samples per problem after each round; the last round may be shorter."""
        yield from range(self.first, self.max, self.step)
        yield self.max

    def decide(self, rate: PassRate) -> Decision:
        """Judge a problem by its samples so far.

        A decision also has to agree with the recorded rate, so that selecting by the same band afterwards keeps every
        problem that was decided inside and none that was decided outside. A problem of which no sample can be scored
        (a broken key, or a verifier that gives up on it) is not sampled again.
        """
        if rate.value is None:
            return "unscorable" if rate.excluded else "open"
        inside = inside_probability(rate.correct, rate.scored, self.band.min, self.band.max)
        in_band = self.band.min <= rate.value <= self.band.max
        if inside >= self.confidence and in_band and (rate.mixed or not self.band.mixed):
            return "inside"
        if inside <= 1 - self.confidence and not in_band:
            return "outside"
        return "open"

    def expected_samples(self) -> float:
        """Mean samples per problem when true rates are spread evenly over [0, 1], exactly.

        Under the uniform prior the next sample is correct with probability (c+1)/(n+2) (Laplace's rule of
        succession), so the chance of each (c, n) follows by counting, round by round. Real raters solve many
        problems always or never, which decides sooner: this is a cautious estimate for a plan.
        """
        chance, done, mean = {0: 1.0}, 0, 0.0
        for size in self.rounds():
            mean += (size - done) * math.fsum(chance.values())
            for n in range(done, size):
                after: dict[int, float] = {}
                for correct, share in chance.items():
                    right = share * (correct + 1) / (n + 2)
                    after[correct + 1] = after.get(correct + 1, 0.0) + right
                    after[correct] = after.get(correct, 0.0) + share - right
                chance = after
            done = size
            chance = {c: p for c, p in chance.items() if self.decide(PassRate(c, size)) == "open"}
        return mean


@cache
def inside_probability(correct: int, scored: int, low: float, high: float) -> float:
    """Posterior probability that the true rate lies in [low, high], uniform prior."""
    return below(correct, scored, high) - below(correct, scored, low)


def below(correct: int, scored: int, edge: float) -> float:
    """Probability that a Beta(correct+1, scored-correct+1) variable is at most ``edge``.

    With whole parameters the incomplete beta function is a binomial tail (Abramowitz and Stegun 26.5.24): the
    chance of more than ``correct`` successes in ``scored + 1`` trials at rate ``edge``.
    """
    if edge <= 0 or edge >= 1:
        return float(edge >= 1)
    trials = scored + 1
    logs = (
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(edge)
        + (trials - k) * math.log1p(-edge)
        for k in range(correct + 1, trials + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))
