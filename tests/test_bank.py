"""Curricula that remember: VCRL's memory of what varied, and rates predicted from what looks alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from longstep.config import TypeAdapter, ValidationError
from longstep.curriculum import AnyCurriculum, Ask, Bank, Horizon, Outcome, Predicted
from longstep.curriculum.predicted import PLACES, pieces
from longstep.types import Problem


def horizon(groups: int = 4) -> Horizon:
    return Horizon(steps=10, groups=groups, seed=0)


def pool(prompts: Sequence[str]) -> list[Problem]:
    return [Problem(f"p{i}", prompt, "1") for i, prompt in enumerate(prompts)]


def went(index: int, right: int, of: int = 8, step: int = 0, unknown: int = 0) -> Outcome:
    known = (1.0,) * right + (0.0,) * (of - right)
    return Outcome(index, "train", known + (None,) * unknown, (1,) * (of + unknown), 0, step)


def picks(curriculum: Any, n: int, step: int) -> list[int]:
    asks: list[Ask] = curriculum.pick(n, step)
    assert all(ask.use == "train" for ask in asks)
    return [ask.index for ask in asks]


# -- bank -----------------------------------------------------------------------------------------


def test_a_refill_takes_what_varied_most_and_then_what_waits_longest() -> None:
    bank = Bank(share=0.0).build(pool("abcdefghij"), horizon())
    picks(bank, 2, 0)
    bank.observe([went(3, 1), went(5, 4), went(7, 5), went(8, 0)])  # .44, 1, .94, 0
    picks(bank, 2, 1)
    bank.observe([went(9, 4, step=1)])
    assert set(bank.kept) == {3, 5, 7, 9}
    first = picks(bank, 2, 2)
    refill = picks(bank, 6, 2)
    memory = [index for index in (5, 9, 7, 3) if index not in first]
    assert refill[: len(memory)] == memory
    assert len(set(first + refill)) == 8  # and the rest from the pool, none twice


def test_what_no_longer_varies_is_forgotten_and_what_cannot_be_scored_says_nothing() -> None:
    bank = Bank(least=0.5).build(pool("abcdef"), horizon())
    bank.observe([went(0, 2), went(1, 3), went(2, 1)])  # .75, .94, .44
    assert bank.kept == {0: (0.75, 0), 1: (15 / 16, 0)}
    bank.observe([went(0, 8, step=1), went(1, 1, of=1, step=1, unknown=7)])
    assert bank.kept == {1: (15 / 16, 0)}
    bank.observe([went(1, 2, of=4, step=2, unknown=4)])
    assert bank.kept == {1: (1.0, 2)} and bank.metrics()["kept"] == 1.0


def test_the_memory_has_a_size_and_forgets_the_oldest_of_the_least() -> None:
    bank = Bank(size=2).build(pool("abcdef"), horizon())
    bank.observe([went(0, 4), went(1, 3), went(2, 3)])
    bank.observe([went(3, 3, step=1)])
    assert set(bank.kept) == {0, 3}


def test_a_share_of_the_first_problems_is_from_the_memory() -> None:
    bank = Bank(share=0.5).build(pool("abcdefghij"), horizon())
    plain = Bank(share=0.0).build(pool("abcdefghij"), horizon())
    assert picks(bank, 4, 0) == picks(plain, 4, 0)  # there is nothing in it
    for each in (bank, plain):
        each.observe([went(6, 4), went(2, 3), went(4, 2)])
    assert picks(bank, 4, 1)[:2] == [6, 2]
    assert bank.metrics()["from_memory"] == 2 / 8 and plain.metrics()["from_memory"] == 0.0


def test_a_share_of_less_than_a_problem_counts_in_later_steps() -> None:
    """0.25 of 3 problems is 0.75 a step: after 4 steps 3 have come from the memory, after 8 steps 6."""
    bank = Bank(share=0.25).build(pool("abcdefghij"), horizon())
    bank.observe([went(index, 4) for index in range(10)])
    found = []
    for step in range(8):
        bank.pick(3, step)
        found.append(bank.again)
        kept = Bank(share=0.25).build(pool("abcdefghij"), horizon())
        kept.restore(bank.state())
        bank = kept
    assert found == [0, 1, 2, 3, 3, 4, 5, 6]


def test_more_than_there_are_come_again() -> None:
    bank = Bank().build(pool("abc"), horizon())
    bank.observe([went(0, 4), went(1, 4)])
    assert sorted(picks(bank, 3, 0) + picks(bank, 3, 0) + picks(bank, 3, 0)) == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
        2,
    ]


# -- predicted ------------------------------------------------------------------------------------


def test_pieces_are_counted() -> None:
    assert pieces("ab").sum() == pieces("").sum() == 0 and len(pieces("")) == PLACES
    assert pieces("aaaaa").max() == pieces("aaaaa").sum() == 3
    assert (pieces("abcabc") == pieces("abc") * 2 + pieces("bca") + pieces("cab")).all()


#: Two kinds that share no piece: short sums and long differences.
KINDS = [f"1{i % 10}+2=?" for i in range(20)] + [
    f"the difference of 9{i % 10} and 4" for i in range(20)
]


def test_a_problem_is_as_hard_as_those_that_look_like_it() -> None:
    order = Predicted(neighbours=2).build(pool(KINDS), horizon())
    assert order.rates([0, 20]) == [0.5, 0.5]  # nothing is known
    order.observe([went(0, 8), went(1, 6), went(20, 0), went(21, 2)])
    assert order.rates([5, 30]) == [7 / 8, 1 / 8]
    assert order.metrics()["error"] == order.metrics()["error_of_mean"] == pytest.approx(3 / 8)
    order.observe([went(5, 8), went(30, 0)])
    assert (order.error, order.error_of_mean) == (1 / 8, 1 / 2)  # and the spelling does tell


def test_the_next_candidates_nearest_to_the_target_are_asked() -> None:
    order = Predicted(neighbours=2, target=0.0, candidates=40).build(pool(KINDS), horizon())
    order.observe([went(0, 8), went(1, 8), went(20, 0), went(21, 0)])
    assert all(index >= 20 for index in picks(order, 10, 0) + picks(order, 10, 0))
    assert order.metrics()["picked"] == 0.0
    assert len(set(picks(order, 20, 1))) == 20  # none twice


def test_only_the_last_groups_are_references() -> None:
    order = Predicted(references=3, neighbours=2).build(pool(KINDS), horizon())
    unscorable = Outcome(3, "train", (1.0,), (1,), 0, 0)
    order.observe([went(9, 8), went(0, 8), went(20, 0), went(21, 4), unscorable])
    assert [*order.drawn] == [(0, 1.0), (20, 0.0), (21, 0.5)] and order.rates([30]) == [0.25]
    again = Predicted(references=3, neighbours=2).build(pool(KINDS), horizon())
    again.restore(json.loads(json.dumps(order.state())))
    assert again.rates([30]) == [0.25] and again.metrics() == order.metrics()


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("predicted", {"references": 8, "neighbours": 8}),  # one prediction for all
        ("predicted", {"candidates": 1}),  # all that is looked at is taken
        ("mopps", {"candidates": 1}),
        ("greso", {"least": 1.0}),  # nothing is ever skipped
    ],
)
def test_settings_that_make_a_shuffled_order_of_it_are_refused(
    kind: str, given: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyCurriculum).validate_python({"kind": kind, **given})
    TypeAdapter(AnyCurriculum).validate_python({"kind": kind})
