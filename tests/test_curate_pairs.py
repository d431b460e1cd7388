"""Preference pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from longstep.curate import PairConfig, SkippedTags, choose_pairs, pair_of
from longstep.curate.pairings import Pairing, ShortestRight
from longstep.stages.prefer import Prefer
from longstep.types import Completion, Pair, Problem, Status, Verdict

PROBLEMS = [Problem(id=each, prompt=f"prompt {each}", answer="1") for each in "ab"]
TAGS = frozenset({90, 91})


def row(problem_id: str, index: int, status: Status, ids: tuple[int, ...]) -> Completion:
    text = "<think>t</think>" + str(index)
    return Completion(problem_id, index, (1, 2), ids, text, "stop", None, Verdict(status, None))


CHOSEN = [row("a", i, "correct", (i,) * (10 * i + 1)) for i in range(3)]
REJECTED = [
    row("a", 0, "incorrect", (90, 5, 91)),
    row("a", 1, "incorrect", (90, *(5,) * 17, 91)),
    row("a", 2, "truncated", (7,) * 11),
    row("a", 3, "correct", (8,)),
    row("a", 4, "timeout", (9,)),
    row("b", 0, "incorrect", (5,)),  # b has no correct one
]


def build_pairs(
    problems: Sequence[Problem],
    chosen: Sequence[Completion],
    rejected: Sequence[Completion],
    config: Pairing,
    seed: int,
    tag_ids: frozenset[int] = frozenset(),
) -> Iterator[Pair]:
    sides = enumerate(chosen), enumerate(rejected)
    for problem, good, bad in choose_pairs(problems, *sides, config, seed):
        yield pair_of(problem, chosen[good], rejected[bad])


def test_pairs_are_right_against_wrong_and_nothing_twice() -> None:
    pairs = list(build_pairs(PROBLEMS, CHOSEN, REJECTED, PairConfig(per_problem=5), seed=1))
    assert [pair.problem_id for pair in pairs] == ["a", "a"]  # two finished wrong ones
    assert {pair.rejected_ids for pair in pairs} == {REJECTED[0].token_ids, REJECTED[1].token_ids}
    assert len({pair.chosen_ids for pair in pairs}) == 2
    assert pairs[0].prompt == "prompt a" and pairs[0].prompt_ids == (1, 2)
    more = PairConfig(per_problem=5, rejected="any")
    assert len(list(build_pairs(PROBLEMS, CHOSEN, REJECTED, more, seed=1))) == 3


def test_the_seed_decides_and_other_problems_do_not() -> None:
    config = PairConfig()

    def draw(problems: list[Problem], seed: int) -> list[tuple[int, ...]]:
        return [p.chosen_ids for p in build_pairs(problems, CHOSEN, REJECTED, config, seed)]

    assert draw(PROBLEMS, 3) == draw(PROBLEMS[:1], 3) == draw(PROBLEMS[::-1], 3)
    assert len({tuple(draw(PROBLEMS, seed)) for seed in range(20)}) == 3


def test_length_match_takes_the_nearest() -> None:
    config = PairConfig(per_problem=1, length_ratio=3.0, rejected="any")
    nearest = {1: 3, 11: 11, 21: 19}  # chosen length -> nearest of 3, 19, 11
    seen = set()
    for seed in range(20):
        (pair,) = build_pairs(PROBLEMS[:1], CHOSEN, REJECTED, config, seed)
        assert len(pair.rejected_ids) == nearest[len(pair.chosen_ids)]
        seen.add(len(pair.chosen_ids))
    assert seen == {1, 11, 21}
    # per problem all of them, ratio 1.2: 1 has nothing near; 11-11 and 21-19 fit (21/19 = 1.105)
    strict = PairConfig(per_problem=5, length_ratio=1.2, rejected="any")
    pairs = list(build_pairs(PROBLEMS[:1], CHOSEN, REJECTED, strict, seed=0))
    assert {(len(p.chosen_ids), len(p.rejected_ids)) for p in pairs} == {(11, 11), (21, 19)}


def test_the_shortest_right_one_over_the_longest() -> None:
    rows = [row("a", i, "correct", (i,) * size) for i, size in enumerate((5, 9, 2, 7))]
    wrong = [row("a", 9, "incorrect", (8,) * 4), row("a", 8, "incorrect", (8,) * 3)]

    def lengths(**settings: object) -> list[tuple[int, int]]:
        config = ShortestRight.model_validate({"per_problem": 9, **settings})
        pairs = build_pairs(PROBLEMS, rows, [*rows, *wrong], config, seed=0)
        return [(len(pair.chosen_ids), len(pair.rejected_ids)) for pair in pairs]

    # Right ones by length 2, 5, 7, 9: 2 against 9, 5 against 7, and then 7 would stand against 5.
    assert lengths() == [(2, 9), (5, 7)]
    assert lengths(per_problem=1) == [(2, 9)]
    assert lengths(ratio=1.5) == [(2, 9)]  # 7 / 5 = 1.4
    assert lengths(over="wrong") == [(2, 4)]  # then 5 against 3
    alone = [row("b", 0, "correct", (1, 2))]  # equal lengths, or one answer alone: no pair
    assert not list(build_pairs(PROBLEMS, alone, alone, ShortestRight(), seed=0))
    assert ShortestRight().seeks == "a correct completion and a longer right one"


def test_settings_without_a_kind_are_of_right_over_wrong() -> None:
    sides = {
        "model": "m",
        "chosen": "@a",
        "rejected": "@b",
        "max_length": 9,
        "batch": 1,
        "steps": 1,
    }
    stage = Prefer.model_validate({**sides, "pairs": {"rejected": "any"}})
    assert (
        stage.pairs == PairConfig(rejected="any")
        and Prefer.model_validate(sides).pairs == PairConfig()
    )
    short = Prefer.model_validate({**sides, "pairs": {"kind": "shortest", "ratio": 2}})
    assert short.pairs == ShortestRight(ratio=2)


def test_light_r1_accident_strips_the_rejected_side_only() -> None:
    config = PairConfig(per_problem=2)
    pairs = list(build_pairs(PROBLEMS, CHOSEN, REJECTED, config, seed=1))
    spoilt = list(SkippedTags().spoil(pairs, TAGS))
    assert [p.chosen_ids for p in spoilt] == [p.chosen_ids for p in pairs] and len(pairs) == 2
    for pair in spoilt:
        assert set(pair.rejected_ids) == {5} and "think" not in pair.rejected
        assert "<think>" in pair.chosen
    with pytest.raises(ValueError, match="needs the ids"):
        list(SkippedTags().spoil(pairs, frozenset()))
