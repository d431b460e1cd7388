"""Problem sources: answers by an independent calculation, disjoint splits, honest traces, clear errors."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any, get_args

import pytest

from longstep.artifacts import read_json
from longstep.config import TypeAdapter, UserError, ValidationError
from longstep.context import Context
from longstep.evaluate import Benchmark
from longstep.formats.quarantine import Bad
from longstep.problems import (
    Addition,
    AnySource,
    Chain,
    Countdown,
    Equation,
    HubDataset,
    JsonlFile,
    Skills,
)
from longstep.problems.columns import Column
from longstep.problems.source import content_id
from longstep.progress import Progress
from longstep.stages.curate import Curate
from longstep.types import Problem
from longstep.verify import judge_gold
from longstep.verify.chain_steps import chain_steps
from longstep.verify.countdown import countdown as judge

FAMILIES = [Chain, Addition, Equation, Countdown]


def solve_chain(prompt: str) -> int:
    """Chase definitions from the last letter down, whatever their order."""
    body, _, modulus = prompt.rstrip("?").partition("%")
    table = dict(re.findall(r"([a-z])([-+*]?\d+)", body))

    def value(name: str) -> int:
        if name == min(table):
            return int(table[name])
        return eval(f"({value(chr(ord(name) - 1))}){table[name]}") % int(modulus or 10)

    return value(max(table))


def is_right(problem: Problem) -> bool:
    question, answer = problem.prompt.rstrip("?"), problem.answer
    if problem.source == "chain":
        return solve_chain(problem.prompt) == int(answer)
    if problem.source == "addition":
        return eval(question.removeprefix("add ")) == int(answer)
    if problem.source == "equation":
        left, right = question.removesuffix(",x").split("=")
        # 2(3x+4) -> 2*(3*(answer)+4)
        left = re.sub(r"(\d)\(", r"\1*(", left.replace("x", f"({answer})"))
        return eval(re.sub(r"(\d)\(", r"\1*(", left)) == int(right)
    numbers, target = question.split("->")
    used = Counter(re.findall(r"\d+", answer))
    return used == Counter(numbers.split()) and abs(eval(answer) - int(target)) < 1e-9


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gold_answers_are_right_by_an_independent_calculation(family, split):
    problems = list(family(count=100, difficulty=(1, 5), split=split).load(3))
    assert all(is_right(p) for p in problems)
    assert {p.difficulty for p in problems} == {1.0, 2.0, 3.0, 4.0, 5.0}


@pytest.mark.parametrize("order", ["serial", "shuffled"])
@pytest.mark.parametrize("modulus", [2, 10, 97])
def test_chain_orders_and_moduli(order, modulus):
    source = Chain(count=60, difficulty=(5, 7), order=order, modulus=modulus, operators="+-*")
    problems = list(source.load(0))
    assert all(solve_chain(p.prompt) == int(p.answer) for p in problems)
    names = ["".join(re.findall("[a-z]", p.prompt)) for p in problems]
    assert all(n == "".join(sorted(n)) for n in names) == (order == "serial")
    # the trace computes the definitions in order, whatever the prompt's order is
    traces = ["".join(re.findall("[a-z]", p.solution)) for p in problems]
    assert traces == ["".join(sorted(n)) for n in names]


def canonical(problem: Problem) -> object:
    """Commuted additions, reshuffled chains and reordered countdown numbers are one problem."""
    if problem.source == "addition":
        return frozenset(re.findall(r"\d+", problem.prompt))
    if problem.source == "chain":
        return frozenset(re.findall(r"[a-z][-+*]?\d+", problem.prompt))
    if problem.source == "countdown":
        numbers, target = problem.prompt.split("->")
        return tuple(sorted(numbers.split())), target
    return problem.prompt


@pytest.mark.parametrize(
    ("source", "count"),
    [
        # small spaces, so that most of each split is seen: 2000 chains with two steps or fewer ...
        (Chain(count=900, difficulty=(1, 2), order="shuffled", operators="+"), 150),
        (Addition(count=900, difficulty=(1, 2)), 150),
        (Equation(count=200, difficulty=(1, 1)), 25),
        (Countdown(count=200, difficulty=(1, 1), largest=12), 25),
    ],
    ids=lambda s: str(s) if isinstance(s, int) else s.kind,
)
def test_splits_share_no_problem_even_reordered(source, count):
    train = {canonical(p) for p in source.load(1)}
    for seed in range(3):
        changed = source.model_copy(update={"split": "heldout", "count": count})
        heldout = {canonical(p) for p in changed.load(seed)}
        assert heldout and not train & heldout


def test_skills_never_show_a_heldout_chain():
    direct = {p.prompt for p in Skills(count=900, skills=("direct",)).load(0)}
    heldout = {p.prompt for p in Chain(count=250, difficulty=(1, 2), split="heldout").load(5)}
    assert len(direct) == 900 and not direct & heldout


@pytest.mark.parametrize("family", [*FAMILIES, Skills])
def test_no_duplicates_and_the_seed_decides(family):
    source = family(count=60)
    first, again, other = (list(source.load(seed)) for seed in (5, 5, 6))
    assert first == again and first != other
    assert len({p.prompt for p in first}) == len({p.id for p in first}) == 60
    assert all(p.id == content_id(source.kind, p.prompt) for p in first)


def test_rows_do_not_depend_on_the_hash_seed():
    code = (
        "import sys\n"
        "from longstep.problems import *\n"
        "for s in (Chain, Addition, Equation, Countdown, Skills):\n"
        "    print(*[p.id for p in s(count=20).load(1)])\n"
        "print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(runs[0]) == 6
    assert runs[0][-1] == "set()"  # and no heavy library was imported


def false_claims(problem: Problem) -> int:
    """How many ``expression = value`` steps of a trace are not true."""
    if problem.source == "chain":
        value, false = int(problem.prompt[1]), 0
        for step, result in re.findall(r"[b-z]([-+*]\d)=(\d)", problem.solution):
            truth = eval(f"{value}{step}") % 10
            false += truth != int(result)
            value = truth if truth == int(result) else value
        return false
    if problem.source == "equation":
        # every line must hold at the true x
        lines = re.split("[;~]", problem.solution)
        probes = (Problem("", f"{line},x?", problem.answer, source="equation") for line in lines)
        return sum(not is_right(probe) for probe in probes)
    claims = re.findall(r"(\d+[-+*/]\d+(?:[+]\d+)?)=(\d+)", problem.solution)
    return sum(eval(left) != int(right) for left, right in claims)


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_traces_are_true_and_detours_are_repaired(family):
    plain = list(family(count=60, difficulty=(2, 4)).load(0))
    detour = list(family(count=60, difficulty=(2, 4), style="detour", detour_rate=0.5).load(0))
    assert [p.prompt for p in plain] == [p.prompt for p in detour]  # the style changes traces only
    assert all(false_claims(p) == 0 and "~" not in p.solution for p in plain)
    assert sum("~" in p.solution for p in detour) > 30
    for before, after in zip(plain, detour, strict=True):
        # a detour of countdown is a true step that leads nowhere; elsewhere it is one false claim
        expected = 0 if family is Countdown else after.solution.count("~")
        assert false_claims(after) == expected
        # what stands after the last doubt is the plain ending
        assert before.solution.endswith(after.solution.rsplit("~", 1)[-1])


#: The step that a doubt stands behind.
STEP_AND_DOUBT = {
    Chain: r"[a-z][-+]\d=\d~",
    Addition: r"\d\+\d\+\d=\d+~",
    Equation: r"[^;~]+~",
    Countdown: r"\d+[-+*/]\d+=\d+~",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_confirming_doubt_stands_behind_a_step_that_was_right(family):
    shared = {"count": 60, "difficulty": (2, 4), "style": "detour", "detour_rate": 0.5}
    always = list(family(**shared, confirming=1.0).load(0))
    assert sum("~" in p.solution for p in always) > 30
    for plain, doubted in zip(family(count=60, difficulty=(2, 4)).load(0), always, strict=True):
        for doubt in re.finditer(STEP_AND_DOUBT[family], doubted.solution):
            assert doubted.solution.startswith(doubt[0][:-1], doubt.end())
        # with every doubt and the step before it taken out, it is the plain trace
        assert re.sub(STEP_AND_DOUBT[family], "", doubted.solution) == plain.solution
    half = list(family(**shared, confirming=0.5).load(0))
    assert 10 < sum(one != two for one, two in zip(half, always, strict=True)) < 60
    never = list(family(**shared).load(0))
    assert never == list(family(**shared, confirming=0.0).load(0))


def test_traces_end_at_the_answer():
    for family in (Chain, Addition, Equation):
        for p in family(count=30, difficulty=(2, 3)).load(1):
            assert re.search(r"-?\d+$", p.solution)[0] == p.answer


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("3*8+10", "correct", ""),
        ("8*3+10=34", "correct", ""),  # another order than the gold, with the target repeated
        ("(10+8*3)", "correct", ""),
        ("10+3*8+0", "incorrect", "uses"),
        ("10+24", "incorrect", "uses"),
        ("10*3+8", "incorrect", "value 38"),
        ("10/(3-3)", "incorrect", "not an expression"),
        ("10**8**9", "incorrect", "only whole numbers"),
        ("__import__('os')", "incorrect", "only whole numbers"),
        ("(" * 150, "incorrect", "not an expression"),
        ("1+" * 150 + "1", "incorrect", "longer than"),
        ("34", "incorrect", "uses"),
    ],
)
def test_countdown_judge(answer, status, reason):
    problem = Problem("x", "10 3 8->34?", "(3*8)+10")
    verdict = judge(problem, f"<think>\\boxed{{3*8+10}}</think>\\boxed{{{answer}}}")
    assert (verdict.status, reason in verdict.reason) == (status, True)


@pytest.mark.parametrize(
    ("thought", "answer", "status", "reason"),
    [
        ("a3b+4=7c-9=8", "8", "correct", ""),
        ("a3b+4=6~b+4=7c-9=8", "8", "correct", ""),  # doubted and done again
        ("a3b+4=6~c-9=8", "8", "incorrect", "step 2 is b+4=7, not c-9=8"),  # and not done again
        ("a3b+4=7c-9=8~", "8", "incorrect", "step 3 is c-9=8, not nothing"),
        ("a3b+4=6c-9=8", "8", "incorrect", "step 2 is b+4=7, not b+4=6"),  # two wrongs, right end
        ("a3b+4=7c-9=8", "7", "incorrect", "the answer is 8"),
        ("a3c-9=8b+4=7", "8", "incorrect", "step 2 is b+4=7, not c-9=8"),
        ("a3b+4=7c-9=8d+1=9", "8", "incorrect", "goes on after the last step with d+1=9"),
        ("a3b+4=7 so c-9=8", "8", "incorrect", "its thought is not a list of steps"),
        ("", "8", "incorrect", "step 1 is a3, not nothing"),
    ],
)
@pytest.mark.parametrize("prompt", ["a3b+4c-9?", "c-9a3b+4?"])
def test_a_chain_judged_by_its_steps(prompt, thought, answer, status, reason):
    problem = Problem("1", prompt, "8", verifier="chain-steps")
    verdict = chain_steps(problem, f"<think>{thought}</think>\\boxed{{{answer}}}")
    assert (verdict.status, verdict.reason) == (status, reason)
    assert chain_steps(problem, f"<think>{thought}").status == "unparseable"


def test_every_worked_chain_is_right_by_its_steps_and_what_is_no_chain_is_no_key():
    sources = [
        Chain(count=30, difficulty=(1, 9), style="detour", detour_rate=0.5, verifier="chain-steps"),
        Chain(count=30, difficulty=(1, 9), modulus=97, order="shuffled", verifier="chain-steps"),
    ]
    for source in sources:
        for problem in source.load(3):
            assert judge_gold(problem).status == "correct"
    for prompt in ("b+4a3", "a3b4?", "b+4c-9?", "a3b+4%0?", "What is 3 + 4?"):
        assert chain_steps(Problem("1", prompt, "8"), "8").status == "bad_gold"


def test_countdown_judge_needs_a_finished_thought_and_accepts_gold():
    problem = Problem("x", "10 3 8->34?", "(3*8)+10")
    assert judge(problem, "<think>\\boxed{3*8+10}").status == "unparseable"
    assert judge(problem, "<think></think>3*8+10").status == "unparseable"
    for p in Countdown(count=50, difficulty=(1, 6)).load(0):
        turn = f"<think>{p.solution}</think>\\boxed{{{p.answer}}}"
        assert judge(p, turn).status == "correct"


def test_skills_answers():
    for p in Skills(count=300, operators="+-*").load(0):
        question = p.prompt.rstrip("?")
        assert p.solution == ""
        match p.source:
            case "skills/fact":
                for fact, asked in zip(p.answer.split(","), question.split(","), strict=True):
                    left, right = fact.split("=")
                    assert left == asked and eval(left) % 10 == int(right)
            case "skills/step":
                for step, asked in zip(p.answer.split(","), question.split(","), strict=True):
                    left, right = step.split("=")
                    fact = re.sub("[a-z]", "", left)  # 3l+4 -> 3+4
                    assert left == asked and eval(fact) % 10 == int(right)
            case "skills/lookup":
                text, name = question.split(";")
                assert f"{name}{p.answer}" in re.findall(r"[a-z][-+*]?\d", text)
            case "skills/copy":
                assert question == f":{p.answer}"
            case "skills/direct":
                assert solve_chain(question) == int(p.answer)


def test_operators_are_those_asked_for():
    sources = [Chain(count=50, operators="+"), Skills(count=100, operators="+")]
    assert not any(set("-*") & set(p.prompt) for source in sources for p in source.load(0))


def test_weights_shift_the_mix():
    levels = [
        p.difficulty for p in Addition(count=400, difficulty=(2, 4), weights=(9, 0, 1)).load(0)
    ]
    # 90% of 400 = 360, standard deviation sqrt(400 * .9 * .1) = 6
    assert levels.count(3.0) == 0
    assert 336 < levels.count(2.0) < 384


def test_exhausted_family_says_so():
    # one step: 10 starts * 2 operators * 10 numbers = 200 problems in both splits together
    with pytest.raises(UserError, match=r"chain: found only 1\d\d different problems, .* is 5000"):
        list(Chain(count=5000, difficulty=(1, 1)).load(0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "chain", "count": 1, "difficulty": [3, 2]}, "lowest <= highest"),
        ({"kind": "chain", "count": 1, "difficulty": [1, 30]}, "at most 25"),
        ({"kind": "chain", "count": 1, "weights": [1.0]}, "1 entries for 4"),
        ({"kind": "addition", "count": 1, "detour_rate": 0.5}, "no effect"),
        ({"kind": "chain", "count": 1, "confirming": 0.5}, "confirming has no effect"),
        ({"kind": "countdown", "count": 1, "difficulty": [1, 9]}, "at most 8"),
        ({"kind": "equation", "count": 1, "difficulty": [1, 13]}, "at most 12"),
        ({"kind": "chain", "count": 1, "modulos": 7}, "modulos"),
        ({"kind": "jsonl", "path": "x", "columns": {"prompt": "q"}}, "which column is the answer"),
    ],
)
def test_bad_configs_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnySource).validate_python(fields)


def test_every_source_is_in_the_union_under_its_kind():
    adapter = TypeAdapter(AnySource)
    needs = {"jsonl": {"path": "x.jsonl"}, "hub": {"name": "a/b"}}
    for cls in get_args(get_args(AnySource)[0]):
        kind = cls.model_fields["kind"].default
        fields = {"kind": kind} | needs.get(kind, {"count": 1})
        assert isinstance(adapter.validate_python(fields), cls)


COLUMNS: dict[Column, str] = {"prompt": "question", "answer": "gold.0.value", "pass_rate": "rate"}


def write(path, rows):
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    )
    return path


def test_jsonl_reads_nested_columns(tmp_path):
    rows = [
        {"question": "1+1?", "gold": [{"value": 2}], "rate": 0.5},
        "\n",
        {"question": "1+2?", "gold": [{"value": "3"}], "rate": None},
        {"question": "9+9?", "gold": [{"value": "18"}], "rate": 1},
    ]
    source = JsonlFile(path=write(tmp_path / "mine.jsonl", rows), columns=COLUMNS, limit=2)
    problems = list(source.load(0))
    assert problems == [
        Problem(content_id("mine", "1+1?"), "1+1?", "2", None, "math", "mine", None, 0.5),
        Problem(content_id("mine", "1+2?"), "1+2?", "3", None, "math", "mine", None, None),
    ]


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_row_without_an_answer_is_read_for_a_filter_to_drop(tmp_path, blank):
    path = write(tmp_path / "mine.jsonl", [{"prompt": "x", "answer": blank}])
    (problem,) = JsonlFile(path=path).load(0)
    assert problem.answer == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken\n", r"mine.jsonl:2: is not JSON"),
        ("[1]\n", r"mine.jsonl:2: expected a JSON object"),
        ({"prompts": "x", "answer": "1"}, r":2:prompt: is missing; did you mean 'prompts'"),
        ({"prompt": " ", "answer": "1"}, r"mine.jsonl:2:prompt: got an empty text, expected some"),
        ({"prompt": "x", "answer": True}, r"mine.jsonl:2:answer: got true, expected text"),
        (
            {"prompt": "x", "answer": {"a": 1}},
            r"mine.jsonl:2:answer: got a mapping, expected text or a list of texts",
        ),
    ],
)
def test_jsonl_errors_name_file_line_and_field(tmp_path, row, message):
    path = write(tmp_path / "mine.jsonl", [{"prompt": "x", "answer": "1"}, row])
    with pytest.raises(UserError, match=message):
        list(JsonlFile(path=path).load(0))


def test_jsonl_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none.jsonl: cannot be read: No such file"):
        list(JsonlFile(path=tmp_path / "none.jsonl").load(0))


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "1+1?", "answer": "2", "difficulty": 3},
        {"instruction": "1+1?", "output": "it is 2", "answer": "2", "difficulty": 3},
        {"messages": [{"role": "user", "content": "1+1?"}], "answer": "2", "difficulty": 3},
        {
            "prompt": [{"role": "user", "content": "1+1?"}], "difficulty": 3, "data_source": "d", "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "2"},
        },
    ],
)  # fmt: skip
def test_layouts_are_told_as_the_data_verbs_tell_them(tmp_path, row):
    path = write(tmp_path / "mine.jsonl", [row])
    (problem,) = JsonlFile(path=path).load(0)
    assert (problem.prompt, problem.answer, problem.difficulty) == ("1+1?", "2", 3.0)
    assert problem.id == content_id("mine", "1+1?")


def test_a_layout_can_be_named_and_not_beside_columns(tmp_path):
    path = write(tmp_path / "mine.jsonl", [{"question": "1?", "problem": "2?", "answer": "2"}])
    (problem,) = JsonlFile(path=path, layout="question").load(0)
    assert problem.prompt == "1?"
    with pytest.raises(ValueError, match="did you mean 'question'"):
        JsonlFile(path=path, layout="qestion")
    with pytest.raises(ValueError, match="give one of them"):
        JsonlFile(path=path, layout="question", columns=COLUMNS)


def test_what_is_not_named_is_not_read(tmp_path):
    row = {"q": "1?", "a": "1", "pass_rate": 0.5, "difficulty": 2, "solution": "s"}
    path = write(tmp_path / "mine.jsonl", [row])
    (problem,) = JsonlFile(path=path, columns={"prompt": "q", "answer": "a"}).load(0)
    assert (problem.pass_rate, problem.difficulty, problem.solution) == (None, None, None)


def test_a_named_column_that_no_row_has_is_refused(tmp_path):
    rows = [{"q": f"{n}?", "gold": {"value": "1"}} for n in range(3)]
    path = write(tmp_path / "mine.jsonl", rows)
    source = JsonlFile(path=path, columns={"prompt": "q", "answer": "golds"})
    with pytest.raises(
        UserError, match=r"mine.jsonl: no row has the column 'golds'; did you mean 'gold'"
    ):
        list(source.load(0))
    nested = source.model_copy(update={"columns": {"prompt": "q", "answer": "gold.valu"}})
    with pytest.raises(UserError, match=r"no row has the column 'gold.valu'"):
        list(nested.load(0))
    # one row that has it, be it null, is enough
    write(path, [*rows, {"q": "4?", "golds": None}])
    assert [problem.answer for problem in source.load(0)] == [""] * 4


def test_problems_that_all_lack_an_answer_are_refused(tmp_path):
    rows = [{"problem": f"{n}?", "target": "1"} for n in range(3)]
    source = JsonlFile(path=write(tmp_path / "mine.jsonl", rows))
    with pytest.raises(
        UserError, match=r"no row has the column 'answer'; name yours with columns .*target"
    ):
        list(source.load(0))
    named = source.model_copy(update={"columns": {"prompt": "problem", "answer": "target"}})
    assert [problem.answer for problem in named.load(0)] == ["1"] * 3


def test_an_empty_file_holds_no_rows(tmp_path):
    source = JsonlFile(path=write(tmp_path / "mine.jsonl", ["\n"]))
    with pytest.raises(UserError, match=r"mine.jsonl: holds no rows"):
        list(source.load(0))
    columns: dict[Column, str] = {"prompt": "a", "answer": "b"}
    assert list(source.model_copy(update={"columns": columns}).load(0)) == []


def test_a_conversation_of_several_questions_is_no_problem(tmp_path):
    turns = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "a"}] * 2
    path = write(tmp_path / "mine.jsonl", [{"messages": turns, "answer": "1"}])
    with pytest.raises(UserError, match="asks 2 questions in turn, expected one"):
        list(JsonlFile(path=path).load(0))


def test_a_file_in_another_encoding_is_read_when_told(tmp_path):
    path = tmp_path / "mine.jsonl"
    row = {"prompt": "Wie groß ist das Gefäß?", "answer": "1"}
    path.write_bytes(json.dumps(row, ensure_ascii=False).encode("latin-1") + b"\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        list(JsonlFile(path=path).load(0))
    (problem,) = JsonlFile(path=path, encoding="latin-1").load(0)
    assert problem.prompt == row["prompt"]


def curated(folder, *sources):
    """Run a curate stage over sources; gives its folder of artifacts."""
    stage = Curate.model_validate({"sources": sources})
    context = Context(
        name="problems",
        folder=folder,
        seed=0,
        inputs={},
        progress=lambda label, total, unit: Progress(label, total, unit),
        event=lambda what, facts: None,
    )
    stage.run(context)
    return context.out


def test_curation_sets_bad_rows_aside_with_place_and_reason(tmp_path):
    rows: list[dict[str, Any]] = [{"problem": f"{n}?", "answer": str(n)} for n in range(8)]
    rows[3]["answer"] = {"value": 3}
    lines = [*rows, '{"problem": "torn']
    path = write(tmp_path / "mine.jsonl", lines)
    out = curated(
        tmp_path / "stage",
        {"kind": "jsonl", "path": str(path), "max_bad": 0.25},
        {"kind": "chain", "count": 2},
    )
    assert len(read_json(out / "funnel.json")) == 2
    assert read_json(out / "funnel.json")[0] == {
        "step": "collect", "kept": 9, "dropped": 2, "reasons": {"bad row": 1, "bad row (answer)": 1},
    }  # fmt: skip
    aside = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["file"], row["line"], row["field"]) for row in aside] == [
        (str(path), 4, "answer"),
        (str(path), 9, ""),
    ]
    assert (
        aside[0]["row"] == rows[3]
        and aside[0]["why"] == "got a mapping, expected text or a list of texts"
    )
    assert aside[1]["raw"] == lines[8] and "torn" in aside[1]["why"]


@pytest.mark.parametrize(("bad", "fails"), [(0, False), (2, False), (3, True)])
def test_too_many_bad_rows_stop_curation_with_one_sentence(tmp_path, bad, fails):
    rows: list[dict[str, Any]] = [{"problem": f"{n}?", "answer": str(n)} for n in range(200)]
    for n in range(bad):
        rows[190 + n]["problem"] = None
    path = write(tmp_path / "mine.jsonl", rows)
    if fails:
        with pytest.raises(
            UserError,
            match=r"^\S*mine.jsonl:191:problem: got null, expected a value \(3 of the first 200 rows .*max_bad\)$",
        ):
            curated(tmp_path / "stage", {"kind": "jsonl", "path": str(path)})
        assert not (tmp_path / "stage/out").exists()
        return
    out = curated(tmp_path / "stage", {"kind": "jsonl", "path": str(path)})
    assert len((out / "problems.jsonl").read_text().splitlines()) == 200 - bad
    assert len((out / "quarantine.jsonl").read_text().splitlines()) == bad


def test_a_benchmark_is_whole_or_refused(tmp_path):
    rows = [{"problem": f"{n}?", "answer": str(n)} for n in range(200)]
    path = write(tmp_path / "mine.jsonl", [*rows, "[1]\n"])
    benchmark = Benchmark(name="mine", source={"kind": "jsonl", "path": str(path)})
    with pytest.raises(UserError, match=r"mine.jsonl:201: expected a JSON object"):
        benchmark.load()


@pytest.mark.parametrize("layout", ["parquet", "jsonl"])
def test_local_folder_of_a_hub_dataset(tmp_path, layout):
    datasets = pytest.importorskip("datasets")
    rows = [{"problem": f"{i}?", "meta": {"answers": [str(i)]}} for i in range(5)]
    for split, part in (("test", rows), ("train", rows[:1])):
        data = datasets.Dataset.from_list(part)
        save = data.to_parquet if layout == "parquet" else data.to_json
        save(tmp_path / f"{split}-00000.{layout}")
    columns: dict[Column, str] = {"prompt": "problem", "answer": "meta.answers.0"}
    source = HubDataset(name=str(tmp_path), split="test", columns=columns, label="set")
    problems = list(source.load(0))
    assert [(p.prompt, p.answer) for p in problems] == [(f"{i}?", str(i)) for i in range(5)]
    assert all(p.source == "set" and p.verifier == "math" for p in problems)
    wrong = source.model_copy(update={"columns": columns | {"prompt": "problems"}})
    with pytest.raises(
        UserError, match=r"\[test\]:1:problems: is missing; did you mean 'problem'\?"
    ):
        list(wrong.load(0))
    with pytest.raises(UserError, match="with 'validation' in their names, found none"):
        list(source.model_copy(update={"split": "validation"}).load(0))


def test_hub_dataset_that_cannot_be_reached():
    code = (
        "from longstep.config import UserError\n"
        "from longstep.problems import HubDataset\n"
        "try:\n"
        "    list(HubDataset(name='nobody/nothing').load(0))\n"
        "except UserError as error:\n"
        "    print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "dataset 'nobody/nothing', split 'train': cannot be loaded" in run.stdout


def test_a_hub_dataset_has_bad_rows_too(tmp_path):
    pytest.importorskip("datasets")
    rows = [{"problem": f"{n}?", "answer": str(n)} for n in range(5)] + [{"problem": None}]
    write(tmp_path / "train.jsonl", rows)
    source = HubDataset(name=str(tmp_path), max_bad=0.2)
    *problems, bad = source.read()
    assert [row.prompt for row in problems if isinstance(row, Problem)] == [
        f"{n}?" for n in range(5)
    ]
    assert isinstance(bad, Bad)
    assert (bad.line.number, bad.error.field) == (6, "problem")
    with pytest.raises(UserError, match=r"\[train\]:6:problem: got null"):
        list(source.load(0))


def test_a_damaged_local_dataset_is_one_sentence(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"split 'train': cannot be loaded"):
        list(HubDataset(name=str(tmp_path)).load(0))
