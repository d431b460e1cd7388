# ruff: noqa: RUF001 - answers in other scripts are the point
r"""Faults 1 to 14 of keys, verdicts and decontamination: each kind, with the value that is right.

Every test failed on commit ac6499e. ``cases/verdicts.jsonl`` holds the smallest inputs that showed the faults; the
tests by number below hold others of the same kind, in both directions: what must count, and what must not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import longstep
from longstep.cli.main import app
from longstep.config import UserError
from longstep.curate.overlap import Item, Overlap
from longstep.curate.overlap.contrast import re_posed
from longstep.formats.record import as_key
from longstep.jobs.decontaminate import Decontaminate
from longstep.jobs.inputs import Place, chunks
from longstep.types import Problem
from longstep.verify import extract, judge, judge_gold, key_trouble, verify
from longstep.verify.protocols import PROTOCOLS

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "verdicts.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
#: Rows that are answered otherwise by a policy, with the reason.
POLICY = {
    36: "two truth tables with the same instruction and other formulas: letters alone tell them apart, and renamed "
    "letters are one problem",
}


def problem(gold: str, verifier: str = "math") -> Problem:
    return Problem("p", "How many?", gold, verifier=verifier)


def status(gold: str, answer: str, **options) -> str:
    return verify(gold=gold, answer=answer, **options).status


def judged(gold: str, text: str, verifier: str = "math") -> str:
    return judge(problem(gold, verifier), text).status


def found(case: dict) -> str:
    given = case["input"]
    if case["call"].startswith("verify"):
        return status(given["gold"], given["answer"])
    if case["call"].startswith("judge"):
        return judged(given["gold"], given["text"])
    index = Overlap().build([Item("b", "1", given["bench"], given["bench_answer"])])
    matches = index.scan([given["row"]], [given["row_answer"]])[0]
    return matches[0].kind if matches else "none"


def accepted(right: str) -> set[str]:
    """Statuses that a row's ``right`` allows."""
    if right.startswith("neither"):
        return {"numbers_changed", "shared_template", "none"}
    if right.startswith("identical or reworded"):
        return {"identical", "reworded"}
    if right == "not correct":
        return {"incorrect", "unparseable"}
    words = {"correct", "bad_gold", "unparseable"}
    return {word for word in words if word in right} | (
        {"correct"} if "or read" in right else set()
    )


@pytest.mark.parametrize("number", range(len(CASES)))
def test_case(number: int) -> None:
    if number in POLICY:
        pytest.skip(POLICY[number])
    case = CASES[number]
    assert found(case) in accepted(case["right"]), case["input"]


def test_at_most_three_cases_are_policy() -> None:
    assert len(POLICY) <= 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("She has 16 - 3 = 13.\n#### 1,080", "1080"),
        ("Hence $x = 3$. The answer is: 3", "3"),
        (r"So \boxed{\frac{2}{3}} of them.", "2/3"),
        ("<think>hm</think><answer>72</answer>", "72"),
        (r"We get $$\boxed{5}$$ or $\boxed{6}$.", "5, 6"),
    ],
)
def test_fault_1_a_key_that_is_a_whole_solution_is_read_as_its_answer(key: str, value: str) -> None:
    assert judged(key, rf"\boxed{{{value}}}") == "correct"
    assert judged(key, r"\boxed{16}") == "incorrect"
    assert judge_gold(problem(key)).status == "correct"


def test_fault_1_the_layout_of_gsm8k_is_judged_by_both_verifiers() -> None:
    key = (
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nTogether 48+24 = <<48+24=72>>72.\n#### 72"
    )
    for verifier in ("math", "exact"):
        assert judged(key, "#### 72", verifier) == "correct"
        assert judged(key, "#### 48", verifier) == "incorrect"


BROKEN = [r"\frac{1}{", "(1, 2", "x = 3, y =", r"2\sqrt{3", "5 +", "N/A", "null", "-", "not found"]


@pytest.mark.parametrize("key", BROKEN)
def test_fault_2_an_unreadable_key_is_never_the_answers_error(key: str) -> None:
    assert status(key, "7") == "bad_gold"
    assert status(key, key) in ("correct", "bad_gold")
    assert judge_gold(problem(key)).status == "bad_gold"
    assert key_trouble(key)


def test_fault_2_the_kinds_of_unreadable_keys() -> None:
    assert [key_trouble(key) for key in ("N/A", "(1, 2", "1/0", '["2", "3"]', "7", r"\text{blue}")] == [
        "a placeholder", "broken", "without a value", "a list", "", "",
    ]  # fmt: skip
    assert (
        key_trouble("It follows from the work above that this is so and that is all there is")
        == "prose"
    )


def test_fault_3_a_list_of_one_is_its_member_and_a_longer_one_has_to_be_declared() -> None:
    assert status('["34"]', "34") == status("['34']", "34") == "correct"
    assert status(r"['\frac{1}{2}']", "0.5") == status(r'["\\frac{1}{2}"]', "0.5") == "correct"
    two = '["2", "-2"]'
    assert status(two, "2") == status(two, "2, -2") == "bad_gold"  # right for one reading only
    assert status(two, "7") == "incorrect"  # wrong for both
    assert judged(two, r"\boxed{2}", "math(members=any)") == "correct"
    assert judged(two, r"\boxed{2, -2}", "math(members=any)") == "incorrect"
    assert judged(two, r"\boxed{-2, 2}", "math(members=all)") == "correct"
    assert judged(two, r"\boxed{2}", "math(members=all)") == "incorrect"


def test_fault_3_a_column_of_lists_is_read() -> None:
    assert as_key(["34"]) == "34"
    assert as_key(["2", r"\frac12"]) == r'["2", "\\frac12"]'
    assert as_key([1, 2]) == '["1", "2"]'
    assert as_key([]) is as_key([["1"]]) is as_key({"a": 1}) is None


LISTS = [
    r"$\boxed{5}$ and $\boxed{6}$", "* \\(\\boxed{5}\\)\n* \\(\\boxed{6}\\)", "1. $\\boxed{5}$\n2. $\\boxed{6}$",
    "| x |\n|---|\n| a | $\\boxed{5}$ |\n| b | $\\boxed{6}$ |", "(i) $\\boxed{5}$\n\n(ii) $\\boxed{6}$",
    "**Part (a):** $\\boxed{5}$\n\n**Part (b):** $\\boxed{6}$", "(a) The area is $\\boxed{5}$.\n(b) The height is $\\boxed{6}$.",
    r"\[x_1=\boxed{5}, \quad x_2=\boxed{6}\]", r"**\(\boxed{5}\)**, **\(\boxed{6}\)**", r"$\boxed{5}$ as well as $\boxed{6}$",
]  # fmt: skip
HEDGES = [
    r"\(\boxed{5}\) or \(\boxed{6}\)", r"**$\boxed{5}$** or **$\boxed{6}$**", r"$\boxed{5} \text{ or } \boxed{6}$",
    r"Either \(\boxed{5}\), or else \(\boxed{6}\).", r"$\boxed{5}$. Or $\boxed{6}$.", r"**5** or **\(\boxed{6}\)**",
    r"$5 \text{ or } \boxed{6}$", r"\(\boxed{6}\) or \(5\)", r"**\(\boxed{6}\)** or **5**",
]  # fmt: skip


@pytest.mark.parametrize("text", LISTS)
def test_fault_4_boxes_that_list_keep_their_members(text: str) -> None:
    assert judged("5, 6", text) == "correct"
    assert judged("6", text) == judged("5", text) == "incorrect"


@pytest.mark.parametrize("text", HEDGES)
def test_fault_4_boxes_that_hedge_are_not_one_value(text: str) -> None:
    assert "correct" not in (judged("6", text), judged("5", text))


def test_fault_4_a_step_that_is_boxed_is_no_part_of_the_answer() -> None:
    assert judged("6", r"The gcd is $\boxed{3}$. So the answer is $\boxed{6}$.") == "correct"
    assert judged("6", "- The gcd is $\\boxed{3}$\n- So the answer is $\\boxed{6}$") == "correct"


REMARK = "This agrees with the work above. " * 30
PROSE = {
    "7": [
        f"#### 7\n{REMARK}", f"The answer is 7. {REMARK}", f"<answer>7</answer>\n{REMARK}", "### Final Answer:\n\n$7$",
        "**Final Answer**\n\n7", "**Answer: 7**", "Answer: **7**", "Final Answer: The largest $n$ is $7$.",
        "Final answer: the number of ways is **7 ways**.", "Final Answer: He pays $7.00 for it.",
        "The answer is 7, as desired.", "Thus the answer is 7, which completes the proof.",
        "The answer is $\\frac{14}{2}$, i.e. 7.", "The answer is 3.\n\nNo, I mean the answer is 7.",
    ],
    "5": [
        "La respuesta es 5.", "La réponse est 5.", "Réponse : 5", "Die Antwort lautet 5.", "Ответ: 5", "答案是5。",
        "故答案为：$5$．", "答えは5です。", "정답은 5입니다.", "A resposta é 5.", "La risposta è 5.", "Het antwoord is 5.",
    ],
}  # fmt: skip
NOT_FIVE = [
    "La respuesta no es 5.", "Die Antwort ist nicht 5.", "答案不是5。", "The answer is about 5.",
    "Final Answer: The value is at least 5.", "Final Answer: She does not have 5 apples.", "Final Answer: It is 5 or 6.",
    "The answer is 5. Wait, actually it is 6.", "Final Answer: There are 5 red and 4 blue balls.",
    "#### Step 5\nWe go on.", "The answer is 1/3, i.e. 5.", f"The answer is not 5. {REMARK}",
]  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "text"), [(g, text) for g, texts in PROSE.items() for text in texts]
)
def test_fault_5_answers_in_prose(gold: str, text: str) -> None:
    assert judged(gold, text) == "correct", extract(text)


@pytest.mark.parametrize("text", NOT_FIVE)
def test_fault_5_what_prose_does_not_say(text: str) -> None:
    assert judged("5", text) != "correct", extract(text)


def test_fault_6_degrees_inside_of_a_function_are_no_radians() -> None:
    assert status(r"\cos^2 20^\circ", r"\cos^2 20") == "incorrect"
    assert status(r"\tan 45^\circ + 2", r"\tan 45 + 2") == "incorrect"
    assert status(r"\sin 30^\circ", "0.5") == status(r"30^\circ", "30") == "correct"


READ = [
    (r"\begin{cases}x=1\\y=2\end{cases}", "(x,y)=(1,2)"),
    (r"f(x)=\begin{cases}1,& x<0\\0,&x\ge 0\end{cases}", r"\begin{cases}0&x\ge0\\1&x<0\end{cases}"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-2"), (r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}", "-2"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]"),
    (r"\begin{pmatrix}1&3\\2&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T"),
    (r"\begin{pmatrix}7&10\\15&22\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^2"),
    ("cbrt(16)", r"2\sqrt[3]{2}"), ("floor(3.7)", "3"), ("binomial(5,2)", "10"), ("max(3, abs(-5))", "5"),
    (r"\sum_{k=1}^{n} k^2", r"\sum\limits_{i=1}^n i^{2}"), (r"\sum_{k=1}^{10} k", "55"), (r"\prod_{k=1}^{4} k", "24"),
    (r"\int_0^1 x^2\,dx", r"\int_{0}^{1} t^{2}\,\mathrm{d}t"),
    (r"\lim_{x\to 0^+}\frac{\sin x}{x}", r"\lim_{t \rightarrow 0^{+}} \frac{\sin t}{t}"),
    ("2:3", "AB:CD = 2:3"), (r"\\frac{4}{5}", r"\frac45"), (r"1-\frac{1}{\mathrm{e}}", "1-1/e"), (r"{1 \over 2}", "1/2"),
    ("3, 5", "5, 3, 3"),
]  # fmt: skip
NOT_READ_AS = [
    (r"\begin{cases}1,& x<0\\0,&x\ge 0\end{cases}", r"\begin{cases}1&x\le0\\0&x>0\end{cases}"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "2"), ("[[1,2],[3,4]]", r"\begin{bmatrix}1&3\\2&4\end{bmatrix}"),
    (r"\sum_{n=0}^{\infty} x^n", r"\sum_{n=1}^{\infty} x^n"), (r"\sum_{k=1}^{10} k", "54"),
    (r"\lim_{x\to 0^+} f", r"\lim_{x\to 0^-} f"), (r"\int_0^1 x dx", r"\int_0^2 x dx"), ("3, 3, 5", "3, 5"),
    ("cbrt(5)", r"\sqrt{5}"), ("floor(3.7)", "4"), ("2:3", "AB:CD = 3:2"), ("x = -3, p = 5/2", "5/2, -3"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), READ)
def test_fault_7_forms_that_were_not_read(gold: str, answer: str) -> None:
    assert status(gold, answer) == "correct"


@pytest.mark.parametrize(("gold", "answer"), NOT_READ_AS)
def test_fault_7_and_are_not_read_as_something_else(gold: str, answer: str) -> None:
    assert status(gold, answer) != "correct"


def test_fault_8_a_tolerance_is_declared_and_never_the_default() -> None:
    text = r"\boxed{9.58e-23}"
    assert judged("9.6e-23", text) == "incorrect"
    for declared in ("1%", "0.01", "digits", "2 digits"):
        assert judged("9.6e-23", text, f"math(tolerance={declared})") == "correct"
    # 9.4 lies 2.1 % below 9.6 and rounds to 9.4
    for declared in ("1%", "digits", "+-1e-25"):
        assert judged("9.6e-23", r"\boxed{9.4e-23}", f"math(tolerance={declared})") == "incorrect"
    assert judged("10", r"\boxed{10.05}", "math(tolerance=+-0.1)") == "correct"
    assert judged("100", r"\boxed{101}", "math(tolerance=1%)") == "correct"
    assert judged("100", r"\boxed{102}", "math(tolerance=1%)") == "incorrect"
    assert judged("(1.00, 2.00)", r"\boxed{(1.001, 2)}", "math(tolerance=1%)") == "correct"
    assert (
        judged("x+1", r"\boxed{1.001x+1}", "math(tolerance=1%)") == "incorrect"
    )  # of numbers only
    near = judge(problem("9.6e-23", "math(tolerance=1%)"), text)
    assert (near.rung, near.reason) == ("tolerance", "within the tolerance 1%")


@pytest.mark.parametrize(
    "verifier",
    ["math(tolerance=150%)", "math(tolerence=1%)", "math(members=some)", "math(1%)", "math("],
)
def test_fault_8_a_rule_that_is_none_is_refused(verifier: str) -> None:
    with pytest.raises(UserError, match=r"verifier 'math"):
        judge(problem("1", verifier), r"\boxed{1}")


def test_fault_9_one_function_for_a_completion_and_one_for_an_answer() -> None:
    assert longstep.judge("1/2", r"so \boxed{0.5}").status == "correct"
    assert longstep.same("1/2", "0.5").status == "correct"
    for prose in (
        r"so \boxed{0.5}",
        "<think>2</think>The answer is 0.5",
        "It is a half. Then 0.5 follows.\n\nDone",
    ):
        verdict = longstep.same("1/2", prose)
        assert verdict.status == "unparseable"
        assert "longstep.judge" in verdict.reason
    assert longstep.judge("1/2", "<think>0.5").status == "unparseable"
    assert longstep.judge("1/2", r"\boxed{0.5}", finish_reason="length").status == "truncated"
    near = longstep.declare(tolerance="1%")
    assert longstep.same("2.00", "1.99", rule=near).status == "correct"
    with pytest.raises(UserError, match="tolerance"):
        longstep.declare(tolerance="roughly")


def test_fault_9_the_front_loads_no_heavy_library() -> None:
    code = "import sys, longstep; longstep.judge; print(sorted({'torch', 'transformers', 'math_verify'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_declared_kind_counts_for_equal_texts_as_a_given_one_does() -> None:
    assert status("x+1", "x+1") == "correct"
    assert status("x+1", "x+1", kind="choice") == "bad_gold"
    assert status("x+1", "x+1", rule=longstep.declare(kind="choice")) == "bad_gold"


def test_named_protocols_find_answers_as_the_harnesses_do() -> None:
    text = "We get 3 apples, then 1,250 pears in 7 days."
    assert [find(text) for find in PROTOCOLS.values()] == [None, "7", "7"]
    assert PROTOCOLS["qwen-math"](r"\boxed{\frac{1}{2}} and 7") == r"\frac{1}{2}"
    assert PROTOCOLS["harness-flexible"]("costs $1,250.") == "1250"
    assert judged("7", text, "math(extract=qwen-math)") == "correct"
    assert judged("7", text) == "unparseable"


def matched(bench: str, row: str, answers: tuple[str | None, str | None] = (None, None)) -> str:
    index = Overlap().build([Item("b", "1", bench, answers[0])])
    matches = index.scan([row], [answers[1]])[0]
    return matches[0].kind if matches else "none"


DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n{}\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)
WALK = "Every morning Aya walks 9 kilometers and then stops at a coffee shop; at s kilometers per hour it takes 4 hours."


def test_fault_10_letters_that_are_multiplied_are_one_word_or_two() -> None:
    spaced = "Let $f(x y)=f(x)+f(y)+x y$ for all positive $x, y$. Find $f(a b c)$ if $f(a b)=3$."
    tight = spaced.replace("x y", "xy").replace("a b c", "abc").replace("a b", "ab")
    assert matched(spaced, tight) == "identical"
    assert matched(spaced, "Compute $x y$ for $x=3$ and $y=4$ by hand.") == "none"


def test_fault_11_a_published_wrapper_is_no_part_of_the_question() -> None:
    assert matched(WALK, DAPO.format(WALK)) == "identical"
    assert matched(DAPO.format(WALK), WALK) == "identical"
    other = DAPO.format("Compute the number of primes below 100.")
    assert matched(DAPO.format(WALK), other) == matched(WALK, other) == "none"


CUBE = (
    "The probability that a random walk returns is $\\frac{k}{m}$ where $k$ and $m$ are coprime positive integers and "
    "the walk has 12 steps on the cube. Find "
)


def test_fault_12_a_re_posed_answer_is_no_other_answer() -> None:
    for key in ("129", "130"):  # 129 is 7 + 122, 130 a wrong key
        assert matched(CUBE + "$k+m$.", CUBE + "the probability.", (key, "7/122")) == "reworded"
    # a sum of the question's own letters is no answer in another form: MATH-500's question of four numbers beside
    # DeepScaleR's of three, each answered by the square of how many
    four = "Let $a,$ $b,$ $c,$ $d$ be positive real numbers. Find the minimum value of (a + b + c + d) (1/a + 1/b + 1/c + 1/d)."
    three = (
        "Let $x,$ $y,$ and $z$ be positive real numbers such that $x + y + z = 1.$ Find the minimum value of "
        "1/x + 1/y + 1/z."
    )
    assert not re_posed(four) and not re_posed(three) and re_posed(CUBE + "$k+m$.")
    assert matched(three, four, ("9", "16")) not in ("identical", "reworded")


SUBSETS = "Let $N$ be the number of subsets of $\\{1,2,\\dots,20\\}$ that contain no two consecutive integers. "


@pytest.mark.parametrize(
    "asked",
    [
        "Find the remainder when $N$ is divided by $1000$.",
        "Find the remainder obtained when $N$ is divided by $1{,}000$.",
        "What is the remainder when $N$ is divided by 1,000?",
        "Find the last three digits of $N$.",
    ],
)
def test_fault_12_the_last_three_digits_are_no_other_question(asked: str) -> None:
    for one, other in (
        ((asked, "711"), ("Find $N$.", "17711")),
        (("Find $N$.", "17711"), (asked, "711")),
    ):
        got = matched(SUBSETS + one[0], SUBSETS + other[0], (one[1], other[1]))
        assert got in ("identical", "reworded")
    # another modulus is another question, as is another number of digits
    for modulus in ("13", "100", "10000", "1000000", "1,000,000"):
        other = f"Find the remainder when $N$ is divided by ${modulus}$."
        got = matched(SUBSETS + asked, SUBSETS + other, ("711", "5"))
        assert got not in ("identical", "reworded"), modulus


def test_fault_13_one_word_or_sign_with_another_answer_is_another_problem() -> None:
    text = "Find the {} value of $x^2 {} 3x + 7$ for all real numbers $x$ between 0 and 10 in the given interval {}."
    first = text.format(
        "maximum",
        "+",
        "of length ten that is closed at both of its ends and has eleven whole numbers",
    )
    for one, two in (("maximum", "minimum"), (" + 3x", " - 3x")):
        assert matched(first, first.replace(one, two), ("137", "7")) not in (
            "identical",
            "reworded",
        )
        assert matched(first, first, ("137", "7")) == "identical"


HALL = "There are 48 {} in the hall, and each of the 12 tables seats {} persons of either group of visitors from town."
LINE = "The line through the points $(2,5)$ and $(6,{}13)$ meets the line $y = 3x {} 4$ in a point $P$ of the plane."


@pytest.mark.parametrize(
    ("question", "row"),
    [
        (
            "Find the radius of the circle $9x^2-18x+9y^2+36y+44=0$ in the plane.",
            "Find the center of the circle $9x^2-18x+9y^2+36y+44=0$ in the plane.",
        ),
        (HALL.format("chairs", "four"), HALL.format("benches", "four")),
        (HALL.format("chairs", "four"), HALL.format("chairs", "at most four")),
        (HALL.format("chairs", "four"), HALL.format("chairs", "four consecutive")),
        (LINE.format("", "+"), LINE.format("", "-")),
        (LINE.format("", "+"), LINE.format("-", "+")),
        (
            "If $3x + 4y = 25$ and $2x - y = 2$ hold together, find the value of $x$.",
            "If $3x + 4y = 25$ and $2x - y = 2$ hold together, find the value of $y$.",
        ),
        (
            "In triangle $PQR$ the sides are $PQ = 13$ and $QR = 14$ and $PR = 15$. Find the height upon $QR$.",
            "In triangle $PQR$ the sides are $PQ = 13$ and $QR = 14$ and $PR = 15$. Find the height upon $PR$.",
        ),
        (
            "How many students of the 30 in the class take music but do not take art, if 12 take both of them?",
            "How many students of the 30 in the class take music but do take art, if 12 take both of them?",
        ),
    ],
)
def test_13_one_word_letter_or_sign_that_changes_with_the_answer_is_another_problem(
    question: str, row: str
) -> None:
    same = ("identical", "reworded")
    assert matched(question, row, ("137", "7")) not in same
    assert matched(row, question, ("7", "137")) not in same
    # with one answer, and as it is with a wrong key, it is the same problem
    assert matched(question, row, ("7", "7")) in same
    assert matched(question, question, ("7", "137")) == "identical"


def test_13_a_copy_in_other_words_with_a_wrong_key_is_still_the_same_problem() -> None:
    question = (
        "A drawer holds 14 red and 9 blue socks. Determine the smallest number of socks that has to be drawn in the dark "
        "so that 4 of them share a color."
    )
    row = "There are 14 red and 9 blue socks in a drawer. What is the smallest number of socks drawn in the dark of which 4 share a color?"
    assert matched(question, row, ("7", "8")) == "reworded"


@pytest.mark.parametrize(
    ("question", "row", "answers"),
    [
        ("Compute $\\dbinom{31}{28}$.", "What is 28 times 31?", ("4495", "868")),
        ("Compute $\\dbinom{31}{28}$.", "What is 28 times 31?", (None, None)),
        ("Compute $\\gcd(48, 18)$.", "What is 48 minus 18?", ("6", "30")),
        (
            "Let $x,y$ and $z$ be positive real numbers that satisfy the following system of equations: "
            "$\\log(x/yz)=1/2$, $\\log(y/xz)=1/3$, $\\log(z/xy)=1/4$. Then the value of $\\log(x^4y^3z^2)$ is "
            "$m/n$ where $m$ and $n$ are relatively prime positive integers. Find $m+n$.",
            "Let $x,y$ and $z$ be positive real numbers satisfying the system of equations: $\\sqrt{2x-xy} = 1$, "
            "$\\sqrt{2y-yz} = 2$, $\\sqrt{2z-zx} = 3$. Then $(1-x)(1-y)(1-z)$ can be written as $m/n$ where $m$ and "
            "$n$ are relatively prime positive integers. Find $m+n$.",
            ("33", "33"),
        ),
    ],
)
def test_13_stock_phrases_numbers_and_an_equal_answer_are_no_problem(
    question: str, row: str, answers: tuple[str | None, str | None]
) -> None:
    assert matched(question, row, answers) not in ("identical", "reworded")


def test_fault_14_answers_can_be_left_out() -> None:
    texts = ("How many even integers between 1 and 100 are divisible by 7 and not by 3?",
             "How many odd integers between 1 and 100 are divisible by 7 and not by 3?")  # fmt: skip
    items = [Item("b", "1", texts[0], "5")]
    without = Overlap(answers="ignore").build(items)
    assert without.scan([texts[1]], ["6"]) == without.scan([texts[1]])
    assert Overlap().build(items).scan([texts[1]], ["6"]) != without.scan([texts[1]], ["6"])


def test_fault_14_columns_without_an_answer_leave_it_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"problem": "What is 2+2?", "answer": "4"}) + "\n", encoding="utf-8")
    answers = []
    for columns in ({"prompt": "problem"}, {"prompt": "problem", "answer": "answer"}):
        job = Decontaminate(inputs=(path,), against=("math500",), columns=columns)
        (chunk,) = chunks((path,), Place())
        answers.append(job.reader()(chunk)[0][0].record.answer)
    assert answers == [None, "4"]


def cleaned(folder: Path, *words: object) -> str:
    """The class that ``data decontaminate`` gives to a question with one word and the answer changed."""
    question = "How many even integers between 1 and 100 are divisible by 7 and not by 3?"
    row = {"text": question.replace("even", "odd"), "answer": "6", "expected": "5"}
    other = {"text": "Who was it?", "answer": "Ada", "expected": "Ada"}
    write(folder / "rows.jsonl", row, other)
    write(folder / "exam.jsonl", {"asked": question, "answer": "a note of the grader", "key": "5"})
    out = folder / f"out-{len(list(folder.iterdir()))}"
    typed("decontaminate", folder / "rows.jsonl", *words, "--out", out, "--json")
    hits = (out / "out" / "hits.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(hits[0])["class"] if hits else "none"


def typed(*words: object) -> None:
    done = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_14_benchmark_files_have_columns_of_their_own(tmp_path: Path) -> None:
    exam = tmp_path / "exam.jsonl"
    asked = ("--against", exam, "--against-columns")
    # one word and the answer differ: another problem; on texts alone, or with the answer left out on a side, the same
    assert (
        cleaned(
            tmp_path, "--columns", "prompt=text,answer=answer", *asked, "prompt=asked,answer=key"
        )
        != "reworded"
    )
    assert (
        cleaned(
            tmp_path, "--columns", "prompt=text,answer=expected", *asked, "prompt=asked,answer=key"
        )
        == "reworded"
    )
    assert (
        cleaned(tmp_path, "--columns", "prompt=text", *asked, "prompt=asked,answer=key")
        == "reworded"
    )
    assert (
        cleaned(tmp_path, "--columns", "prompt=text,answer=answer", *asked, "prompt=asked")
        == "reworded"
    )
    alone = ("--mode", "overlap:answers=ignore")
    assert (
        cleaned(
            tmp_path,
            "--columns",
            "prompt=text,answer=answer",
            *asked,
            "prompt=asked,answer=key",
            *alone,
        )
        == "reworded"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("exam.jsonl", "prompt=askd"), r"exam.jsonl:1:askd: is missing; did you mean 'asked'\?"),
        (("exam.jsonl", "prompt=asked,answer=gold"), r"no row of .*exam.jsonl has the column 'gold'.*present: asked"),
        (("exam.jsonl", "answer=key"), "which column is the prompt"),
        (("math500", "prompt=asked"), "math500 is none"),
    ],
)  # fmt: skip
def test_14_columns_of_a_benchmark_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        cleaned(
            tmp_path,
            "--columns",
            "prompt=text",
            "--against",
            words[0],
            "--against-columns",
            words[1],
        )


def test_an_unreadable_row_is_told_from_a_wrong_answer_everywhere() -> None:
    row = replace(problem("x = 3, y ="), verifier="math(tolerance=1%)")
    assert judge(row, r"\boxed{3}").correctness is None
