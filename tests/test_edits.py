"""Edits of traces on traces worked out by hand; edited traces as rows; keys told in questions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_args

import pytest

from longstep.artifacts import RowFile, write_rows
from longstep.config import TypeAdapter, UserError, ValidationError
from longstep.curate.edits import (
    AnyEdit,
    CutShort,
    Edited,
    FillerThought,
    FinishedTrace,
    GoldAnswer,
    GoldConclusion,
    PauseMarks,
    Slip,
    SwapThought,
    thought_of,
)
from longstep.curate.edits.base import last_number, with_last_number
from longstep.curate.edits.cut import beginning
from longstep.curate.tell_keys import TellKeys
from longstep.draw.editable import EditableTraces
from longstep.draw.edited import ByEdited
from longstep.draw.engines import Desk
from longstep.generate import Sampling
from longstep.types import Completion, FinishReason, Problem, Status, Verdict

WRONG = FinishedTrace("a3b+4=8c-2=6", "6", "5")
RIGHT = FinishedTrace("a3b+4=7c-2=5", "5", "5")


def edit(
    member: AnyEdit, trace: FinishedTrace, donor: FinishedTrace | None = None
) -> Edited | None:
    return member.apply(trace, random.Random(1), donor)


def test_the_family_lists_every_member():
    union = get_args(get_args(AnyEdit)[0])
    kinds = {member.model_fields["kind"].default for member in union}
    assert len(kinds) == len(union) == 7
    assert TypeAdapter(AnyEdit).validate_python({"kind": "cut", "share": 0.5}) == CutShort(
        share=0.5
    )


def test_a_thought_is_what_stands_between_the_tags():
    assert thought_of("<think>a1</think>\\boxed{1}") == "a1"
    assert (
        thought_of("\n<think>a</think>b</think>c") == "a</think>b"
    )  # answers stand behind the last
    assert thought_of("<think>a1<|user|>b</think>\\boxed{1}") is None
    assert thought_of("<think>a1") is None and thought_of("a1</think>") is None
    assert Edited("a1", "2").text == "<think>a1</think>\\boxed{2}"


def test_the_key_behind_a_wrong_thought():
    assert edit(GoldAnswer(), WRONG) == Edited("a3b+4=8c-2=6", "5", "6")
    assert edit(GoldConclusion(), WRONG) == Edited("a3b+4=8c-2=5", "5", "5")
    assert edit(GoldAnswer(), RIGHT) is None and edit(GoldConclusion(), RIGHT) is None
    assert edit(GoldConclusion(), FinishedTrace("no number", "6", "5")) is None


@pytest.mark.parametrize(
    ("thought", "last", "replaced"),
    [
        ("x = 3, so -2.5 it is", "-2.5", "x = 3, so 9 it is"),
        ("12 of 340", "340", "12 of 9"),
        ("a7", "7", "a9"),
        ("none", None, None),
    ],
)
def test_the_last_number(thought: str, last: str | None, replaced: str | None):
    assert last_number(thought) == last and with_last_number(thought, "9") == replaced


def test_cuts_end_with_a_line_or_a_word():
    assert [beginning("abcdefgh", share) for share in (0, 0.5, 0.99, 1)] == [
        "",
        "abcd",
        "abcdefg",
        "abcdefgh",
    ]
    assert beginning("one two three", 0.7) == "one two"  # int(9.1) characters: "one two t"
    assert beginning("one\ntwo three", 0.5) == "one"  # "one\ntw"
    assert edit(CutShort(share=0.5), WRONG) == Edited("a3b+4=", "6")


def test_a_slip_changes_the_last_number_and_keeps_its_digits():
    seen = set()
    for seed in range(200):
        edited = Slip().apply(RIGHT, random.Random(seed))
        assert edited is not None and edited.points == edited.answer
        assert edited.thought == f"a3b+4=7c-2={edited.points}"
        seen.add(edited.points)
    assert seen == set("012346789")
    long = Slip().apply(FinishedTrace("so -12.5", "-12.5", "1"), random.Random(0))
    assert long is not None and long.points is not None and long.points != "-12.5"
    assert [not mark.isdigit() for mark in long.points] == [not mark.isdigit() for mark in "-12.5"]
    # What the thought leads to is only known when its last number is the answer.
    assert edit(Slip(), FinishedTrace("7 apples for each of 2", "14", "14")) is None
    assert edit(Slip(), FinishedTrace("nothing", "1", "1")) is None


def test_swaps_and_fillers():
    assert (
        edit(PauseMarks(count=3), WRONG) == Edited("...", "5") == edit(PauseMarks(count=3), RIGHT)
    )
    assert SwapThought().swaps and not Slip().swaps
    assert edit(SwapThought(), RIGHT, WRONG) == Edited("a3b+4=8c-2=6", "6", "6")
    assert edit(SwapThought(), RIGHT) is None and edit(SwapThought(), RIGHT, RIGHT) is None
    assert edit(FillerThought(), WRONG) == Edited("." * 12, "5")
    assert edit(FillerThought(mark="wait "), WRONG) == Edited("wait wait ", "5")
    assert edit(FillerThought(), FinishedTrace("", "1", "1")) == Edited(".", "1")


# -- as rows --------------------------------------------------------------------------------------

PROBLEMS = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(4)]


def row(
    n: int, sample: int, said: str, status: Status, finish: FinishReason = "stop"
) -> Completion:
    text = f"<think>a{n}b+1={said}</think>\\boxed{{{said}}}"
    return Completion(f"p{n}", sample, (1,), (2,), text, finish, verdict=Verdict(status, said))


ROWS = [
    row(0, 0, "1", "correct"),
    row(0, 1, "8", "incorrect"),
    row(1, 0, "1", "incorrect"),
    row(2, 0, "9", "truncated", "length"),
    row(3, 0, "8", "incorrect"),
]


def stored(folder: Path) -> Path:
    write_rows(folder / "completions.jsonl", ROWS)
    return folder


def desk(folder: Path, problems: list[Problem]) -> Desk:
    return Desk("stage", folder, problems, Path, lambda what, facts: None, lambda reference: folder)


def test_traces_that_ended_each_with_the_next_donor(tmp_path: Path):
    rows = RowFile(stored(tmp_path) / "completions.jsonl", Completion)
    traces = EditableTraces(rows, {problem.id: problem for problem in PROBLEMS})
    assert [(at.problem_id, at.answer) for at in traces.placed] == [
        ("p0", "1"), ("p0", "8"), ("p1", "1"), ("p3", "8"),
    ]  # fmt: skip
    swapped = [traces.edited(number, SwapThought(), 0) for number in range(4)]
    # p0's first and p1 both said 1, so its donor is p3; after the last comes the first.
    assert [each and each.thought for each in swapped] == [
        "a3b+1=8", "a1b+1=1", "a3b+1=8", "a0b+1=1",
    ]  # fmt: skip
    first, second = (traces.edited(1, Slip(), seed) for seed in (0, 0))
    assert first == second
    assert len({traces.edited(1, Slip(), seed) for seed in range(9)}) > 1


def test_a_right_answer_in_other_words_is_the_key(tmp_path: Path):
    half = Problem("h", "half?", "1/2")
    said = Completion(
        "h", 0, (), (), "<think>x</think>\\boxed{0.5}", "stop", verdict=Verdict("correct", "0.5")
    )
    write_rows(tmp_path / "completions.jsonl", [said])
    traces = EditableTraces(RowFile(tmp_path / "completions.jsonl", Completion), {"h": half})
    assert traces.edited(0, GoldAnswer(), 0) is None


def test_edited_traces_are_answers_of_an_engine(tmp_path: Path):
    by = ByEdited(data="@drawn", edit=GoldAnswer())
    opened = by.open(desk(stored(tmp_path), PROBLEMS))
    how = Sampling(samples=2, max_tokens=8)
    drawn = list(opened.generator.draw(opened.prompts(PROBLEMS), how, None, lambda headway: None))
    texts = {(each.problem_id, each.sample_index): each.text for each in drawn}
    assert texts["p0", 0] == "<think>a0b+1=8</think>\\boxed{1}"
    assert texts["p1", 0] == "<think>a1b+1=1</think>\\boxed{2}"
    assert texts["p3", 0] == "<think>a3b+1=8</think>\\boxed{4}"
    absent = [each for each in drawn if each.verdict is not None]
    assert all(each.text == "" and each.verdict.rung == "absent" for each in absent)  # pyright: ignore
    assert len(drawn) == 8 and len(absent) == 5
    assert all(not each.token_ids for each in drawn)
    with pytest.raises(
        UserError, match="gold-answer can be done to none of the 0 traces of @drawn"
    ):
        by.open(desk(tmp_path, PROBLEMS[2:3]))


def test_keys_are_told_in_questions_and_ids_stay():
    braces = Problem("p", "is {answer} a word?", "7")
    [(told, note)] = TellKeys(template="{answer}: {prompt}").apply(lambda: [braces], seed=0)
    assert (told.id, told.prompt, told.answer, note) == ("p", "7: is {answer} a word?", "7", None)
    with pytest.raises(ValidationError, match=r"lacks \{answer\}"):
        TellKeys(template="{prompt}")
