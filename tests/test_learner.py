"""What each curriculum is for, seen in what it asks a simulated learner: bounds from arithmetic, seeds fixed.

A problem of difficulty d is solved with probability 1 / (1 + exp(d - ability)); a group with right and wrong answers
makes the learner a little abler.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from longstep.config import TypeAdapter
from longstep.curriculum import AnyCurriculum, Horizon, Outcome
from longstep.types import Problem

GROUP = 8


@dataclass
class Learner:
    """Answers; ``gain`` is what a step of groups that all teach is worth."""

    difficulty_P: Sequence[float]
    gain: float = 0.0
    ability: float = 0.0
    asked: list[list[int]] = field(default_factory=list)
    rate_S: list[list[float]] = field(default_factory=list)
    signals: list[Counter[str]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def rate(self, index: int) -> float:
        return 1 / (1 + math.exp(self.difficulty_P[index] - self.ability))

    def problems(self, samples: int = 0) -> list[Problem]:
        """The pool, rated by so many answers of the start, or exactly."""
        return [
            Problem(str(i), "q", "1", None, "exact", f"{d:+.0f}", d, self._rated(i, samples))
            for i, d in enumerate(self.difficulty_P)
        ]

    def _rated(self, index: int, samples: int) -> float:
        if samples == 0:
            return self.rate(index)
        draw = random.Random(f"rated:{index}")
        return sum(draw.random() < self.rate(index) for _ in range(samples)) / samples

    def follow(self, curriculum: Any, steps: int, n: int) -> None:
        for step in range(steps):
            asks = curriculum.pick(n, step)
            outcomes: list[Outcome] = []
            for ask in asks:
                draw = random.Random(f"{step}:{ask.use}:{ask.index}")
                samples = ask.samples or GROUP
                right = tuple(float(draw.random() < self.rate(ask.index)) for _ in range(samples))
                outcomes.append(Outcome(ask.index, ask.use, right, (5,) * samples, 0, step))
            trained = [ask.index for ask in asks if ask.use == "train"]
            self.asked.append(trained)
            self.rate_S.append([self.rate(index) for index in trained])
            signals = Counter(o.signal for o in outcomes if o.use == "train")
            self.signals.append(signals)
            curriculum.observe(outcomes)
            self.metrics.append(curriculum.metrics())
            self.ability += self.gain * signals["mixed"] / n

    def share(self, signal: str, last: int) -> float:
        """Of the groups of the last steps."""
        return sum(each[signal] for each in self.signals[-last:]) / sum(
            each.total() for each in self.signals[-last:]
        )


def taught(
    difficulty_P: Sequence[float],
    steps: int,
    n: int,
    gain: float = 0.0,
    rated: int = 0,
    **config: Any,
) -> tuple[Learner, Any]:
    learner = Learner(difficulty_P, gain)
    member = TypeAdapter(AnyCurriculum).validate_python(config)
    curriculum = member.build(learner.problems(rated), Horizon(steps, n, 11))
    learner.follow(curriculum, steps, n)
    return learner, curriculum


#: A third hopeless (a group of 8 is mixed with 2 %), a third at one half (99 %), a third solved (2 %).
THIRDS = [6.0] * 20 + [0.0] * 20 + [-6.0] * 20
SPREAD = [-4 + 8 * i / 63 for i in range(64)]
#: At most 0.73 at the start: what is solved already was dropped.
HARDER = [-1 + 5 * i / 63 for i in range(64)]


def test_greso_draws_fewer_groups_without_signal_than_shuffle() -> None:
    """With shuffle a third of the groups teaches: .99 / 3 + 2 x .02 / 3 = .34.

    After c groups without signal in a row a problem is kept with p^c, so in E epochs it is drawn about log(E) / log(1/p)
    times: fewer than 9 with p = .65 and the 48 epochs that 1200 asks then are. The twenty that teach are drawn each
    time: .99 x 20 / (20 + 40 x 9 / 48) = .72 or more, and the later the more.
    """
    plain, _ = taught(THIRDS, 100, 12, kind="shuffle")
    skipping, order = taught(THIRDS, 100, 12, kind="greso")
    assert plain.share("mixed", 100) == pytest.approx(0.34, abs=0.03)
    assert skipping.share("mixed", 100) > 0.65
    assert skipping.share("mixed", 40) > skipping.share("mixed", 100)
    assert order.metrics()["skipped"] > 0.3
    asked = Counter(index for step in skipping.asked for index in step)
    assert min(asked[i] for i in range(20, 40)) > max(
        asked[i] for i in (*range(20), *range(40, 60))
    )
    assert min(asked.values()) >= 1  # none is given up before it was seen


def test_greso_comes_back_to_what_the_learner_can_do_by_now() -> None:
    """Hopeless problems are kept with at least 1 in 100, and a group with a right answer ends the skipping."""
    learner, order = taught([6.0] * 30 + [0.0] * 30, 60, 12, kind="greso")
    seldom = Counter(i < 30 for step in learner.asked[-20:] for i in step)[True]
    learner.ability = 6.0
    learner.follow(order, 60, 12)
    often = Counter(i < 30 for step in learner.asked[-20:] for i in step)[True]
    assert (
        seldom < 90 and often > 200
    )  # of 240; now those at 0 are all right, and the others at one half


def off_half(learner: Learner) -> float:
    """How far from one half the rates of the last 40 steps lie."""
    rates = [rate for step in learner.rate_S[-40:] for rate in step]
    return sum(abs(rate - 0.5) for rate in rates) / len(rates)


def difficulty(learner: Learner, steps: slice) -> float:
    """Mean of what was asked in some steps."""
    asked = [learner.difficulty_P[index] for step in learner.asked[steps] for index in step]
    return sum(asked) / len(asked)


def test_mopps_concentrates_near_one_half() -> None:
    """Rates are spread over 0.02 to 0.98: shuffle's lie (ln(1 + e^4) - ln 2 - 2) / 4 = .331 from one half.

    The nearest eighth of the pool lies within .13. A posterior of two groups in effect (decay 0.5) has a deviation of
    about .12, and half of its samples are off by more than .08: so about .15 is what it can do.
    """
    plain, _ = taught(SPREAD, 80, 8, kind="shuffle")
    picking, sampler = taught(SPREAD, 80, 8, kind="mopps")
    assert off_half(plain) == pytest.approx(0.331, abs=0.02)
    assert off_half(picking) < 0.22
    assert picking.share("mixed", 40) > plain.share("mixed", 40) + 0.1
    assert sampler.metrics()["picked"] == pytest.approx(0.5, abs=0.15)
    assert off_half(taught(SPREAD, 80, 8, kind="mopps", decay=1.0)[0]) < off_half(
        picking
    )  # nothing changes here


def test_mopps_follows_a_learner() -> None:
    """From ability 0 to 4 in 100 steps: what is solved half of the time is 4 harder."""
    learner, _ = taught(SPREAD, 100, 8, gain=0.05, kind="mopps")
    assert learner.ability > 3.0
    assert difficulty(learner, slice(-20, None)) > difficulty(learner, slice(20)) + 1.5


def test_sec_asks_most_for_the_category_that_teaches() -> None:
    """Values tend to 2 sqrt(p (1 - p)): .1, .94 (the mean over groups of 8) and .1; at temperature .2 the middle has
    e^4.7 / (e^4.7 + 2 e^.5) = .97 of the picks, but no more than its 20 problems a step."""
    learner, bandit = taught(THIRDS, 60, 12, kind="sec", temperature=0.2)
    values = bandit.metrics()
    assert values["value/+0"] > 0.85 and max(values["value/+6"], values["value/-6"]) < 0.3
    asked = Counter(THIRDS[i] for step in learner.asked[-40:] for i in step)
    assert asked[0.0] > 0.85 * 40 * 12
    even, _ = taught(THIRDS, 60, 12, kind="sec", temperature=100.0)
    asked = Counter(THIRDS[i] for step in even.asked for i in step)
    assert all(count == pytest.approx(240, abs=15) for count in asked.values())


def test_retire_spends_its_draws_on_what_is_not_solved() -> None:
    """A solved problem (p = .9975) is all right with 98 %, so it is drawn about once."""
    learner, order = taught(THIRDS, 50, 12, kind="retire")
    asked = Counter(index for step in learner.asked for index in step)
    assert sum(asked[i] for i in range(40, 60)) <= 30
    assert min(asked[i] for i in range(20)) >= 13  # (600 - 30) / 40 = 14.25
    # One at one half is all right with .5^8, and then retired by chance.
    assert 20 <= order.metrics()["retired"] * 60 <= 22 and order.metrics()["returns"] == 0.0


@pytest.mark.parametrize("kind", ["gaussian", "e2h-gaussian", "e2h-cosine", "adcl", "easy_to_hard"])
def test_schedules_go_from_easy_to_hard(kind: str) -> None:
    pool = HARDER if kind == "gaussian" else SPREAD
    learner, _ = taught(pool, 8, 8, rated=GROUP, kind=kind)
    rise = difficulty(learner, slice(-3, None)) - difficulty(learner, slice(3))
    # In order, the means of the first and last three eighths are 5/8 of the range apart: 5, and 3.1 for the harder pool.
    # The cosine's shares of the levels, 4, 3, 2, 1 and 1, 2, 3, 4, are one level of 2 apart, less in three steps.
    assert rise > (1.0 if kind == "e2h-cosine" else 2.0)
    if kind in ("gaussian", "adcl", "easy_to_hard"):  # one pass over the pool
        assert sorted(i for step in learner.asked for i in step) == list(range(64))


def test_adcl_puts_right_what_a_rough_rating_put_wrong() -> None:
    """Batches sorted by eight answers of the policy have fewer pairs the wrong way round than by two of the start."""

    def wrong(orders: Sequence[Sequence[int]]) -> int:
        return sum(
            SPREAD[a] > SPREAD[b]
            for order in orders
            for place, a in enumerate(order)
            for b in order[place:]
        )

    def ahead(order: Sequence[int]) -> list[Sequence[int]]:
        """All batches but the first, which nobody rates."""
        return [order[k : k + 16] for k in (16, 32, 48)]

    config = {"batches": 4, "samples": 8}
    learner, _ = taught(SPREAD, 16, 4, rated=2, kind="adcl", **config)
    asked = [index for step in learner.asked for index in step]
    fresh = TypeAdapter(AnyCurriculum).validate_python({"kind": "adcl", **config})
    before = fresh.build(Learner(SPREAD).problems(2), Horizon(16, 4, 11)).order
    assert [sorted(each) for each in ahead(asked)] == [sorted(each) for each in ahead(before)]
    # Two answers leave three pass rates, so most pairs of a batch are equal before; eight leave nine.
    assert wrong(ahead(before)) > 100 and wrong(ahead(asked)) < 0.75 * wrong(ahead(before))


def test_adcl_nir_tells_how_stale_the_order_is() -> None:
    """A learner that was rated exactly changes an order only by the chance of 64 answers, whose deviation of .06 is less
    than the .1 or more between a batch's quarters; one that was rated the wrong way round changes nearly every pair."""
    same, _ = taught(SPREAD, 16, 4, gain=0.5, kind="adcl", batches=4, samples=64)
    assert same.ability > 3.0 and 0.0 < max(row["nir"] for row in same.metrics) < 0.3
    turned = Learner(SPREAD)
    rates = [problem.pass_rate for problem in turned.problems()]
    wrong = [
        replace(p, pass_rate=rate) for p, rate in zip(turned.problems(), rates[::-1], strict=True)
    ]
    member = TypeAdapter(AnyCurriculum).validate_python(
        {"kind": "adcl", "batches": 4, "samples": 64}
    )
    turned.follow(member.build(wrong, Horizon(16, 4, 11)), 16, 4)
    assert max(row["nir"] for row in turned.metrics) > 0.8
