"""The published decontamination rules: against plain implementations of them, and by hand on their defects."""

from __future__ import annotations

import random
import re
import string

import pytest

from longstep.config import TypeAdapter, UserError
from longstep.curate.overlap.legacy import S1, AnyLegacy, LightR1, OpenR1, digit_free
from longstep.curate.overlap.match import Item


def items(*texts: str) -> list[Item]:
    return [Item("bench", f"q{n}", text) for n, text in enumerate(texts)]


def plain_clean(text: str) -> str:
    """Light-R1's key, as its description says it: three steps on the whole text."""
    without_marks = "".join(c for c in text if re.fullmatch(r"\w", c))
    return re.sub(r"\d+", "", without_marks).lower()


def plain_windows(text: str, n: int) -> set[str]:
    folded = " ".join(text.lower().strip().split()).split()
    return {" ".join(folded[k : k + n]) for k in range(len(folded) - n + 1)}


def plain_flag(rule: str, n: int, benchmark: list[str], text: str) -> bool:
    if rule in ("both", "characters"):
        keys = {*benchmark, *(plain_clean(each) for each in benchmark)}
        if text in keys or plain_clean(text) in keys:
            return True
    if rule in ("both", "windows"):
        known = set().union(*(plain_windows(each, n) for each in benchmark))
        return bool(known & plain_windows(text, n))
    return False


def made_up(rng: random.Random) -> str:
    """Few words, odd spaces, marks, digits and letters outside of ASCII, so that rules collide often."""
    words = [
        "find",
        "Find",
        "the",
        "x",
        "y+1",
        "12",
        "7",
        "$z$",
        "\u00c9t\u00e9",
        "\u0130",
        "\u0663",
        "a_b",
        "?",
    ]
    gaps = [" ", "  ", "\n", "\t", "\u00a0", "\u2003", "\x1c", ""]
    return "".join(
        rng.choice(words) + rng.choice(gaps[:-1] if rng.random() < 0.9 else gaps)
        for _ in range(rng.randint(0, 9))
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("rule", ["both", "characters", "windows"])
def test_against_the_plain_rules_on_made_up_texts(rule, n) -> None:
    rng = random.Random(n)
    benchmark = [made_up(rng) for _ in range(12)]
    rows = [made_up(rng) for _ in range(400)] + benchmark
    rows += [a + " " + b for a, b in zip(rows[:40], benchmark * 4, strict=False)]
    expected = [plain_flag(rule, n, benchmark, row) for row in rows]
    index = LightR1(rules=rule, words=n).build(items(*benchmark))
    assert index.flags(rows) == expected
    assert [bool(hits) for hits in index.scan(rows)] == expected
    assert sum(expected) > 0 and (n < 3 or sum(expected) < len(rows))
    if rule == "windows":
        for config in (OpenR1(words=n), S1(words=n)):
            assert config.build(items(*benchmark)).flags(rows) == expected


def test_every_shared_window_counts_and_the_place_is_the_first() -> None:
    benchmark = items("one two three four five", "three four five six", "seven eight")
    row = "So, ONE  two three\nfour five six."
    hits = OpenR1(words=3).build(benchmark).scan([row])[0]
    # "So," and "six." keep their marks: the words are one two three four five. Of the first question's three windows
    # all are shared; of the second's two, "three four five" alone.
    assert [(m.benchmark, m.item, m.kind, m.score) for m in hits] == [
        ("bench", "q0", "identical", 1.0),
        ("bench", "q1", "identical", 0.5),
    ]
    assert [row[slice(*m.span)] for m in hits] == ["ONE  two three", "three\nfour five"]
    assert [m.text for m in hits] == ["one two three four five", "three four five six"]


def test_the_released_window_lengths() -> None:
    words = [f"w{k}" for k in range(40)]
    for config, n in ((LightR1(), 32), (OpenR1(), 8), (S1(), 8)):
        index = config.build(items(" ".join(words)))
        assert index.flags([" ".join(["x", *words[:n], "y"])]) == [True]
        assert index.flags([" ".join(["x", *words[: n - 1], "y"])]) == [False]


def test_defect_a_short_question_has_no_window() -> None:
    question = "What is the sum of two and three?"
    row = f"Please answer this one now. {question}"
    assert OpenR1().build(items(question)).flags([row]) == [True]  # eight words exactly
    assert OpenR1(words=9).build(items(question)).flags([row, question]) == [False, False]
    assert LightR1().build(items(question)).flags([row, question]) == [False, True]


def test_defect_digits_do_not_count_and_nothing_equals_nothing() -> None:
    index = LightR1().build(items("What is 12+7?", "2 + 2 = ?"))
    rows = ["what is 5 - 88", "What was 12+7?", "1000 / 3", "", "\u00bd"]
    assert index.flags(rows) == [True, False, True, True, False]
    assert [[m.item for m in hits] for hits in index.scan(rows)] == [["q0"], [], ["q1"], ["q1"], []]


def test_defect_latex_spelling_hides_a_question() -> None:
    question = "Evaluate $\\frac{x}{y}$ when $x$ is one and $y$ is two, please, and say why."
    row = question.replace("\\frac", "\\dfrac")
    assert LightR1().build(items(question)).flags([question, row]) == [True, False]


def test_a_key_of_two_questions_is_the_last_ones_and_a_raw_text_goes_first() -> None:
    index = LightR1(rules="characters").build(items("Add 1 and 2", "Add 3 and 4", "addand"))
    hits = index.scan(["Add 1 and 2", "Add 9 and 9", "ADDAND"])
    assert [[m.item for m in each] for each in hits] == [["q0"], ["q2"], ["q2"]]
    assert hits[0][0].span == (0, 11) and hits[0][0].score == 1.0


def test_the_key_is_the_plain_one_for_every_character() -> None:
    for code in [*range(0x3000), 0x1D7CE, 0x1F600, 0xD800]:
        assert digit_free("a" + chr(code) + "B") == plain_clean("a" + chr(code) + "B"), hex(code)
    assert digit_free(string.printable) == string.ascii_lowercase * 2 + "_"


def test_both_rules_give_one_hit_per_question() -> None:
    text = " ".join(f"w{k}" for k in range(6))
    hits = LightR1(words=4).build(items(text, text + " more")).scan([text])[0]
    assert [(m.item, m.score) for m in hits] == [("q0", 1.0), ("q1", 0.75)]


def test_a_fingerprint_is_refused_and_the_ledger_says_what_was_indexed() -> None:
    with pytest.raises(UserError, match=r"aime24 is known by its fingerprint only.*give a file"):
        LightR1().build([Item("aime24", "1", None)])
    index = LightR1(words=5).build([Item("a", "1", "x"), Item("b", "1", "y"), Item("a", "2", "z")])
    assert index.ledger() == {
        "kind": "light-r1",
        "characters": True,
        "words": 5,
        "benchmarks": {"a": 2, "b": 1},
    }
    assert OpenR1().build([]).scan(["", "a b"]) == [(), ()]


def test_the_kind_names_the_rule() -> None:
    family = TypeAdapter(AnyLegacy)
    assert family.validate_python({"kind": "light-r1"}) == LightR1(rules="both", words=32)
    assert family.validate_python({"kind": "open-r1"}) == OpenR1(words=8)
    assert family.validate_python({"kind": "s1"}) == S1(words=8)
