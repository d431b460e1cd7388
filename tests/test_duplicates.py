"""Duplicates inside a training set: groups, conflicts, near duplicates, keys for streams."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest

from longstep.config import ValidationError
from longstep.curate.duplicates import (
    Duplicates,
    Group,
    drop_duplicates,
    duplicate_key,
)
from longstep.curate.normalise import words
from longstep.types import Problem
from longstep.verify import canonical

NEAR = Duplicates(kind="near")


def problem(id: str, prompt: str, answer: str = "1") -> Problem:
    return Problem(id=id, prompt=prompt, answer=answer)


def ids(group: Group) -> list[str]:
    return [each.id for each in group.members]


ROWS = [
    problem("a", "Find  the sum of 3 and 4.", "7"),
    problem("b", "What is 12 times 2?", "24"),
    problem("c", "Find the sum\nof 3 and 4.", "7.0"),  # white space only
    problem("d", "find the sum of $3$ and $4$", "7"),  # dressing
    problem("e", "Find the sum of the numbers 3 and 4.", "7"),  # words
    problem("f", "Find the sum of 3 and 5.", "8"),
    problem("g", "What is 12 times 2?", "14"),
]


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        ("exact", [("exact", ["a", "c"], 1), ("exact", ["b", "g"], 2)]),
        ("normalised", [("normalised", ["a", "c", "d"], 1), ("exact", ["b", "g"], 2)]),
        ("near", [("near", ["a", "c", "d", "e"], 1), ("exact", ["b", "g"], 2)]),
    ],
)
def test_each_kind_is_wider_than_the_one_before(kind, groups) -> None:
    found = Duplicates(kind=kind).groups(ROWS, canonical)
    assert [(g.kind, ids(g), len(g.golds)) for g in found] == groups
    assert [g.conflicting for g in found] == [False, True]
    assert found[1].golds == ("14", "24")


def test_the_first_is_kept_and_a_conflict_is_dropped_whole() -> None:
    kept, dropped = drop_duplicates(ROWS, canonical, NEAR)
    assert [each.id for each in kept] == ["a", "f"]
    assert [(each.id, reason) for each, reason in dropped] == [
        ("c", "exact duplicate: of a"),
        ("d", "normalised duplicate: of a"),
        ("e", "near duplicate: of a"),
        ("b", "conflicting golds: 14, 24"),
        ("g", "conflicting golds: 14, 24"),
    ]
    kept, dropped = drop_duplicates(ROWS, canonical)
    assert [each.id for each in kept] == ["a", "e", "f"], "normalised is the default"


def test_numbers_and_answers_must_agree_for_near_ones() -> None:
    text = "A farmer sells {} apples at {} cents each on a cold morning; how much does he get?"
    rows = [
        problem("a", text.format(3, 40), "120"),
        problem("b", "Today a" + text.format(3, 40)[1:], "120"),
        problem("c", "Today a" + text.format(4, 30)[1:], "120"),  # other numbers, same answer
        problem("d", "Once a" + text.format(3, 40)[1:], "37"),  # same numbers, other answer
    ]
    assert [ids(g) for g in NEAR.groups(rows, canonical)] == [["a", "b"]]
    assert drop_duplicates(rows, canonical, NEAR)[0] == [rows[0], rows[2], rows[3]]


def test_similarity_is_the_jaccard_of_bags() -> None:
    rows = [problem("a", "red red red blue"), problem("b", "red blue blue green")]
    # common: one red, one blue = 2; either: 3 red, 2 blue, 1 green = 6
    assert not Duplicates(kind="near", similarity=0.34).groups(rows, canonical)
    assert Duplicates(kind="near", similarity=0.33).groups(rows, canonical)


def test_a_conflict_is_not_spread_by_resemblance() -> None:
    rows = [
        problem("a", "Count the green frogs in the pond", "5"),
        problem("b", "Count the green frogs in the pond", "6"),
        problem("c", "Count the green frogs in the small pond", "5"),
    ]
    kept, dropped = drop_duplicates(rows, canonical, NEAR)
    assert [each.id for each in kept] == ["c"]
    assert {reason for _, reason in dropped} == {"conflicting golds: 5, 6"}


def test_near_pairs_are_all_found() -> None:
    """Against all leaders, one by one: the prefix filter loses nothing and adds nothing."""
    rng = random.Random(5)
    vocabulary = [f"w{chr(97 + k % 26)}{chr(97 + k // 26)}" for k in range(40)]
    rows = []
    for k in range(160):
        base = rows[rng.randrange(k)].prompt.split() if k and rng.random() < 0.6 else []
        text = base[: rng.randint(0, len(base))] + rng.choices(vocabulary, k=rng.randint(1, 6))
        rows.append(problem(str(k), " ".join(text), rng.choice(("1", "2"))))
    for similarity in (0.4, 0.7, 0.9, 1.0):
        bags = {each.id: Counter(words(each.prompt)) for each in rows}
        leader: dict[str, str] = {}
        groups = Duplicates().groups(rows, canonical)
        conflicting = {m.id for g in groups if g.conflicting for m in g.members}
        for number, b in enumerate(rows):
            near = [
                a.id
                for a in rows[:number]
                if leader.get(a.id) == a.id and a.answer == b.answer and b.id not in conflicting
                and (bags[a.id] & bags[b.id]).total() >= similarity * (bags[a.id] | bags[b.id]).total()
            ]  # fmt: skip
            same = [
                a.id
                for a in rows[:number]
                if bags[a.id] == bags[b.id] and a.prompt.split() == b.prompt.split()
            ]
            if b.id not in conflicting:
                leader[b.id] = leader[same[0]] if same else near[0] if near else b.id
        expected: dict[str, set[str]] = {}
        for each in rows:
            if each.id not in conflicting:
                expected.setdefault(leader[each.id], set()).add(each.id)
        found = Duplicates(kind="near", similarity=similarity).groups(rows, canonical)
        assert {frozenset(ids(g)) for g in found if not g.conflicting} == {
            frozenset(g) for g in expected.values() if len(g) > 1
        }
        assert {i for g in found if g.conflicting for i in ids(g)} == conflicting
        assert any(g.kind == "near" for g in found) or similarity > 0.7


def test_symbols_only_prompts_are_told_apart() -> None:
    rows = [problem("a", "???"), problem("b", " ??? "), problem("c", "!!!"), problem("d", "")]
    assert [ids(g) for g in NEAR.groups(rows, canonical)] == [["a", "b"]]
    assert duplicate_key("???") == duplicate_key(" ??? ") != duplicate_key("!!!")


def test_a_similarity_without_effect_is_an_error() -> None:
    with pytest.raises(ValidationError, match="similarity has no effect on exact duplicates"):
        Duplicates(kind="exact", similarity=0.5)
    with pytest.raises(ValidationError):
        Duplicates(kind="near", similarity=0.0)


def test_the_key_of_a_stream_is_the_normal_form_and_the_same_in_every_process() -> None:
    by_key: dict[int, set[str]] = {}
    for each in ROWS:
        by_key.setdefault(duplicate_key(each.prompt), set()).add(each.id)
    assert sorted(map(sorted, by_key.values())) == [["a", "c", "d"], ["b", "g"], ["e"], ["f"]]
    assert all(0 <= key < 2**64 for key in by_key)
    # two words are not one: the separator is no character of a word
    assert duplicate_key("ab c") != duplicate_key("a bc")
    code = "from longstep.curate.duplicates import duplicate_key as k; import sys; sys.stdout.write(str(k('Find x')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == duplicate_key("find $x$")


def test_empty_input() -> None:
    assert drop_duplicates([], canonical, NEAR) == ([], [])
    assert NEAR.groups([], canonical) == []


def test_a_chain_of_small_changes_does_not_become_one_group() -> None:
    letters = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(40)]
    rows = [problem(str(i), " ".join(letters[i : i + 20]), "1") for i in range(12)]
    groups = NEAR.groups(rows, canonical)
    # 20 words shifted by k share 20 - k of 20 + k: near up to k = 3
    assert [ids(g) for g in groups] == [
        ["0", "1", "2", "3"],
        ["4", "5", "6", "7"],
        ["8", "9", "10", "11"],
    ]


def test_many_copies_of_one_template_cost_no_more_than_one() -> None:
    rows = [
        problem(str(i), f"find the sum of all {'x' * (i % 7)} terms over k{i} here now", "1")
        for i in range(3000)
    ]
    leaders = [g.members[0].id for g in NEAR.groups(rows, canonical)]
    assert len(leaders) < 30
