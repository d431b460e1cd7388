"""Extraction, exact numbers and the choice of a verifier."""

from __future__ import annotations

import sys
import time

import pytest

from conformance.costly import costly
from longstep.config import UserError
from longstep.types import Problem, Verdict
from longstep.verify import canonical, extract, judge, judge_gold, verify


def problem(answer: str, verifier: str = "exact") -> Problem:
    return Problem(id="p1", prompt="q", answer=answer, verifier=verifier)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"<think>1</think>\boxed{42}", "42"),
        (r"<think>\boxed{1}</think>so \boxed{2}, that is 2; not 1 but \boxed{3}", "3"),
        (r"\boxed{2} or \boxed{3}", r"2 \text{ or } 3"),  # both, not the last one
        (r"$\boxed{1}$, $\boxed{2}$", r"1 \text{ or } 2"),
        (r"\boxed{5} and \boxed{5}", "5"),
        (r"\boxed{1} \boxed{}", None),
        (r"<think>\boxed{1}", None),  # the thought never ends
        (r"<think>a</think>\boxed{1}<think>again", None),
        (r"<think>\boxed{7}</think>", None),  # nothing after the thought
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\left\{1,2\right.}", r"\left\{1,2\right."),  # escaped braces do not count
        (r"\boxed{1} \boxed{2", None),  # the last box never closes
        (r"\boxed{}", None),
        ("The final answer is 3.5.", "3.5"),
        ("First the answer is 2. No!\nThe answer is: 12. Done.", "12"),
        ("steps\n#### 1,234", "1,234"),
        (r"\boxed{5} The answer is 6", "5"),  # prose is read without any box only
        ("<think>the answer is 5</think>hm", None),
        ("**Final answer:** 12", "12"),
        ("so\n**Answer**: x = 3", "x = 3"),
        ("## Final Answer\n\n7/2\n", "7/2"),
        ("Adding up,\n**17**", "17"),
        ("**17** is wrong", None),
        ("", None),
    ],
)
def test_extract(text: str, answer: str | None) -> None:
    assert extract(text) == answer


#: A response that denies, asks or hedges, and one much like it that commits to 5.
COMMITMENT = [
    (r"\boxed{5} is wrong.", r"\boxed{5} is right, and 6 is wrong."),
    (r"$\boxed{5}$ is not the answer.", r"$\boxed{5}$ is the answer."),
    (r"\boxed{5} cm isn't correct", r"\boxed{5} cm"),
    (r"\boxed{5} is definitely not right", r"\boxed{5} is not divisible by 2, as wanted."),
    (r"\boxed{5} does not work.", r"Since 6 does not work, the answer is $\boxed{5}$."),
    (r"\boxed{5}, which is wrong.", r"\boxed{5}. Some get 6, which is wrong."),
    (r"\boxed{5} (wrong)", r"\boxed{5} (not 6)"),
    (r"$\boxed{5} \text{ is wrong}$", r"$\boxed{5}\text{ cm}$"),
    (r"The answer cannot be \boxed{5}.", r"x cannot be negative, so x = \boxed{5}."),
    ("The answer can\u2019t be $\\boxed{5}$.", r"It can't be 4, so it is $\boxed{5}$."),
    (r"It is **not** \boxed{5}.", r"It is not obvious: \boxed{5}."),
    (r"$\text{not }\boxed{5}$", r"f is not continuous at $x = \boxed{5}$"),
    (r"$x \neq \boxed{5}$", r"$x \neq 6$, so $x = \boxed{5}$"),
    (r"It is 6, not \boxed{5}.", r"It is \boxed{5}, not \boxed{6}."),
    (r"I don't think the answer is \boxed{5}.", r"I don't think it is 6; it is \boxed{5}."),
    (r"It is 6 rather than \boxed{5}", r"It is \boxed{5} rather than 6"),
    (r"anything but \boxed{5}", r"not 6 but \boxed{5}"),
    (r"A wrong answer is \boxed{5}.", r"The probability of a wrong answer is \boxed{5}."),
    (r"It is wrong that the answer is \boxed{5}", r"That is wrong, so the answer is \boxed{5}"),
    (r"I doubt that it is \boxed{5}.", r"No doubt the answer is \boxed{5}."),
    (r"\boxed{5}? No, it is 6.", r"\boxed{5}? Yes, since 2+3=5."),
    (r"Is it \boxed{5}?", r"Is it \boxed{6}? No. It is \boxed{5}."),
    (r"\boxed{5}. No.", r"\boxed{5}. No other value works."),
    (r"\boxed{5}. That's wrong.", r"\boxed{5}. That is not hard to see."),
    (r"\boxed{5}. Wait, it should be 6.", r"\boxed{5}. Wait, let me check: 2+3 is 5."),
    ("\\boxed{5}\n\nJust kidding.", "\\boxed{5}\n\nCheck: 2+3=5"),
    (r"\boxed{5} ... not!", r"\boxed{5} ... note that 2+3=5"),
    (r"either \boxed{5} or something else", r"\boxed{5} or, in decimals, 5.0"),
    (r"either \boxed{5} or six", r"\boxed{5} or 10/2"),
    (r"either 6 or \boxed{5}", r"10/2 or \boxed{5}"),
    (r"\boxed{5} or \boxed{6}", r"\boxed{5} or \boxed{\frac{10}{2}}"),
    (r"It is \boxed{6} or it could be \boxed{5}.", r"First I had \boxed{6}. Now it is \boxed{5}."),
    (r"\boxed{6} if n is odd or \boxed{5} if not", r"\boxed{5}, whether n is odd or even"),
    (r"\boxed{5} or more", r"\boxed{5}, no more and no less"),
    (r"\boxed{5}. It is not \boxed{5}.", r"\boxed{5}. It is not \boxed{6}."),
    (r"I don't think the answer is 5.", r"I don't think it is 6. The answer is 5."),
    (r"The answer is 5. That is wrong.", r"The answer is 5, not 6."),
    (r"It is not <answer>5</answer>", r"It is <answer>5</answer>"),
    (r"not \boxed 5", r"not 6. \boxed 5"),
]


@pytest.mark.parametrize(("denial", "honest"), COMMITMENT)
def test_only_a_response_that_commits_to_its_answer_scores(denial: str, honest: str) -> None:
    for thought in ("", "<think>a thought</think>"):
        texts = (thought + denial, thought + honest)
        assert [judge(problem("5", "math"), text).correctness for text in texts] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("007", "7"),
        ("-0", "0"),
        ("+5", "5"),
        ("\u221212", "-12"),
        ("0.50", "1/2"),
        (".5", "1/2"),
        ("3.", "3"),
        (r"50\%", "1/2"),
        ("200%", "2"),
        (r"\frac{-4}{6}", "-2/3"),
        (r"-\dfrac{4}{2}", "-2"),
        (r"\frac12", "1/2"),
        ("6/-4", "-3/2"),
        (r"10,\!080", "10080"),
        ("1{,}234", "1234"),
        (r"$ 12 $", "12"),
        ("x = 5", "5"),
        ("1" * 5000, "1" * 5000),  # longer than int() would take
        ("1,2", None),
        ("1/0", None),
        ("1e999999999", None),
        ("9**9**9", None),
        ("2^{10}", None),
        ("\u0661\u0662", None),  # Arabic-Indic digits
        ("__import__('os')", None),
        ("", None),
        ("%", None),
        ("-", None),
    ],
)
def test_canonical(text: str, value: str | None) -> None:
    assert canonical(text) == value


def test_exact_statuses() -> None:
    right = judge(problem("1/2"), r"<think></think>\boxed{0.5}")
    assert right == Verdict("correct", "1/2")
    assert judge(problem("50"), r"\boxed{50\%}").status == "incorrect"
    assert judge(problem("3"), r"\boxed{dog}").status == "unparseable"
    assert judge(problem("3"), "no idea").status == "unparseable"
    bad = judge(problem("dog"), r"\boxed{3}")
    assert bad.status == "bad_gold" and "dog" in bad.reason and bad.correctness is None


def test_truncated_is_never_extracted_from() -> None:
    verdict = judge(problem("3"), r"<think></think>\boxed{3}", "length")
    assert (verdict.status, verdict.answer, verdict.correctness) == ("truncated", None, 0.0)


def test_an_unfinished_thought_is_read_only_when_asked_and_says_so() -> None:
    text = r"<think>So it must be \boxed{3}, but"
    assert judge(problem("3", "math"), text).status == "unparseable"
    asked = judge(problem("3", "math"), text, unfinished="read")
    assert asked.status == "correct" and "unfinished" in asked.reason
    cut = judge(problem("3"), r"<think></think>\boxed{3} and", "length", unfinished="read")
    assert cut.status == "correct" and "unfinished" in cut.reason
    whole = judge(problem("3"), r"<think>\boxed{4}</think>\boxed{3}", unfinished="read")
    assert whole.status == "correct" and "unfinished" not in whole.reason


@pytest.mark.parametrize("gold", ["7", "-3/4", "0.125", r"\frac{3}{8}", "1,234", "0"])
@pytest.mark.parametrize("verifier", ["exact", "math"])
def test_gold_answers_verify(gold: str, verifier: str) -> None:
    assert judge_gold(problem(gold, verifier)).status == "correct"


HOSTILE = {
    "box of 1 MB digits": "\\boxed{" + "7" * 1_000_000 + "}",
    "box of 1 MB zeros and a letter": "\\boxed{" + "0" * 1_000_000 + "x}",
    "100k opening braces": "\\boxed{" + "{" * 100_000,
    "100k braces in pairs": "\\boxed{" + "{}" * 50_000 + "}",
    "denied boxes around 1 MB of braces": "not \\boxed{" * 50 + "{}" * 500_000 + "}" * 50,
    "100k boxes": "\\boxed{" * 100_000,
    "100k thoughts": "<think></think>" * 100_000,
    "1 MB of spaces": "\\boxed" + " " * 1_000_000,
    "1 MB of prose": "the answer is " * 70_000,
    "1 MB of hashes": "#### " * 200_000,
    "1 MB of groups": "\\boxed{1" + ",000" * 250_000 + "x}",
    "long decimal": "\\boxed{0." + "3" * 1_000_000 + "}",
    "long fraction": "\\boxed{" + "1" * 100_000 + "/" + "3" * 100_000 + "}",
    "tower": r"\boxed{9^{9^{9}}}",
    "python": r"\boxed{__import__('time').sleep(9)}",
    "control characters": "\\boxed{\x00\x07\x1b}",
    "lone surrogate": "\\boxed{\ud800}",
    "format only": "<think></think>a",
    "prompt echo": r"\boxed{\boxed{}}",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("verifier", ["exact", "math"])
def test_hostile_text_scores_zero_and_fast(name: str, verifier: str) -> None:
    best = float("inf")
    for _ in range(3):  # a shared machine: the best of three is the code's own time
        start = time.process_time()
        verdict = judge(problem("12", verifier), HOSTILE[name])
        best = min(best, time.process_time() - start)
        assert verdict.correctness == 0.0
    assert best < 0.25


def returns_none(problem: Problem, text: str) -> None:
    return None


def raises(problem: Problem, text: str) -> Verdict:
    raise KeyError("boom")


def agrees(problem: Problem, text: str) -> Verdict:
    return Verdict("correct" if text == problem.answer else "incorrect", text)


def test_foreign_verifiers() -> None:
    assert judge(problem("yes", f"{__name__}:agrees"), "yes").status == "correct"
    broken = judge(problem("yes", f"{__name__}:raises"), "yes")
    assert broken.correctness is None and "KeyError" in broken.reason and "raises" in broken.reason
    with pytest.raises(UserError, match=r"returns_none returned NoneType.*p1.*Verdict"):
        judge(problem("yes", f"{__name__}:returns_none"), "yes")
    with pytest.raises(UserError, match="did you mean 'exact'"):
        judge(problem("3", "exct"), "3")


def test_costly_pairs_are_decided_right_or_not_at_all_for_one_allowance_of_work() -> None:
    """Work is what the interpreter counts, calls and returns, which no clock and no load changes."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    verify(gold=r"\sin 1", answer=r"\cos 1")  # imports are nobody's work
    wrong, worked = [], dict[str, int]()
    for name, gold, answer, equal in costly(sizes=(39,)):
        calls = 0
        sys.setprofile(count)
        try:
            verdict = verify(gold=gold, answer=answer)
        finally:
            sys.setprofile(None)
        worked[name] = calls
        if verdict.status == ("incorrect" if equal else "correct") or verdict.status == "timeout":
            wrong.append((name, verdict))
    assert wrong == []
    assert {name: each for name, each in worked.items() if each > 2_000_000} == {}
