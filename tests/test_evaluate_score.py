"""Scoring stored answers, scoring them again without a model, and naming what flipped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from longstep.artifacts import read_rows, write_rows
from longstep.config import UserError, ValidationError
from longstep.evaluate import (
    Protocol,
    Side,
    completions_path,
    diff,
    notes,
    problems_path,
    rescore,
    score,
    store,
)
from longstep.evaluate.benchmarks import BENCHMARKS, Asked, Benchmark, benchmark
from longstep.evaluate.diff import summary, told
from longstep.evaluate.published import PUBLISHED, published, tolerance
from longstep.report.scores import read_scores
from longstep.types import Completion, Problem, Verdict

PROBLEMS = [
    Problem(f"p{i}", f"{i}+1?", str(i + 1), verifier="exact", difficulty=i + 1) for i in range(8)
]
#: One row a problem, one letter a sample: r right, w wrong, n no answer, c cut off.
BASE = ["rrrr", "rrrw", "rrww", "wwww", "wwwn", "wwcc", "wwww", "wwww"]
TUNED = ["rrrr", "rrrr", "rrrr", "rrrw", "rrrn", "rrcc", "rwww", "wwww"]


def answer(problem: Problem, letter: str) -> str:
    if letter == "c":
        return "<think>so first"
    said = {"r": f"\\boxed{{{problem.answer}}}", "w": "\\boxed{99}", "n": "I do not know"}[letter]
    return f"<think>a step</think>{said}"


def completions(marks: list[str]) -> list[Completion]:
    return [
        Completion(
            problem_id=problem.id,
            sample_index=index,
            prompt_ids=(1, 2),
            token_ids=(5,) * (10 if letter == "c" else 4),
            text=answer(problem, letter),
            finish_reason="length" if letter == "c" else "stop",
        )
        for problem, row in zip(PROBLEMS, marks, strict=True)
        for index, letter in enumerate(row)
    ]


def judged(marks: list[str]) -> list[Completion]:
    status = {"r": "correct", "w": "incorrect", "n": "unparseable", "c": "truncated"}
    letters = [letter for row in marks for letter in row]
    return [
        replace(row, verdict=Verdict(status[letter], "x" if letter in "rw" else None))
        for row, letter in zip(completions(marks), letters, strict=True)
    ]


def protocol(samples: int = 4, *models: str) -> Protocol:
    asked = Asked(samples=samples, slices={"easy": (1, 3), "hard": (6, 8)})
    return Protocol(models=models or ("base", "tuned"), benchmarks={"add": asked}, resamples=2000)


def folder(path: Path, **models: list[Completion]) -> Path:
    store(path, protocol(4, *models), {"add": PROBLEMS})
    for model, rows in models.items():
        write_rows(completions_path(path, model, "add"), rows)
    return path


def side(path: Path, **models: list[Completion]) -> Side:
    return Side(folder(path, **models), path.name)


def test_a_score_says_what_was_declared_about_judging() -> None:
    stored = {"one": {"add": judged(BASE)}}
    plain = score(stored, {"add": PROBLEMS}, protocol(4, "one"))
    assert "verifier" not in plain["protocol"]["benchmarks"]["add"]  # nothing is declared
    assert (
        "extraction strict" in read_scores("", plain).protocol[0]
    )  # and how answers are found is said all the same
    declared = [
        replace(each, verifier=f"math(tolerance=1%, extract={how})")
        for each, how in zip(PROBLEMS, ["qwen-math", "strict"] * 4, strict=True)
    ]
    said = score(stored, {"add": declared}, protocol(4, "one"))
    wanted = (
        "math(tolerance=1%, extract=qwen-math) and math(tolerance=1%, extract=strict)"  # sorted
    )
    assert said["protocol"]["benchmarks"]["add"]["verifier"] == wanted
    assert f"verifier {wanted}" in read_scores("", said).protocol[0]  # what the report prints
    own = [replace(each, verifier=f"math(tolerance={n + 1}%)") for n, each in enumerate(PROBLEMS)]
    many = score(stored, {"add": own}, protocol(4, "one"))
    named = " and ".join(f"math(tolerance={n}%)" for n in (1, 2, 3))
    assert many["protocol"]["benchmarks"]["add"]["verifier"] == f"{named} and 5 others"


def test_keys_that_cannot_be_read_are_named_beside_the_score() -> None:
    broken = [replace(PROBLEMS[0], answer="N/A"), *PROBLEMS[1:]]
    said = score({"one": {"add": judged(BASE)}}, {"add": broken}, protocol(4, "one"))
    assert "unreadable keys 1 of 8: p0 (a placeholder)" in read_scores("", said).protocol[0]


def test_scores_under_two_protocols_are_told_apart(tmp_path: Path) -> None:
    ours = side(tmp_path / "a", base=judged(BASE))
    theirs = side(tmp_path / "b", base=judged(BASE))
    alike = "add: asked and judged alike in both, answers are found by strict"
    assert list(notes(ours, theirs)) == [alike]
    path = problems_path(theirs.folder, "add")
    write_rows(path, [replace(each, verifier="math(extract=qwen-math)") for each in PROBLEMS])
    asked = Asked(samples=4, temperature=0.0)
    store(
        ours.folder, Protocol(models=("base", "sft"), benchmarks={"add": asked}), {"add": PROBLEMS}
    )
    sentences = list(notes(Side(ours.folder, "a"), Side(theirs.folder, "b")))
    assert sentences == [
        "add: not asked and judged alike: temperature is 0 in the first and 0.6 in the second; extraction is strict in "
        "the first and qwen-math in the second; verifier is none in the first and math(extract=qwen-math) in the "
        "second; so the two scores do not say which model is better, score both under one protocol",
        "model sft: only in a, not compared by name",
    ]


def test_score_by_hand():
    stored = {"base": {"add": judged(BASE)}, "tuned": {"add": iter(judged(TUNED))}}
    results = score(stored, {"add": PROBLEMS}, protocol())
    cell = results["models"]["base"]["add"]["all"]
    # right: 4 + 3 + 2 = 9 of 32; cut 2, no answer 1
    assert cell["avg"]["value"] == round(9 / 32, 6)
    assert (cell["problems"], cell["samples"]) == (8, 4)
    assert cell["truncated"] == 2 / 32 and cell["stopped"] == 30 / 32
    assert cell["no_answer"] == round(1 / 32, 6) and cell["unscorable"] == 0
    assert cell["tokens_mean"] == (30 * 4 + 2 * 10) / 32
    assert cell["finished_avg"] == 0.3  # 9 of the 30 that ended
    # pass@2: 1, 1, 1 - C(2,2)/C(4,2) = 5/6, else 0; pass@4: three problems of eight
    assert cell["pass"]["2"]["value"] == round((2 + 5 / 6) / 8, 6)
    assert cell["pass"]["4"]["value"] == 3 / 8
    # majority: sure, sure, tie of 2 and 2
    assert cell["maj"]["4"]["value"] == 2.5 / 8
    assert cell["avg"]["ci95"][0] < 9 / 32 < cell["avg"]["ci95"][1]
    slices = results["models"]["base"]["add"]
    assert slices["easy"]["avg"]["value"] == 0.75 and slices["easy"]["problems"] == 3
    assert slices["hard"]["avg"]["value"] == 0
    whole = next(c for c in results["comparisons"] if c["slice"] == "all")
    # tuned: 4+4+4+3+3+2+1 = 21 of 32
    assert whole["delta"] == 12 / 32 and whole["distinguishable"]
    assert "tuned is better" in whole["sentence"]
    easy = next(c for c in results["comparisons"] if c["slice"] == "easy")
    assert easy["sentence"].startswith("add easy: tuned - base = +25.0 points")
    assert "not distinguishable" in easy["sentence"]  # three problems


def test_order_of_rows_does_not_matter():
    rows = judged(BASE)
    results = [
        score({"base": {"add": order}}, {"add": PROBLEMS}, protocol(4, "base"))
        for order in (rows, rows[::-1])
    ]
    assert json.dumps(results[0]) == json.dumps(results[1])


def test_timeouts_are_excluded_and_counted():
    rows = judged(BASE)
    rows[4] = replace(rows[4], verdict=Verdict("timeout", None))  # p1: 2 of 3 left
    rows[28:32] = [replace(row, verdict=Verdict("bad_gold", None)) for row in rows[28:32]]  # p7
    cell = score({"base": {"add": rows}}, {"add": PROBLEMS}, protocol(4, "base"))["models"]["base"]
    cell = cell["add"]["all"]
    assert cell["avg"]["value"] == round((1 + 2 / 3 + 1 / 2) / 7, 6)
    assert (cell["unscorable"], cell["unscorable_problems"], cell["problems"]) == (5, 1, 7)
    assert set(cell["pass"]) == {"1", "2"}  # p1 has three scorable samples, so no pass@4


def test_too_few_stored_samples_are_refused():
    with pytest.raises(UserError, match="avg@64 asked, problem p0 has 4 stored samples"):
        score({"base": {"add": judged(BASE)}}, {"add": PROBLEMS}, protocol(64, "base"))
    with pytest.raises(UserError, match="model tuned: no completions for benchmark add"):
        score({"base": {"add": judged(BASE)}}, {"add": PROBLEMS}, protocol(4))


def test_a_slice_without_problems_is_refused():
    asked = Asked(samples=4, slices={"huge": (20, 30)})
    with pytest.raises(UserError, match=r"slice huge of benchmark add: .* run from 1 to 8"):
        score(
            {"base": {"add": judged(BASE)}},
            {"add": PROBLEMS},
            Protocol(models=("base",), benchmarks={"add": asked}),
        )


def test_a_model_name_cannot_leave_the_folder():
    with pytest.raises(ValueError, match="becomes a file name"):
        protocol(4, "../base")


def test_rescore_verifies_stored_text_and_is_byte_identical(tmp_path):
    path = folder(tmp_path / "run", base=completions(BASE), tuned=completions(TUNED))
    rescore(path)  # the rows had no verdicts at all
    first = (path / "results.json").read_bytes()
    answers = completions_path(path, "base", "add").read_bytes()
    statuses = [
        row.verdict.status for row in read_rows(completions_path(path, "base", "add"), Completion)
    ]
    assert statuses == [row.verdict.status for row in judged(BASE)]
    stored = {
        model: {"add": read_rows(completions_path(path, model, "add"), Completion)}
        for model in ("base", "tuned")
    }
    assert score(stored, {"add": PROBLEMS}, protocol()) == json.loads(first)
    # again; and again after somebody deleted scores and verdicts
    rescore(path)
    assert (path / "results.json").read_bytes() == first
    (path / "results.json").unlink()
    write_rows(completions_path(path, "base", "add"), completions(BASE))
    rescore(path)
    assert (path / "results.json").read_bytes() == first
    assert completions_path(path, "base", "add").read_bytes() == answers


def test_rescore_refuses_more_samples_than_stored(tmp_path):
    path = folder(tmp_path / "run", base=completions(BASE))
    with pytest.raises(UserError, match="avg@64 asked, problem p0 has 4 stored samples"):
        rescore(path, samples=64)
    assert not (path / "results.json").exists()
    assert rescore(path, samples=2)["models"]["base"]["add"]["all"]["samples"] == 2


def test_rescore_names_what_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"no protocol\.json"):
        rescore(tmp_path)
    path = folder(tmp_path / "run", base=completions(BASE)[:-1])
    with pytest.raises(UserError, match="problem p7 has 3 stored samples"):
        rescore(path)


def test_diff_of_equal_folders_is_empty(tmp_path):
    a, b = side(tmp_path / "a", base=judged(BASE)), side(tmp_path / "b", base=judged(BASE))
    (found,) = diff(a, b)
    assert found.flips == () and found.delta == 0 and not found.distinguishable
    assert summary(found.flips) == "no problem flipped"


def test_diff_names_the_flipped_problems_and_why(tmp_path):
    rows = judged(BASE)
    right, wrong = Verdict("correct", "x"), Verdict("incorrect", "x")
    rows[0] = replace(rows[0], verdict=wrong)  # p0: same text, other verdict
    rows[4] = replace(rows[4], prompt_ids=(1, 3), verdict=wrong)  # p1: other prompt
    rows[8] = replace(
        rows[8], finish_reason="length", text="<think>", verdict=Verdict("truncated", None)
    )
    rows[12] = replace(rows[12], text="luck", verdict=right)  # p3: sampled
    rows[16] = replace(rows[16], verdict=right)  # p4: one up, one down, same score
    rows = rows[:31]  # p7: a sample is gone, but its score stays 0
    (found,) = diff(side(tmp_path / "a", base=judged(BASE)), side(tmp_path / "b", base=rows))
    flips = {flip.problem_id: flip for flip in found.flips}
    assert {name: flip.why for name, flip in flips.items()} == {
        "p0": "verifier",
        "p1": "prompt",
        "p2": "truncation",
        "p3": "sampled",
        "p4": "verifier",
    }
    assert (flips["p0"].score_a, flips["p0"].score_b) == (1.0, 0.75)
    assert told(flips["p0"]).startswith(
        "0+1? (key 1): 1.00 -> 0.75; answers 4 x x -> 4 x x; 1 x the same text"
    )
    assert summary(found.flips).startswith("5 problems flipped: 1 because the prompt differs")


def test_diff_sees_a_changed_verdict_behind_an_equal_score(tmp_path):
    rows = judged(BASE)
    rows[4] = replace(rows[4], verdict=Verdict("incorrect", "x"))
    rows[7] = replace(rows[7], verdict=Verdict("correct", "x"))
    (found,) = diff(side(tmp_path / "a", base=judged(BASE)), side(tmp_path / "b", base=rows))
    assert [(f.problem_id, f.causes, f.change) for f in found.flips] == [("p1", {"verifier": 2}, 0)]


def test_diff_sees_a_changed_gold_answer_and_a_changed_question(tmp_path):
    rows = judged(BASE)
    rows[0:4] = [replace(row, verdict=Verdict("incorrect", "x")) for row in rows[0:4]]
    a, b = side(tmp_path / "a", base=judged(BASE)), side(tmp_path / "b", base=rows)
    write_rows(problems_path(b.folder, "add"), [replace(PROBLEMS[0], answer="5"), *PROBLEMS[1:]])
    assert [(flip.problem_id, flip.why) for flip in diff(a, b)[0].flips] == [("p0", "gold")]
    # what an endpoint was asked has no ids, so the text counts
    write_rows(problems_path(b.folder, "add"), [replace(PROBLEMS[0], prompt="?"), *PROBLEMS[1:]])
    assert [(flip.question, flip.why) for flip in diff(a, b)[0].flips] == [("?", "prompt")]


def test_diff_between_two_models_of_one_run(tmp_path):
    run = side(tmp_path / "run", base=judged(BASE), tuned=judged(TUNED))
    (found,) = diff(run, run, ("base", "tuned"))
    assert [flip.problem_id for flip in found.flips] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    # 9 of 32 against 21 of 32, and the interval is that of the score table
    stored = {"base": {"add": judged(BASE)}, "tuned": {"add": judged(TUNED)}}
    whole = score(stored, {"add": PROBLEMS}, protocol())["comparisons"][0]
    assert (found.score_a, found.score_b, found.delta) == (9 / 32, 21 / 32, 12 / 32)
    assert found.sentence == whole["sentence"] and found.ci95 == pytest.approx(
        whole["ci95"], abs=1e-6
    )
    assert (found.problems, found.gained, found.lost) == (8, 6, 0)
    other = side(tmp_path / "other", else_=judged(BASE), more=judged(BASE))
    with pytest.raises(
        UserError, match="share no model: one has base, tuned, the other else_, more"
    ):
        diff(run, other)
    with pytest.raises(UserError, match="other: no model is called 'mor'; did you mean 'more'"):
        diff(run, other, ("base", "mor"))


def test_published_table_is_light_r1s():
    rows = {(row.model, row.benchmark): row for row in published("light-r1")}
    assert rows["+ merge", "aime24"].value == 76.6
    assert ("+ DPO", "livecodebench") not in rows  # not printed
    assert len(rows) == 5 * 4 - 1
    # both runs k = 64, N = 30: 1.96 * sqrt(2) * 0.884 points = 2.45
    assert tolerance(rows["+ merge", "aime24"], k=64) == pytest.approx(2.45, abs=0.01)
    assert tolerance(rows["+ merge", "livecodebench"], k=64) is None
    assert len({(r.table, r.model, r.benchmark) for r in PUBLISHED}) == len(PUBLISHED)


def test_benchmark_names_and_protocol():
    aime = benchmark("aime24")
    assert (aime.samples, aime.temperature, aime.top_p, aime.max_tokens) == (64, 0.6, 0.95, 32768)
    assert aime.asked == Asked()
    assert all(name == member.name for name, member in BENCHMARKS.items())
    with pytest.raises(UserError, match="did you mean 'aime24'"):
        benchmark("aime_24")


def test_embedded_benchmarks_load_dressed_held_out_problems():
    plain = benchmark("chain").model_copy(update={"verifier": "math", "prompt_suffix": " Box it."})
    problems = plain.load(seed=3)
    assert len({problem.id for problem in problems}) == plain.source.count
    assert all(p.verifier == "math" and p.prompt.endswith("? Box it.") for p in problems)
    for low, high in plain.slices.values():
        assert any(low <= (problem.difficulty or 0) <= high for problem in problems)
    with pytest.raises(ValidationError, match=r"source\.chain\.cuont"):
        Benchmark.model_validate({"name": "mine", "source": {"kind": "chain", "cuont": 3}})


def test_every_embedded_benchmark_loads_with_its_slices():
    for name in ("chain", "addition", "equation", "countdown"):
        problems = benchmark(name).load(seed=0)
        levels = {problem.difficulty for problem in problems}
        low, high = BENCHMARKS[name].slices["hard"]
        assert max(level or 0 for level in levels) == high
        assert sum(low <= (problem.difficulty or 0) <= high for problem in problems) >= 6
