"""Published curricula against numbers worked out by hand: posteriors, values of a bandit, targets, and who is picked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from longstep.config import TypeAdapter, UserError
from longstep.curriculum import (
    ADCL,
    GRESO,
    SEC,
    AnyCurriculum,
    Ask,
    E2HCosine,
    E2HGaussian,
    Gaussian,
    Horizon,
    MoPPS,
    Outcome,
    Retire,
    Shuffle,
)
from longstep.curriculum.adcl import inversions
from longstep.curriculum.levels import apportioned, ranked, softmax
from longstep.curriculum.walk import StepAsks, Walk
from longstep.types import Problem


def pool(rates: Sequence[float], sources: str = "ab") -> list[Problem]:
    """Problems with these pass rates, ever harder by their source, which alternates."""
    return [
        Problem(str(i), "q", "1", None, "exact", sources[i % len(sources)], float(i), rate)
        for i, rate in enumerate(rates)
    ]


TWELVE = pool([1 - i / 12 for i in range(12)])


def horizon(steps: int = 10, groups: int = 4, seed: int = 0, updates: int = 1) -> Horizon:
    return Horizon(steps, groups, seed, updates)


def picks(curriculum: Any, n: int, step: int = 0) -> list[int]:
    return [ask.index for ask in curriculum.pick(n, step) if ask.use == "train"]


def went(index: int, *correctness: float | None, use: Any = "train") -> Outcome:
    return Outcome(index, use, correctness, (1,) * len(correctness), 0, 0)


class Always(random.Random):
    """Draws one number."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self.number = number

    def random(self) -> float:
        return self.number


# -- what they share ------------------------------------------------------------------------------


def test_the_share_of_a_run_that_is_done_ends_at_its_last_pick() -> None:
    assert [horizon(5).done(step) for step in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert horizon(5).last == 4 and horizon(8, updates=2).last == 6
    # 8 steps, 2 from each draw: picks at 0, 2, 4, 6
    assert horizon(8, updates=2).draws == 4 and horizon(8, updates=2).done(6) == 1.0
    assert horizon(7, updates=2).draws == 4 and horizon(7, updates=2).done(2) == 1 / 3
    assert horizon(1).done(0) == 0.0 == horizon(2, updates=2).done(0)


def test_a_walk_is_that_of_shuffle_and_who_must_wait_keeps_its_turn() -> None:
    walk = Walk(range(12), "5")
    shuffled = [ask.index for ask in Shuffle().build(TWELVE, horizon(seed=5)).pick(36, 0)]
    assert [walk.next(()) for _ in range(36)] == shuffled and walk.epochs == 3.0

    walk = Walk(range(12), "5")
    asked = {walk.next(()) for _ in range(8)}
    rest = [walk.next(asked) for _ in range(4)]
    assert {*rest} | asked == set(range(12))
    # The second epoch begins in the same step: only what was not asked yet; the others come later, in their order.
    second = shuffled[12:24]
    free = [index for index in second if index in rest]
    assert [walk.next(asked) for _ in range(4)] == free
    passed = [index for index in second[: second.index(free[-1])] if index in asked]
    saved = Walk(range(12), "5")
    saved.restore(walk.state())
    for each in (walk, saved):
        assert [each.next(()) for _ in range(8)] == passed + [
            i for i in second if i in asked and i not in passed
        ]


def test_a_step_remembers_what_it_asked_until_that_is_everything() -> None:
    asks = StepAsks(3, 0)
    first, again = asks.begin(4).random(), asks.begin(4).random()
    assert first != again and StepAsks(3, 0).begin(4).random() == first
    asks.add(0)
    asks.add(2)
    assert asks.asked == {0, 2}
    asks.add(1)
    assert asks.asked == set()
    asks.add(1)
    asks.begin(5)
    assert asks.asked == set()


def test_shares_of_a_pick_are_rounded_by_chance_to_both_sides() -> None:
    # 10 x (.26, .26, .48): running sums 2.6, 5.2, 10
    assert apportioned(10, (0.26, 0.26, 0.48), Always(0.0)) == [2, 3, 5]
    assert apportioned(10, (0.26, 0.26, 0.48), Always(0.5)) == [3, 2, 5]  # 3.1, 5.7
    assert apportioned(10, (0.26, 0.26, 0.48), Always(0.9)) == [3, 3, 4]  # 3.5, 6.1
    draw = random.Random(0)
    sums = Counter[int]()
    for _ in range(4000):  # a refill of one problem follows the shares, too
        sums[apportioned(1, (0.26, 0.26, 0.48), draw).index(1)] += 1
    # a share of 4000 has a standard deviation of at most sqrt(4000 / 4) = 32
    assert all(abs(sums[i] - 4000 * share) < 5 * 32 for i, share in enumerate((0.26, 0.26, 0.48)))
    assert sum(apportioned(7, (1 / 3, 1 / 3, 1 / 3), Always(0.0))) == 7
    assert apportioned(5, (0.0, 1.0, 0.0), Always(0.999)) == [0, 5, 0]


def test_levels_are_equally_large_and_equal_values_share_one() -> None:
    assert ranked([11.0 - i for i in range(12)], 4) == [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]
    # six ones, then 2..7: ranks 0 x 6, 6..11; 4 x rank / 12 is 0, 2, 2, 2, 3, 3, 3; level 1 is empty
    assert ranked([1.0] * 6 + [2, 3, 4, 5, 6, 7], 4) == [0] * 6 + [1, 1, 1, 2, 2, 2]
    assert softmax([0.0, -800.0, -800.0], [0, 1, 1]) == [0.0, 0.5, 0.5]  # nothing underflows


def test_a_curriculum_says_what_it_wants_of_problems_before_it_is_built() -> None:
    """Each field that is wanted is refused when it is missing, and nothing else is."""
    full = Problem("0", "q", "1", None, "exact", "a", 1.0, 0.5)
    problems = [full, replace(full, id="1", source="b", difficulty=2.0, pass_rate=1.0)]
    configs: list[Any] = [ADCL(), Gaussian(), SEC(), SEC(by="pass_rate")]
    configs += [
        kind(by=by) for kind in (E2HGaussian, E2HCosine) for by in ("difficulty", "pass_rate")
    ]
    for config in configs:
        for name in ("difficulty", "pass_rate"):
            lacking = [replace(problem, **{name: None}) for problem in problems]
            if name in config.wants():
                with pytest.raises(UserError, match=f"problem 0 has no {name}"):
                    config.build(lacking, horizon())
            else:
                config.build(lacking, horizon())


# -- gaussian -------------------------------------------------------------------------------------

RATES = [0, 0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 1, 1]


def test_gaussian_aims_at_a_pass_rate_that_moves_over_the_run() -> None:
    config = Gaussian(start=0.75, end=0.25, width=0.25)
    # (p - mean)^2 / (2 x 0.0625) = 8 (p - mean)^2
    assert config.scores([0.0, 0.25, 0.5, 0.75, 1.0], 0.0) == [-4.5, -2.0, -0.5, 0.0, -0.5]
    assert config.scores([0.0, 0.25, 0.5, 0.75, 1.0], 0.5) == [-2.0, -0.5, 0.0, -0.5, -2.0]
    assert config.scores([0.0, 0.25, 0.5, 0.75, 1.0], 1.0) == [-0.5, 0.0, -0.5, -2.0, -4.5]
    order = config.build(pool(RATES), horizon(steps=11))
    order.pick(4, 0)
    # weights .0111, .1353, .6065, 1, .6065 sum to 2.3595: their mean rate is 1.6936 / 2.3595
    assert order.metrics()["target"] == pytest.approx(0.7178, abs=1e-4)
    order.pick(4, 5)
    assert order.metrics()["target"] == pytest.approx(0.5)
    order.pick(4, 10)
    # 0.25 by symmetry of the weights around it, but for the bin at 0.75 and 1.0 that have no partner below 0:
    # (.25 + .6065 x .5 + .1353 x .75 + .0111) / 2.3595
    assert order.metrics()["target"] == pytest.approx(0.2822, abs=1e-4)


def test_gaussian_deals_each_bin_its_share_and_no_problem_twice() -> None:
    # 4 x (.0047, .0574, .2570, .4238, .2570) = .02, .23, 1.03, 1.70, 1.03
    bounds = {0: (0, 1), 0.25: (0, 1), 0.5: (1, 2), 0.75: (1, 2), 1: (1, 2)}
    for seed in range(40):
        order = Gaussian(start=0.75, end=0.25, width=0.25).build(
            pool(RATES), horizon(11, seed=seed)
        )
        found = picks(order, 4)
        counts = Counter(RATES[index] for index in found)
        assert all(low <= counts[rate] <= high for rate, (low, high) in bounds.items())
        assert order.metrics()["picked"] == pytest.approx(sum(RATES[i] for i in found) / 4)
        # three groups of 0.75 are asked for in the step, two are there: the others fill up
        assert len({*found, *picks(order, 4)}) == 8


def test_gaussian_uses_up_the_pool_once_in_a_run_of_its_length() -> None:
    for seed in range(20):
        order = Gaussian(width=0.05).build(pool(RATES), horizon(3, 4, seed))
        found = [picks(order, 4, step) for step in range(3)]
        assert sorted(i for each in found for i in each) == list(range(12))
        # The narrow target starts at 0.7 and ends at 0.1, so that the easy bins are used up first.
        assert {0, 1} <= {*found[2]} and {8, 9} <= {*found[0]}
        assert {*picks(order, 2, 3)} <= {0, 1, 2, 3}  # more than planned: the target alone, 0.1


def test_gaussian_asks_for_every_problem_equally_often_in_a_run_of_whole_passes() -> None:
    """Bins of four, two passes: the easy bin alone could fill the first steps for ever, and no hard one gets lost."""
    rates = [0.0] * 4 + [0.25] * 4 + [0.5] * 4 + [0.75] * 4 + [1.0] * 4
    for seed in range(10):
        order = Gaussian(width=0.05).build(pool(rates), horizon(10, 4, seed))
        found = [picks(order, 4, step) for step in range(10)]
        assert Counter(index for step in found for index in step) == dict.fromkeys(range(20), 2)
        assert {rates[index] for index in found[0]} == {0.75} and 0.75 not in {
            rates[i] for i in found[9]
        }


def test_gaussian_needs_pass_rates() -> None:
    with pytest.raises(UserError, match=r"problem 0 has no pass_rate.*rate: true"):
        Gaussian().build([Problem("0", "q", "1", difficulty=1.0)], horizon())


# -- e2h ------------------------------------------------------------------------------------------


def test_e2h_weighs_levels_by_the_published_schedules() -> None:
    # done 1/4: centre sqrt(1/4) x 3 = 1.5; (k - 1.5)^2 / (2 x 0.25) = 4.5, .5, .5, 4.5
    assert E2HGaussian().scores(4, 0.25) == [-4.5, -0.5, -0.5, -4.5]
    assert softmax(E2HGaussian().scores(4, 0.25), [1] * 4) == pytest.approx(
        [0.00899, 0.49101, 0.49101, 0.00899], abs=1e-5
    )
    cosine = E2HCosine()
    for done, share_K in ((0, [4, 3, 2, 1]), (0.5, [2.5] * 4), (1, [1, 2, 3, 4])):
        share = softmax(cosine.scores(4, done), [1] * 4)
        assert share == pytest.approx([each / 10 for each in share_K])
    # a third done: (1 + cos 60 degrees) / 2 = 3/4: 3/4 x 4 + 1/4 x 1 = 3.25, 2.75, 2.25, 1.75
    assert softmax(cosine.scores(4, 1 / 3), [1] * 4) == pytest.approx([0.325, 0.275, 0.225, 0.175])


def test_e2h_picks_the_easiest_level_first_and_the_hardest_last() -> None:
    order = E2HGaussian(width=0.05).build(TWELVE, horizon(10))
    assert sorted(picks(order, 3, 0)) == [0, 1, 2]
    assert sorted(picks(order, 3, 9)) == [9, 10, 11]
    assert order.metrics() == {"target": 3.0, "picked": 3.0}
    by_rate = E2HGaussian(by="pass_rate", width=0.05).build(TWELVE[::-1], horizon(10))
    assert sorted(picks(by_rate, 3, 0)) == [9, 10, 11]  # now the easiest
    counts = Counter(i // 3 for i in picks(E2HCosine().build(TWELVE, horizon(10)), 5, 0))
    assert (
        counts == {0: 2, 1: counts[1], 2: 1, 3: counts[3]} and counts[1] + counts[3] == 2
    )  # 2, 1.5, 1, .5


@pytest.mark.parametrize("config", [E2HGaussian(by="pass_rate"), E2HCosine(by="pass_rate")])
def test_e2h_needs_two_levels(config: Any) -> None:
    with pytest.raises(UserError, match=f"curriculum {config.kind} finds all 12 problems equally"):
        config.build(pool([0.5] * 12), horizon())


# -- adcl -----------------------------------------------------------------------------------------


def test_adcl_rates_the_next_batch_and_sorts_what_is_ahead() -> None:
    order = ADCL(batches=3, samples=4).build(TWELVE, horizon(7, 2))  # batches 0-3, 4-7, 8-11
    assert order.pick(2, 0) == [Ask(0), Ask(1)]  # the next step asks for 2 and 3
    order.observe([went(0, 1.0, 0.0), went(1, 0.0, 0.0)])
    rates = [Ask(i, "rate", 4) for i in (4, 5, 6, 7)]
    assert order.pick(2, 1) == [Ask(2), Ask(3), *rates]
    order.observe(
        [
            went(4, 1.0, 0.0, 0.0, 0.0, use="rate"),  # difficulty 4/12 -> 3/4
            went(5, 1.0, 1.0, 0.0, 0.0, use="rate"),  # 5/12 -> 1/2
            went(6, 1.0, 1.0, 1.0, 0.0, use="rate"),  # 6/12 -> 1/4
            went(7, 1.0, None, None, None, use="rate"),  # stays 7/12
        ]
    )
    # now 6, 5, 7, 4; the pairs (4,5), (4,6), (4,7), (5,6) changed, (5,7) and (6,7) did not
    assert order.metrics() == {"nir": pytest.approx(4 / 6), "epochs": 4 / 12}
    assert picks(order, 2, 2) == [6, 5]
    assert order.pick(2, 3) == [Ask(7), Ask(4), *(Ask(i, "rate", 4) for i in (8, 9, 10, 11))]
    order.observe([])  # not one rating came: the old order stays, and nobody asks again
    assert order.metrics()["nir"] == 0.0
    assert order.pick(2, 4) == [Ask(8), Ask(9)]
    # The end of the pool: the first batch of the next pass is rated, as the policy is now.
    assert order.pick(2, 5) == [Ask(10), Ask(11), *(Ask(i, "rate", 4) for i in (0, 1, 2, 3))]
    # No step comes after the last one, so nothing is rated for it.
    ending = ADCL(batches=3, samples=4).build(TWELVE, horizon(2, 2))
    assert picks(ending, 2, 0) == [0, 1] and ending.pick(2, 1) == [Ask(2), Ask(3)]


def test_adcl_sorts_no_problem_that_a_refill_took_before_its_rating() -> None:
    order = ADCL(batches=3, samples=2).build(TWELVE, horizon(6, 2))
    order.pick(2, 0)
    assert [ask.index for ask in order.pick(2, 1) if ask.use == "rate"] == [4, 5, 6, 7]
    assert order.pick(1, 1) == [Ask(4)]  # in the same step, in the old order
    rated = [went(i, float(i == 7), float(i > 5), use="rate") for i in (4, 5, 6, 7)]
    order.observe(rated)
    assert order.metrics()["nir"] == 1.0  # 5, 6, 7 are just the other way round
    assert picks(order, 3, 2) == [7, 6, 5]


def test_adcl_counts_inversions_as_looking_at_every_pair_would() -> None:
    draw = random.Random(0)
    for _ in range(200):
        pairs = [(draw.randrange(4), draw.randrange(4)) for _ in range(draw.randrange(12))]
        every = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
        assert inversions(pairs) == every


def test_adcl_draws_equally_hard_problems_by_seed_and_needs_pass_rates() -> None:
    firsts = {picks(ADCL().build(pool([0.5] * 12), horizon(seed=seed)), 1)[0] for seed in range(40)}
    assert len(firsts) > 6
    with pytest.raises(UserError, match="problem 0 has no pass_rate"):
        ADCL().build([Problem("0", "q", "1", difficulty=1.0)], horizon())


# -- mopps ----------------------------------------------------------------------------------------


def test_mopps_posterior_by_hand() -> None:
    sampler = MoPPS().build(TWELVE, horizon())  # prior 1, 1; decay 0.5
    sampler.observe([went(3, 1.0, 1.0, 1.0, 0.0)])  # .5 + .5 + 3, .5 + .5 + 1
    assert sampler.posterior == {3: (4.0, 2.0)}
    sampler.observe([went(3, 0.0, 0.0, None, 0.0), went(4, 1.0, 1.0)])  # 2 + .5 + 0, 1 + .5 + 3
    assert sampler.posterior == {3: (2.5, 4.5), 4: (3.0, 1.0)}
    sampler.observe([went(3, 1.0, None), went(5, None, None)])
    assert sampler.posterior == {3: (2.5, 4.5), 4: (3.0, 1.0)}
    assert sampler.metrics()["coverage"] == pytest.approx(2 / 12)
    forgets_nothing = MoPPS(decay=1.0, prior=2.0).build(TWELVE, horizon())
    for _ in range(2):
        forgets_nothing.observe([went(3, 1.0, 1.0, 1.0, 0.0)])
    assert forgets_nothing.posterior == {3: (8.0, 4.0)}


def test_mopps_picks_what_it_knows_to_be_solved_half_of_the_time() -> None:
    """After 1000 answers a posterior's deviation is at most sqrt(.25 / 1000) = .016, and the nearest other is .25 away."""
    for seed in range(20):
        sampler = MoPPS(decay=1.0).build(TWELVE, horizon(seed=seed))
        for index, right in enumerate([0, 500, 1000, 250, 750, 500, 0, 1000, 500, 250, 750, 0]):
            sampler.observe([went(index, *(float(i < right) for i in range(1000)))])
        assert sorted(picks(sampler, 3)) == [1, 5, 8]
        assert sampler.metrics()["picked"] == pytest.approx(0.5)
        # (501 x 501 / 1003)^.5 / 1002
        assert sampler.metrics()["posterior_width"] == pytest.approx(0.01579, abs=1e-5)
        assert sorted(picks(sampler, 4)) == [3, 4, 9, 10]  # the refill: those at .25 and .75
        easy = MoPPS(target=0.75, decay=1.0).build(TWELVE, horizon(seed=seed))
        easy.restore(sampler.state())
        assert sorted(picks(easy, 2)) == [4, 10]


def test_mopps_looks_only_at_the_next_candidates() -> None:
    big = pool([0.5] * 100)
    sampler = MoPPS(candidates=2).build(big, horizon(seed=4))
    shuffled = [ask.index for ask in Shuffle().build(big, horizon(seed=4)).pick(100, 0)]
    for step in range(10):
        assert {*picks(sampler, 5, step)} <= {*shuffled[10 * step : 10 * step + 10]}


# -- greso ----------------------------------------------------------------------------------------


def test_greso_chances_by_hand() -> None:
    order = GRESO().build(TWELVE, horizon())
    right, wrong, mixed = (1.0, 1.0), (0.0, None, 0.0), (1.0, 0.0)
    for streak, chance in ((1, 0.5), (2, 0.25), (3, 0.125)):
        order.observe([went(0, *right), went(1, *wrong)])
        assert order.streak_P[:2] == [streak, -streak]
        assert order.chance(0) == order.chance(1) == chance
    order.observe([went(0, *wrong), went(1, *mixed), went(2, 1.0, None)])
    assert [order.chance(i) for i in range(3)] == [0.5, 1.0, 1.0]
    for _ in range(9):
        order.observe([went(0, *wrong)])
    assert order.chance(0) == 0.01  # .5^10 is less


def test_greso_aims_at_a_share_of_groups_without_signal_from_the_second_epoch_on() -> None:
    order = GRESO().build(TWELVE, horizon())
    groups = [went(i, 1.0, 1.0) for i in range(2)] + [went(i, 1.0, 0.0) for i in range(2, 12)]
    picks(order, 12, 0)
    order.observe(groups)
    assert order.metrics()["p_right"] == 0.5  # the first epoch
    picks(order, 6, 1)
    order.observe(groups)
    # 2 of 12 all right: over 1/12, so they are skipped more; none all wrong: under 1/6
    assert (order.p_right, order.p_wrong) == (0.49, 0.51)
    order.observe([*groups, *(went(i, None, 1.0) for i in range(12)), went(11, 0.0, 0.0)])
    # 2 of 13 that can be scored, 1 of 13: over 1/12, under 1/6
    assert (order.p_right, order.p_wrong) == pytest.approx((0.48, 0.52))
    order.observe([went(0, None, None)])
    assert (order.p_right, order.p_wrong) == pytest.approx((0.48, 0.52))
    for _ in range(100):
        order.observe(groups)
    assert (order.p_right, order.p_wrong) == (0.05, 0.95)


def test_greso_is_shuffle_until_something_taught_nothing() -> None:
    order, plain = (config.build(TWELVE, horizon(seed=3)) for config in (GRESO(), Shuffle()))
    for step in range(9):
        found = picks(order, 4, step)
        assert found == picks(plain, 4, step)
        order.observe([went(i, 1.0, 0.0) for i in found])


def test_greso_gives_in_when_it_would_skip_everything() -> None:
    order = GRESO(least=1e-9).build(TWELVE, horizon())
    for _ in range(60):
        order.observe([went(i, 0.0, 0.0) for i in range(12)])
    assert len(set(picks(order, 12))) == 12  # .5^60 each: twelve skips, then the next one
    assert order.metrics()["skipped"] == pytest.approx(12 / 13)


# -- sec ------------------------------------------------------------------------------------------


def test_sec_values_by_hand() -> None:
    bandit = SEC().build(TWELVE, horizon())  # even indices are of a, odd ones of b
    # a: 2 sqrt(1/4) = 1 and 2 sqrt(3/16) = .8660, mean .9330; b: nothing, but one that cannot be scored
    bandit.observe([went(0, 1.0, 0.0), went(2, 0.0, 0.0, 0.0, 1.0), went(1, 1.0, None)])
    assert bandit.metrics() == {"value/a": pytest.approx(0.46651, abs=1e-5), "value/b": 0.0}
    bandit.observe([went(1, 1.0, 1.0), went(3, 1.0, None, 0.0)])  # b: 0 and 1
    assert bandit.metrics() == {"value/a": pytest.approx(0.46651, abs=1e-5), "value/b": 0.25}
    bandit.observe([went(0, 1.0, 1.0)])
    assert bandit.metrics()["value/a"] == pytest.approx(0.23325, abs=1e-5)


def test_sec_deals_by_the_exponential_of_the_values() -> None:
    a_lot = 0
    for seed in range(400):
        bandit = SEC(rate=1.0).build(TWELVE, horizon(seed=seed))
        bandit.observe([went(0, 1.0, 0.0), went(1, 0.0, 0.0)])  # 1 and 0
        # e / (e + 1) = .7311: 4 x .7311 = 2.92
        count = sum(index % 2 == 0 for index in picks(bandit, 4))
        assert count in (2, 3)
        a_lot += count == 3
    # 400 x .92 = 370 with a standard deviation of sqrt(400 x .92 x .08) = 5.4
    assert abs(a_lot - 370) < 5 * 5.4
    cold = SEC(rate=1.0, temperature=0.05).build(TWELVE, horizon())
    cold.observe([went(0, 1.0, 0.0), went(1, 0.0, 0.0)])
    assert {index % 2 for index in picks(cold, 6)} == {0}  # all six of a: e^20 to one
    assert {index % 2 for index in picks(cold, 6)} == {1}  # a refill has only the others


def test_sec_refuses_what_has_no_categories() -> None:
    with pytest.raises(
        UserError, match="by source all 12 problems are in one, chain; name another"
    ):
        SEC().build(pool([0.5] * 12, ["chain"]), horizon())  # pyright: ignore
    with pytest.raises(UserError, match="in one, without a name"):
        SEC().build([Problem("0", "q", "1"), Problem("1", "q", "1")], horizon())
    with pytest.raises(UserError, match="problem 0 has no difficulty"):
        SEC(by="difficulty").build([Problem("0", "q", "1")], horizon())
    with pytest.raises(ValueError, match="levels: has no effect by source"):
        TypeAdapter(AnyCurriculum).validate_python({"kind": "sec", "levels": 3})
    levels = SEC(by="difficulty", levels=3).build(TWELVE, horizon())
    assert list(levels.metrics()) == ["value/level 1", "value/level 2", "value/level 3"]


# -- retire ---------------------------------------------------------------------------------------


def test_retire_counts_by_hand() -> None:
    seven, eight = (1.0,) * 7 + (0.0,), (1.0,) * 8
    order = Retire().build(TWELVE, horizon())
    order.observe([went(0, *seven), went(1, *eight), went(2, 1.0, None), went(3, *seven, 1.0, 1.0)])
    assert order.retired == {1, 3}  # 7/8 is not enough, 9/10 is, one answer says nothing
    order.observe([went(0, *eight)])  # 15/16
    assert order.retired == {0, 1, 3} and order.metrics()["retired"] == 0.25
    olmo = Retire(at=0.875, over="group").build(TWELVE, horizon())
    olmo.observe([went(0, *seven), went(1, 0.0, 0.0), went(2, *seven, 0.0)])
    assert olmo.retired == {0}
    olmo.observe([went(1, *seven)])  # the group before does not count
    assert olmo.retired == {0, 1}


def test_retire_asks_for_what_is_left_and_all_come_back_when_nothing_is() -> None:
    order = Retire().build(TWELVE, horizon(seed=3))
    assert sorted(picks(order, 12, 0)) == list(range(12))
    order.observe([went(i, 1.0, 1.0) for i in range(10)])
    for step in (1, 2, 3):
        assert sorted(picks(order, 2, step)) == [10, 11]
    found = picks(
        order, 5, 4
    )  # the two that are left come first, then three of those that came back
    assert sorted(found[:2]) == [10, 11] and len(set(found)) == 5
    assert order.metrics()["returns"] == 1.0 and order.metrics()["retired"] == 0.0
    order.observe([went(0, *(1.0,) * 8, 0.0)])  # the two right answers before are forgotten: 8/9
    assert order.retired == set()
