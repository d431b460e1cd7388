"""The published benchmarks: each loads from a copy of its own layout, whole or not at all, with keys that can be read.

The rows are written here, in the columns of the published sets; none of theirs is repeated.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstep.config import UserError, dump
from longstep.evaluate import BENCHMARKS, Benchmark
from longstep.evaluate.benchmarks import BOXED, unreadable_keys
from longstep.evaluate.published import NUM_PROBLEMS
from longstep.types import Problem
from longstep.verify import judge

#: Rows in the columns of each set; (question, an answer that is right, one that is wrong) of those that belong to it.
LAYOUTS: dict[str, tuple[dict[str, list[dict]], list[tuple[str, str, str]]]] = {
    "math": (
        {
            "test": [
                {"problem": "Halve $3$.", "level": "Level 1", "type": "Algebra", "solution": r"It is $\boxed{\frac32}$."},
                {"problem": "Who won?", "level": "Level 2", "type": "Algebra", "solution": r"So \boxed{\text{Ada}} won."},
            ]
        },
        [("Halve $3$.", "1.5", "3"), ("Who won?", r"\text{Ada}", r"\text{Bob}")],
    ),
    "svamp": (
        {
            "train": [
                {"ID": "chal-1", "Body": "Mia has 8 pens", "Question": "How many are left if she gives 3 away?",
                 "Equation": "( 8.0 - 3.0 )", "Answer": "5.0", "Type": "Subtraction",
                 "question_concat": "Mia has 8 pens How many are left if she gives 3 away?"},
            ],
            "test": [
                {"ID": "chal-2", "Body": "A box holds 4 cups.", "Question": "How many do 6 boxes hold?",
                 "Equation": "( 4.0 * 6.0 )", "Answer": "24.0", "Type": "Multiplication",
                 "question_concat": "A box holds 4 cups. How many do 6 boxes hold?"},
            ],
        },
        [
            ("Mia has 8 pens. How many are left if she gives 3 away?", "5", "11"),
            ("A box holds 4 cups. How many do 6 boxes hold?", "24", "10"),
        ],
    ),
    "asdiv": (
        {
            "validation": [
                {"body": "Two cats sit here and five there.", "question": "How many cats are there?",
                 "solution_type": "Addition", "answer": "7 (times)", "formula": "2+5=7"},
                {"body": "A has 1 and B has 2.", "question": "How many has each?", "solution_type": "LCM",
                 "answer": "1 (apples); 2 (apples)", "formula": "1;2"},
            ]
        },
        [("Two cats sit here and five there. How many cats are there?", "7", "3")],
    ),
    "minerva": (
        {"test": [{"question": "What is the speed in m/s?", "answer": "9.6e-23"},
                  {"question": "Give the force.", "answer": "m g"}]},
        [("What is the speed in m/s?", "9.58 \\times 10^{-23}", "9.4e-23"), ("Give the force.", "g m", "m + g")],
    ),
    "olympiad": (
        {
            "test": [
                {"id": 1, "question": "Solve $x^2 = 4$.", "solution": ["By hand."], "final_answer": ["$2,-2$"],
                 "context": None, "modality": "Text-only", "difficulty": "Competition", "is_multiple_answer": True,
                 "unit": None, "answer_type": "Numerical", "error": None, "question_type": "Open-ended",
                 "subfield": "Algebra", "subject": "Math", "language": "English"},
                {"id": 2, "question": "Find $n$.", "solution": ["By hand."], "final_answer": ["12"], "context": None,
                 "modality": "Text-only", "difficulty": "Competition", "is_multiple_answer": False, "unit": None,
                 "answer_type": "Numerical", "error": None, "question_type": "Open-ended", "subfield": "Algebra",
                 "subject": "Math", "language": "English"},
            ]
        },
        [("Solve $x^2 = 4$.", "-2, 2", "2"), ("Find $n$.", "12", "2")],
    ),
    "mmlu_stem": (
        {
            "test": [
                {"question": "Which is prime?", "subject": "high_school_mathematics", "choices": ["4", "6", "7", "9"],
                 "answer": 2},
                {"question": "Who ruled?", "subject": "world_religions", "choices": ["A", "B", "C", "D"], "answer": 0},
                {"question": "Which is prime?", "subject": "elementary_mathematics", "choices": ["4", "6", "7", "9"],
                 "answer": 2},
            ]
        },
        [("Which is prime?\nAnswer Choices: (A) 4 (B) 6 (C) 7 (D) 9", "C", "7")] * 2,
    ),
}  # fmt: skip


def local(name: str, folder: Path, splits: dict[str, list[dict]], size: int | None) -> Benchmark:
    """The shipped benchmark, its rows read from a folder."""
    for split, rows in splits.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}-00000.jsonl").write_text(text, encoding="utf-8")
    shipped = dump(BENCHMARKS[name])
    source = {**shipped["source"], "name": str(folder), "subset": None}
    return Benchmark.model_validate({**shipped, "source": source, "size": size})


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_is_read(name: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    splits, wanted = LAYOUTS[name]
    problems = local(name, tmp_path, splits, len(wanted)).load()
    assert [problem.prompt for problem in problems] == [f"{each[0]}{BOXED}" for each in wanted]
    assert len({problem.id for problem in problems}) == len(wanted)
    assert not unreadable_keys(problems)
    for problem, (_, right, wrong) in zip(problems, wanted, strict=True):
        assert judge(problem, rf"So \boxed{{{right}}}").status == "correct"
        assert judge(problem, rf"So \boxed{{{wrong}}}").status == "incorrect"


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_number_of_questions_than_published_is_refused(name: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    size = BENCHMARKS[name].size
    said = rf"{name}: its source holds \d problems and {size:,} are published; check the split"
    with pytest.raises(UserError, match=said):
        local(name, tmp_path, LAYOUTS[name][0], size).load()


def test_sizes_are_those_that_published_scores_are_compared_under() -> None:
    assert {name: BENCHMARKS[name].size for name in NUM_PROBLEMS} == NUM_PROBLEMS
    assert {name: BENCHMARKS[name].size for name in ("math", "svamp", "asdiv", "mmlu_stem", "gsm8k")} == {
        "math": 5000, "svamp": 1000, "asdiv": 2215, "mmlu_stem": 3018, "gsm8k": 1319,
    }  # fmt: skip
    assert BENCHMARKS["minerva"].rows({}) == 272


def benchmark(folder: Path, keys: list[str]) -> Benchmark:
    path = folder / "exam.jsonl"
    rows = [json.dumps({"problem": f"{n}?", "answer": key}) for n, key in enumerate(keys)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Benchmark.model_validate(
        {"name": "exam", "source": {"kind": "jsonl", "path": str(path)}}
    )


def test_keys_that_cannot_be_read_are_named_or_refused(tmp_path: Path) -> None:
    problems = benchmark(tmp_path, [*map(str, range(19)), r"\frac{1}{"]).load()
    assert unreadable_keys(problems) == {problems[-1].id: "broken"}
    with pytest.raises(
        UserError, match=r"exam: 3 of 20 keys cannot be read, the first is that of \w+ \(broken\)"
    ):
        benchmark(tmp_path, [*map(str, range(17)), "x = 3, y =", "N/A", "(1, 2"]).load()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (7, "got 7, expected|got text '7', expected the place, letter or text of one of 4"),
        ("E", "one of 4 choices"),
    ],
)
def test_a_choice_that_is_none_is_refused(tmp_path: Path, answer: object, said: str) -> None:
    pytest.importorskip("datasets")
    row = {
        "question": "Which?",
        "subject": "astronomy",
        "choices": ["a", "b", "c", "d"],
        "answer": answer,
    }
    with pytest.raises(UserError, match=said):
        local("mmlu_stem", tmp_path, {"test": [row]}, 1).load()


def test_a_problem_says_nothing_of_how_foreign_code_finds_answers() -> None:
    from longstep.evaluate.score import extraction

    ways = ["math", "exact", "math(extract=qwen-math)", "my_module:mine"]
    problems = [Problem("p", "?", "1", verifier=each) for each in ways]
    assert extraction(problems) == "its own and qwen-math and strict"
    assert extraction(problems[:2]) == "strict"
