"""Imported ratings, the key audit, conflicting golds and the queue."""

from __future__ import annotations

import pytest

from longstep.curate.audit import (
    KeyAudit,
    audit_keys,
    classes,
    conflict_suspects,
    conflicting_golds,
    majorities,
    twins_of,
    votes_of,
)
from longstep.curate.difficulty import PassRate, Ratings, Unit, rated
from longstep.curate.queue import doubt_of, queue, queue_table
from longstep.types import Completion, Problem, Status, Verdict


def problem(id: str, answer: str = "1", prompt: str = "q", rate: float | None = None) -> Problem:
    return Problem(id, prompt, answer, pass_rate=rate)


def sample(
    id: str, index: int, status: Status, answer: str | None = None, why: str = ""
) -> Completion:
    return Completion(id, index, (), (), "", "stop", None, Verdict(status, answer, why))


def equal(a: str, b: str) -> bool:
    """Equality of whole numbers, however they are spelt."""
    return int(a) == int(b)


@pytest.mark.parametrize(
    ("unit", "value", "correct"),
    [
        ("failed_percent", 44.53125, 71),  # 57 of 128 failed
        ("failed_percent", 100, 0),
        ("failed_percent", 0.78, 127),  # 0.78125 rounded to two places
        ("solved_percent", 25, 32),
        ("failed_share", 0.25, 96),
        ("solved_share", 0.5, 64),
        ("failed_count", 3, 125),
        ("solved_count", 3, 3),
    ],
)
def test_ratings_of_others_become_counts(unit: Unit, value: float, correct: int):
    assert Ratings(unit=unit, samples=128).read(value) == PassRate(correct, 128)


@pytest.mark.parametrize("value", [44.0, 101, -1, True, "12", None, float("nan"), float("inf")])
def test_a_number_that_128_samples_cannot_give_is_refused(value: object):
    with pytest.raises(ValueError, match=r"expected a number|is no failed_percent of 128 samples"):
        Ratings(unit="failed_percent", samples=128).read(value)


def test_rate_row_carries_counts_and_the_wilson_interval():
    # z = 1.96, 0 of 4: z^2 = 3.8416; the interval is [0, z^2 / (4 + z^2)] = [0, 0.4899].
    row = rated("p", PassRate(0, 4, 1))
    assert row.high == pytest.approx(3.8416 / 7.8416)
    assert (row.low, row.pass_rate, row.scored, row.excluded) == (0.0, 0.0, 4, 1)


def test_equal_answers_vote_together_however_they_are_spelt():
    spelled = ["07", "7", "8", "7", "007", "8"]
    assert classes(spelled, equal) == (("7", 4), ("8", 2))
    assert classes(reversed(spelled), equal) == (("7", 4), ("8", 2))
    assert classes([], equal) == ()


def test_audit_counts_classes_against_all_scored_samples():
    rows = [
        *(
            sample("a", i, "incorrect", "07" if i else "7") for i in range(3)
        ),  # 3 of 6, two spellings
        *(sample("a", 3 + i, "truncated") for i in range(3)),
        sample("a", 9, "timeout", "9"),  # says nothing
        *(sample("b", i, "incorrect", "7") for i in range(3)),
        sample("b", 3, "correct", "1"),  # solved once
        *(sample("c", i, "incorrect", str(i)) for i in range(3)),  # no agreement
        sample("d", 0, "incorrect", "7"),  # one sample agrees with itself
    ]
    problems = [problem(each) for each in "abcde"]
    (found,) = audit_keys(problems, votes_of(rows, equal), KeyAudit(), equal)
    assert (found.problem.id, found.share, found.answers) == ("a", 0.5, (("07", 3),))
    assert found.reason == "suspect key: gold '1', 3 of 6 say '07'"
    assert found.interval == PassRate(3, 6).interval()
    # a and b agree on another answer (b was solved once, so its key is right), c and d on none.
    votes = votes_of(rows, equal)
    assert majorities(votes.values(), KeyAudit()) == {"gold": 0, "other": 2, "none": 2}
    solved = votes_of([sample("x", i, "correct", "1") for i in range(2)], equal)
    assert majorities(solved.values(), KeyAudit()) == {"gold": 1, "other": 0, "none": 0}
    assert audit_keys(problems, votes_of(rows, equal), KeyAudit(share=0.6), equal) == []
    assert audit_keys(problems, votes_of(rows, equal), KeyAudit(samples=7), equal) == []


def test_votes_need_verdicts():
    with pytest.raises(ValueError, match="completion 0 of a has no verdict"):
        votes_of([Completion("a", 0, (), (), "", "stop")], equal)


def test_the_gold_of_a_twin_that_the_samples_agree_with_is_named():
    group = [problem("a", "1"), problem("b", "7"), problem("c", "5")]
    rows = [sample("a", i, "incorrect", "07") for i in range(3)]
    (found,) = audit_keys(group, votes_of(rows, equal), KeyAudit(), equal, twins_of([group]))
    assert found.reason.endswith("3 of 3 say '07', as the gold of b with the same question does")


def test_conflicting_golds_are_unequal_answers_to_one_question():
    rows = [
        problem("a", "1", "x", rate=0.0),
        problem("b", "01", "y"),
        problem("c", "2", "X", rate=0.75),
        problem("d", "1", "Y"),
    ]
    groups = list(conflicting_golds(rows, str.lower, equal))
    assert [[each.id for each in group] for group in groups] == [["a", "c"]]
    first, second = conflict_suspects(groups)
    assert first.reason == (
        "conflicting golds: '1' here, '2' in c; never solved here, 0.75 solved there"
    )
    assert second.reason == "conflicting golds: '2' here, '1' in a"


def test_the_queue_collects_every_reason_and_what_was_answered():
    problems = [problem("a"), problem("b"), problem("c"), problem("d")]
    rows = [
        *(sample("a", i, "incorrect", "7") for i in range(2)),
        sample("b", 0, "bad_gold", "3", "the gold is not a number"),
        sample("b", 1, "bad_gold", "3", "the gold is not a number"),
        sample("c", 0, "incorrect", "4"),
        sample("c", 1, "correct", "1"),
        sample("d", 0, "correct", "1"),
    ]
    second = {
        ("c", 0): Verdict("correct", "4"),
        ("c", 1): Verdict("timeout", None),  # says nothing
        ("d", 0): Verdict("correct", "1"),
    }
    suspects = audit_keys(problems, votes_of(rows, equal), KeyAudit(), equal)
    said = lambda row: second.get((row.problem_id, row.sample_index), row.verdict)  # noqa: E731
    found = queue(problems, suspects, rows, said)
    assert [(each.problem_id, each.why) for each in found] == [
        ("a", ("suspect key: gold '1', 2 of 2 say '7'",)),
        ("b", ("bad_gold: the gold is not a number (2 samples)",)),
        ("c", ("verifiers differ: '4' is incorrect, the second says correct (1 samples)",)),
    ]
    assert found[0].answers == ({"answer": "7", "count": 2},)
    assert found[1].answers == ({"answer": "3", "count": 2},)


def test_the_queue_table_shortens_and_survives_anything():
    rows = [
        {
            "problem_id": "a",
            "prompt": "x" * 500,
            "gold": 1,
            "answers": [{"answer": "7", "count": 2}],
            "why": ["w"],
        },
        {"answers": "no list", "why": 3, "prompt": None},
        {"problem_id": "c"},
    ]
    table = queue_table(rows, first=2)
    assert len(table) == 3
    assert table[1][0] == "a" and len(table[1][1]) == 200 and table[1][3:] == ["2 x 7", "w"]
    assert table[2] == ["", "", "", "", "3"]


def test_rows_that_were_dropped_because_of_their_key_can_be_queued():
    for why in ("conflicting golds: 1, 2", "gold does not verify: bad_gold, no number"):
        doubt = doubt_of(problem("a"), why)
        assert doubt is not None and (doubt.problem_id, doubt.why) == ("a", (why,))
    assert doubt_of(problem("b"), "exact duplicate: of a") is None
