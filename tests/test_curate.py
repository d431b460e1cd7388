"""Filters, duplicates, decontamination, difficulty and the funnel."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from longstep.config import TypeAdapter, ValidationError
from longstep.curate import (
    FILTERS,
    AnyFilter,
    Band,
    Decontaminate,
    Funnel,
    PassRate,
    drop_duplicates,
    judge_rows,
    pass_rates,
    with_pass_rates,
)
from longstep.types import Completion, Problem, Status, Verdict
from longstep.verify import canonical, judge_gold


def problem(id: str, prompt: str, answer: str = "1") -> Problem:
    return Problem(id=id, prompt=prompt, answer=answer)


def sample(problem_id: str, index: int, status: Status, answer: str | None = None) -> Completion:
    return Completion(problem_id, index, (), (), "", "stop", None, Verdict(status, answer))


def test_filters_keep_and_say_why() -> None:
    good = problem("g", "What is 1+0?")
    cases = {
        "length": (problem("a", "Hi " + "x" * 9000), "prompt too long"),
        "has_answer": (problem("b", "What?", " "), "no gold answer"),
        "verifiable_gold": (problem("c", "What?", "dog"), "gold does not verify: bad_gold"),
        "characters": (problem("d", "Say <think> now"), "forbidden text: '<think>'"),
    }
    assert {member.model_fields["kind"].default for member in FILTERS} == set(cases)
    for kind, (bad, reason) in cases.items():
        keep = TypeAdapter(AnyFilter).validate_python({"kind": kind}).build(judge_gold)
        assert keep(good) == (True, "")
        kept, why = keep(bad)
        assert not kept and why.startswith(reason)
    with pytest.raises(ValidationError, match="min_chars 9 is above max_chars 3"):
        TypeAdapter(AnyFilter).validate_python({"kind": "length", "min_chars": 9, "max_chars": 3})


def test_funnel_counts_reasons_and_keeps_the_dropped() -> None:
    rows = [problem("a", "one"), problem("b", "two", ""), problem("c", "three")]
    funnel = Funnel()

    def short(each: Problem) -> tuple[bool, str]:
        return (len(each.prompt) < 5, f"long: {len(each.prompt)}")

    kept = funnel.apply("short", short, rows)
    assert [each.id for each in kept] == ["a", "b"]
    assert funnel.rows() == [{"step": "short", "kept": 2, "dropped": 1, "reasons": {"long": 1}}]
    dropped = json.loads(json.dumps(funnel.dropped_rows()))
    assert dropped[0]["problem"]["id"] == "c" and dropped[0]["reason"] == "long: 5"


def test_duplicates_keep_the_first_and_quarantine_conflicts() -> None:
    rows = [
        problem("a", "Find $\\dfrac{1}{2}+x$.", "0.5"),
        problem("b", "find \\frac{1}{2} + x", "1/2"),  # same prompt, same value
        problem("c", "What is 12+7?", "19"),
        problem("d", "What is 5-88?", "-83"),  # digits are kept: another problem
        problem("e", "Pick one", "3"),
        problem("f", "Pick one", "4"),
        problem("g", "???", "1"),
        problem("h", "!!!", "2"),  # no words at all, still two prompts
        problem("i", "What is 12+7?", "19"),
    ]
    kept, dropped = drop_duplicates(rows, canonical)
    assert [each.id for each in kept] == ["a", "c", "d", "g", "h"]
    assert {each.id: why for each, why in dropped} == {
        "b": "normalised duplicate: of a",
        "i": "exact duplicate: of c",
        "e": "conflicting golds: 3, 4",
        "f": "conflicting golds: 3, 4",
    }


HANDSHAKES = "At a party of 23 guests everyone shakes hands with everyone else exactly once; how many handshakes?"


def test_decontaminate() -> None:
    rows = [
        Problem("short", "What is 12+7?", "19", source="quiz"),
        Problem("party", HANDSHAKES, "253", source="exam"),
        Problem("symbols", "???", "1", source="quiz"),
    ]
    cases = {
        "what is 12 + 7": "contaminated, identical: quiz/short, score 1.00",
        "Tell me: what is 12+7? Then rest.": "",  # too common a phrase to forbid inside others
        "What is 5+88?": "",  # the same family, other numbers: reported, not removed
        f"Hello! {HANDSHAKES} Please answer": "contaminated, identical: exam/party, score 1.00",
        HANDSHAKES.replace("23", "31"): "",
        "!!!": "",
        "": "",
    }
    keep = Decontaminate().build(rows)
    for prompt, reason in cases.items():
        assert keep(problem("t", prompt)) == (not reason, reason), prompt
    strict = Decontaminate.model_validate(
        {"rule": {"kind": "overlap", "remove": ["identical", "reworded", "numbers_changed"]}}
    ).build(rows)
    assert strict(problem("t", "What is 5+88?")) == (
        False,
        "contaminated, numbers_changed: quiz/short, score 0.38",
    )


def test_decontaminate_by_a_published_rule() -> None:
    rows = [Problem("party", HANDSHAKES, "253", source="exam")]
    config = Decontaminate.model_validate({"rule": {"kind": "light-r1"}})
    keep = config.build(rows)
    assert not keep(problem("t", HANDSHAKES.replace("23", "31")))[0]  # digits do not count there
    assert keep(problem("t", "Hello! " + HANDSHAKES))[0]  # too short for a window of 32 words
    matches = judge_rows(config.index(rows), [HANDSHAKES, "other"], config.remove)
    assert [match is None for match in matches] == [False, True]


def test_pass_rates_read_correctness_only() -> None:
    rows = [
        sample("a", 0, "correct"),
        sample("a", 1, "truncated"),
        sample("a", 2, "unparseable"),
        sample("a", 3, "timeout"),
        sample("b", 0, "bad_gold"),
    ]
    rates = pass_rates(rows)
    assert rates == {"a": PassRate(1, 3, 1), "b": PassRate(0, 0, 1)}
    problems = [problem("a", "q"), replace(problem("b", "q"), pass_rate=0.9), problem("c", "q")]
    assert [each.pass_rate for each in with_pass_rates(problems, rates)] == [1 / 3, None, None]
    with pytest.raises(ValueError, match="completion 0 of a has no verdict"):
        pass_rates([replace(rows[0], verdict=None)])


def test_wilson_interval() -> None:
    # z=2, 2 of 4: scale 1+4/4=2, centre (.5+4/8)/2=.5, half 2*sqrt(.25/4+4/64)/2=sqrt(.125)
    low, high = PassRate(2, 4).interval(z=2.0)
    assert (low, high) == pytest.approx((0.5 - 0.125**0.5, 0.5 + 0.125**0.5))
    # z=2, 0 of 4: centre (4/8)/2=.25, half 2*sqrt(4/64)/2=.25
    assert PassRate(0, 4).interval(z=2.0) == pytest.approx((0.0, 0.5))
    assert PassRate(0, 0).interval() == (0.0, 1.0)


def test_bands() -> None:
    def at(rate: float | None) -> Problem:
        return replace(problem("a", "q"), pass_rate=rate)

    band = Band(min=0.0, max=0.4, mixed=True)
    assert band.keep(at(0.4)) == (True, "")
    assert band.keep(at(0.0)) == (False, "not mixed: pass rate 0")
    assert band.keep(at(0.5)) == (False, "outside the band: pass rate 0.5")
    assert band.keep(at(None)) == (False, "no pass rate")
    assert Band(max=0.4).keep(at(0.0))[0]
