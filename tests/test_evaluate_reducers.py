"""Reducers against counts worked out by hand and against enumeration."""

from itertools import combinations

import pytest

from longstep.config import UserError
from longstep.evaluate.reducers import Sample, Samples, avg_at, collect, maj_at, pass_at
from longstep.types import Completion, Verdict


def problem(*outcomes: tuple[float | None, str | None], name: str = "p") -> Samples:
    return Samples(name, tuple(Sample(right, answer, "stop", 3) for right, answer in outcomes))


def marks(text: str) -> Samples:
    """One letter a sample: 1 right, 0 wrong, ? unscorable."""
    values = {"1": (1.0, "7"), "0": (0.0, "8"), "?": (None, None)}
    return problem(*(values[letter] for letter in text))


def test_avg_reads_the_first_k_scorable_samples():
    # first 4 of 110100: 1+1+0+1 = 3 of 4; with ? first the four scorable ones are 1,0,0,0
    assert avg_at([marks("110100"), marks("?10001")], 4).tolist() == [0.75, 0.25]


def test_avg_excludes_unscorable_samples_and_never_scores_them_zero():
    # 4 stored, 2 of them say nothing: 1 of 2, not 1 of 4
    assert avg_at([marks("1??0")], 4).tolist() == [0.5]


def test_asking_for_more_than_is_stored_is_refused():
    with pytest.raises(UserError, match="avg@64 asked, problem p has 8 stored samples"):
        avg_at([marks("11110000")], 64)
    with pytest.raises(UserError, match="maj@9 asked, problem p has 8 stored samples"):
        maj_at([marks("11110000")], 9)
    with pytest.raises(UserError, match="pass@9 asked, problem p has 8 scorable samples"):
        pass_at([marks("11110000")], 9)


def test_a_problem_without_any_scorable_sample_has_no_score():
    with pytest.raises(UserError, match="no scorable sample"):
        avg_at([marks("????")], 2)


def test_pass_at_is_unbiased():
    # by enumeration: share of the k-subsets of the stored samples that hold a right one
    text = "0110000"
    for k in range(1, 8):
        subsets = list(combinations(text, k))
        expected = sum("1" in subset for subset in subsets) / len(subsets)
        assert pass_at([marks(text)], k)[0] == pytest.approx(expected, abs=1e-12)
    # by hand, n = 7, c = 2, k = 2: 1 - C(5,2)/C(7,2) = 1 - 10/21
    assert pass_at([marks(text)], 2)[0] == pytest.approx(11 / 21)


def test_pass_at_needs_k_scorable_samples():
    with pytest.raises(UserError, match=r"3 scorable samples \(4 stored samples\)"):
        pass_at([marks("1?00")], 4)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([(1.0, "7"), (1.0, "7"), (0.0, "8")], 1.0),
        ([(1.0, "7"), (0.0, "8"), (0.0, "8")], 0.0),
        ([(1.0, "7"), (0.0, "8"), (0.0, "9")], 1 / 3),  # three tied candidates
        ([(1.0, "7"), (1.0, "7"), (0.0, "8"), (0.0, "8")], 1 / 2),
        ([(0.0, "8"), (0.0, "9")], 0.0),  # a tie without a right candidate
        ([(1.0, "1/2"), (1.0, "0.5"), (0.0, "3"), (0.0, "3"), (0.0, "4")], 1 / 2),  # 2 right, 2 "3"
        ([(0.0, None), (0.0, None), (1.0, "7")], 1.0),  # no answer, no vote
        ([(0.0, None), (0.0, None)], 0.0),
        ([(None, "8"), (None, "8"), (1.0, "7")], 1.0),  # a timeout does not vote
    ],
)
def test_majority_by_hand(outcomes, expected):
    assert maj_at([problem(*outcomes)], len(outcomes))[0] == pytest.approx(expected)


def completion(problem_id: str, index: int, status: str) -> Completion:
    verdict = Verdict(status, "7")
    return Completion(problem_id, index, (1,), (2, 3), "t", "stop", None, verdict)


def test_collect_sorts_by_sample_index_whatever_the_order_of_rows():
    rows = [
        completion("b", 1, "correct"),
        completion("a", 0, "timeout"),
        completion("b", 0, "incorrect"),
    ]
    found = collect(rows, ["a", "b", "c"])
    assert [row.problem_id for row in found] == ["a", "b", "c"]
    assert [s.correctness for s in found[1].samples] == [0.0, 1.0]
    assert found[0].samples[0].correctness is None
    assert found[2].samples == ()


def test_collect_refuses_repeated_and_foreign_rows():
    with pytest.raises(UserError, match="a #0: stored twice"):
        collect([completion("a", 0, "correct"), completion("a", 0, "correct")], ["a"])
    with pytest.raises(UserError, match="no problem of the benchmark has this id"):
        collect([completion("z", 0, "correct")], ["a"])
