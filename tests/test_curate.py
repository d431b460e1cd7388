"""Filters, duplicates, decontamination, difficulty and the funnel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from longstep.config import TypeAdapter, ValidationError
from longstep.curate import (
    AnyFilter,
    Band,
    Funnel,
    PassRate,
    drop_duplicates,
    pass_rates,
    with_pass_rates,
)
from longstep.curate.overlap import AnyContamination
from longstep.evaluate import Benchmark
from longstep.jobs.benchmarks import Comparison, known
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
    assert {
        member.model_fields["kind"].default for member in get_args(get_args(AnyFilter)[0])
    } == set(cases)
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


def reasons(how: dict, questions: dict[str, str], prompts: list[str], folder: Path) -> list[str]:
    """Say why each prompt goes, empty for those that stay."""
    path = folder / "exam.jsonl"
    rows = [{"problem": text, "answer": gold} for text, gold in questions.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    exam = Benchmark(name="exam", source={"kind": "jsonl", "path": str(path)})
    rule = TypeAdapter(AnyContamination).validate_python(how)
    found = Comparison(rule, known([exam], rule)).compare(prompts, ["1"] * len(prompts))
    return [f"{each.worst.kind}:" if each.worst else "" for each in found]


def test_decontaminate(tmp_path: Path) -> None:
    questions = {"What is 12+7?": "19", HANDSHAKES: "253", "???": "1"}
    cases = {
        "what is 12 + 7": "identical",
        "Tell me: what is 12+7? Then rest.": "",  # too common a phrase to forbid inside others
        "What is 5+88?": "",  # the same family, other numbers: reported, not removed
        f"Hello! {HANDSHAKES} Please answer": "identical",
        HANDSHAKES.replace("23", "31"): "",
        "!!!": "",
        "": "",
    }
    found = reasons({"kind": "overlap"}, questions, list(cases), tmp_path)
    assert [each.partition(":")[0] for each in found] == list(cases.values())
    strict = {"kind": "overlap", "remove": ["identical", "reworded", "numbers_changed"]}
    assert reasons(strict, questions, ["What is 5+88?"], tmp_path)[0].startswith("numbers_changed:")


def test_decontaminate_by_a_published_rule(tmp_path: Path) -> None:
    prompts = [HANDSHAKES.replace("23", "31"), "Hello! " + HANDSHAKES, "other"]
    found = reasons({"kind": "light-r1"}, {HANDSHAKES: "253"}, prompts, tmp_path)
    # Digits do not count there, and the second one is too short for a window of 32 words.
    assert [each.partition(":")[0] for each in found] == ["identical", "", ""]


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
