"""Uncertainty: closed forms, brute force, and the coverage that a 95 % interval promises."""

import numpy as np
import pytest

from longstep.evaluate import statistics as st


def test_sampling_error_is_the_table_of_methods():
    # N = 30, p(1-p) = 0.15: points for k = 1, 8, 16, 32, 64
    table = {1: 7.1, 8: 2.5, 16: 1.8, 32: 1.25, 64: 0.9}
    for k, points in table.items():
        assert 100 * st.sampling_error(0.15, 30, k) == pytest.approx(points, abs=0.04)


def test_samples_needed_inverts_the_sampling_error():
    # 1.96^2 * 0.15 / (30 * 0.01^2) = 192.07 -> 193
    assert st.samples_needed(0.01, 30) == 193
    for k in (1, 7, 64, 500):
        assert st.samples_needed(st.Z95 * st.sampling_error(0.15, 30, k), 30) == k
    assert "you need k = 193: 30 problems x 64 samples give +-1.7" in st.sample_size_sentence(
        30, 64
    )


def test_standard_errors_by_hand():
    # two problems, 3 of 4 and 1 of 4: p = 0.75, 0.25, mean 0.5
    # total^2 = var(ddof 1) / 2 = 0.125 / 2 = 0.0625
    # within^2 = (2 * 0.1875 / 3) / 4 = 0.03125; between^2 = 0.03125
    errors = st.standard_errors(np.array([3, 1]), np.array([4, 4]))
    assert errors.total == pytest.approx(0.25)
    assert errors.within == pytest.approx(0.03125**0.5)
    assert errors.between == pytest.approx(0.03125**0.5)


def test_standard_errors_say_nothing_they_cannot_know():
    one_sample = st.standard_errors(np.array([1, 0, 1]), np.array([1, 1, 1]))
    assert one_sample.within is None and one_sample.between is None
    assert one_sample.total == pytest.approx((1 / 3 / 3) ** 0.5)  # var(1,0,1) = 1/3
    assert st.standard_errors(np.array([2]), np.array([4])).total is None


def test_standard_errors_match_repeated_experiments():
    # Draw problems and samples afresh 4,000 times: the spread of the mean is the total error; the
    # spread with the problems held fixed is the within error.
    rng = np.random.default_rng(5)
    n, k = 40, 8
    p_RP = rng.beta(0.8, 1.2, size=(4000, n))
    c_RP = rng.binomial(k, p_RP)
    truth = (c_RP / k).mean(1).std()
    fixed = (rng.binomial(k, np.broadcast_to(p_RP[0], (4000, n))) / k).mean(1).std()
    k_P = np.full(n, k)
    found = [st.standard_errors(c_P, k_P) for c_P in c_RP[:400]]
    assert np.mean([e.total for e in found]) == pytest.approx(truth, rel=0.04)
    again = [st.standard_errors(c, k_P) for c in rng.binomial(k, p_RP[0], size=(400, n))]
    assert np.mean([e.within for e in again]) == pytest.approx(fixed, rel=0.04)


def brute_force(correct_P, samples_P, rng, resamples):
    """Two-level bootstrap written out: draw problems, then draw stored 0/1 answers of each."""
    means = []
    for _ in range(resamples):
        total = 0.0
        for p in rng.integers(0, len(correct_P), len(correct_P)):
            answers = np.zeros(samples_P[p])
            answers[: correct_P[p]] = 1
            total += answers[rng.integers(0, samples_P[p], samples_P[p])].mean()
        means.append(total / len(correct_P))
    return np.array(means)


def test_bootstrap_is_the_brute_force_one():
    correct_P, samples_P = np.array([0, 1, 3, 3, 4, 2, 5]), np.array([4, 4, 4, 4, 4, 3, 5])
    slow = brute_force(correct_P, samples_P, np.random.default_rng(1), 4000)
    fast = st.bootstrap_means(((correct_P, samples_P),), seed=2, resamples=40_000)[0]
    # Monte Carlo error of the slow mean: 0.15 / sqrt(4000) = 0.0024
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.01)
    assert fast.std() == pytest.approx(slow.std(), rel=0.05)
    # Whole distributions: largest gap of the cumulative ones, 5 % point 1.36 / sqrt(4000) = 0.022
    grid = np.linspace(0, 1, 201) + 1e-9
    gap = [(fast <= x).mean() - (slow <= x).mean() for x in grid]
    assert np.abs(gap).max() < 0.022


def test_bootstrap_spread_is_the_closed_form():
    # var = var(p, ddof 0) / N + sum p(1-p) / k / N^2: one term for each level of resampling
    rng = np.random.default_rng(3)
    correct_P, samples_P = rng.integers(0, 17, size=100), np.full(100, 16)
    p_P = correct_P / 16
    expected = p_P.var() / 100 + (p_P * (1 - p_P)).sum() / 16 / 100**2
    means = st.bootstrap_means(((correct_P, samples_P),), seed=4)[0]
    assert means.var() == pytest.approx(expected, rel=0.06)
    assert means.mean() == pytest.approx(p_P.mean(), abs=0.002)


def test_bootstrap_is_seeded():
    counts = (np.array([1, 2, 3]), np.array([4, 4, 4]))
    first, again = (st.bootstrap_means((counts,), 7, 500)[0] for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, st.bootstrap_means((counts,), 8, 500)[0])


def test_avg_interval_covers_the_truth():
    # Solve rates from Beta(2, 2), truth 0.5: a 95 % interval must cover it in about 95 %.
    rng = np.random.default_rng(11)
    hits = 0
    for trial in range(300):
        correct_P = rng.binomial(8, rng.beta(2, 2, size=60))
        low, high = st.avg_interval(correct_P, np.full(60, 8), seed=trial, resamples=600)
        hits += low <= 0.5 <= high
    assert 0.92 <= hits / 300 <= 0.995


def test_no_interval_claims_certainty():
    # 30 of 30: Wilson n / (n + 1.96^2) = 30 / 33.8415
    low, high = st.avg_interval(np.full(30, 4), np.full(30, 4), seed=0)
    assert (low, high) == pytest.approx((30 / 33.8415, 1.0), abs=1e-4)
    low, high = st.avg_interval(np.array([2]), np.array([4]), seed=0)
    assert low < 0.1 and high > 0.9
    assert st.value_interval(np.zeros(10), seed=0)[1] == pytest.approx(3.8415 / 13.8415, abs=1e-4)


def test_value_interval_is_the_normal_one_for_many_problems():
    value_P = np.random.default_rng(0).random(400)
    low, high = st.value_interval(value_P, seed=1)
    half = st.Z95 * value_P.std() / 20
    assert (low, high) == pytest.approx((value_P.mean() - half, value_P.mean() + half), abs=0.003)


def test_two_equal_models_are_told_apart_in_one_case_of_twenty():
    # 600 trials at 5 %: 30 +- 5.3; an interval sqrt(2) too wide would give 0.6 %, i.e. 3 or 4
    rng = np.random.default_rng(21)
    k_P, wrong = np.full(50, 8), 0
    for trial in range(600):
        p_P = rng.beta(0.7, 0.7, size=50)
        a, b = rng.binomial(8, p_P), rng.binomial(8, p_P)
        wrong += st.compare((a, k_P), (b, k_P), ("a", "b"), trial, 400).distinguishable
    assert 0.02 < wrong / 600 < 0.08


def test_the_width_of_an_interval_is_its_standard_error():
    rng = np.random.default_rng(8)
    k_P = np.full(200, 4)
    correct_P = rng.binomial(4, rng.beta(2, 2, size=200))
    error = st.standard_errors(correct_P, k_P).total
    low, high = st.avg_interval(correct_P, k_P, 0)
    assert high - low == pytest.approx(2 * st.Z95 * error, rel=0.04)
    # every problem 2 of 4: the total error is measured as 0, sampling noise alone remains
    low, high = st.avg_interval(np.full(200, 2), k_P, 0)
    assert high - low == pytest.approx(2 * st.Z95 * (0.25 / 3 / 200) ** 0.5, rel=0.04)


def test_pairing_finds_what_two_intervals_hide():
    # b is ten points better on every problem, but problems differ far more than that.
    rng = np.random.default_rng(2)
    p_P = rng.choice([0.05, 0.45, 0.85], size=60)
    k_P = np.full(60, 64)
    a, b = rng.binomial(64, p_P), rng.binomial(64, p_P + 0.1)
    alone = [st.avg_interval(c, k_P, 0, 2000) for c in (a, b)]
    assert alone[0][1] > alone[1][0]  # the separate intervals overlap
    found = st.compare((a, k_P), (b, k_P), ("sft1", "sft2"), 0, 2000)
    assert found.distinguishable
    assert found.delta == pytest.approx(0.1, abs=0.03)
    assert found.sentence.endswith("60 problems: sft2 is better")
    back = st.compare((b, k_P), (a, k_P), ("sft2", "sft1"), 0, 2000)
    assert back.delta == -found.delta and back.sentence.endswith("sft1 is worse")


def test_the_sentence_says_not_distinguishable():
    same = (np.arange(9), np.full(9, 8))
    found = st.compare(same, same, ("a", "b"), 0, 500)
    assert not found.distinguishable
    assert found.ci95[0] < 0 < found.ci95[1]
    assert found.sentence.startswith("b - a = +0.0 points, 95 % interval [-")
    assert found.sentence.endswith("9 problems: not distinguishable")


def test_five_problems_never_prove_anything():
    none, every, k_P = np.zeros(5, int), np.full(5, 8), np.full(5, 8)
    assert not st.compare((none, k_P), (every, k_P), ("a", "b"), 0, 500).distinguishable
    six = [np.append(x, x[0]) for x in (none, every, k_P)]
    assert st.compare((six[0], six[2]), (six[1], six[2]), ("a", "b"), 0, 500).distinguishable
