"""Published traces and pairs: every layout worked out by hand, every trap, and both verbs from a file to a model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_rows
from longstep.config import Located, UserError, validate
from longstep.formats.faults import RowError
from longstep.formats.thoughts import marked, parted
from longstep.jobs.base import How, Task
from longstep.jobs.merged import make_pairs, make_traces
from longstep.jobs.published import Published
from longstep.stages import Pairs, Traces
from longstep.types import Completion, Pair, Problem
from patience import PATIENCE

Q, THOUGHT, ANSWER = "2+3?", "2 and 3", "It is \\boxed{5}."
#: What a layout gives that keeps thought and answer in two places.
APART = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"
INLINE = f"<think>{THOUGHT}</think>{ANSWER}"
USER = {"role": "user", "content": Q}
SYSTEM = {"role": "system", "content": "Be brief."}
MARKS = {"role": "system", "content": "Think between <|begin_of_thought|> and <|end_of_thought|>."}
BEGUN = (
    f"<|begin_of_thought|>\n\n{THOUGHT}\n\n<|end_of_thought|>\n\n"
    f"<|begin_of_solution|>\n\n{ANSWER}\n\n<|end_of_solution|>"
)


def says(text: str, **beside: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **beside}


def gpt(text: str, who: str = "gpt") -> dict[str, Any]:
    return {"from": who, "value": text}


@dataclass(frozen=True)
class Case:
    """A row as it is published, and what comes out of it."""

    row: Any
    texts: Sequence[str] = (INLINE,)
    key: str = ""
    before: tuple[tuple[str, str], ...] = ()
    prompt: str = Q
    settings: tuple[tuple[str, Any], ...] = ()


HUMAN = {"from": "human", "value": Q}
BEFORE = (("system", "Be brief."),)
CASES: dict[str, Case] = {
    "messages": Case(
        {"messages": [SYSTEM, USER, says(INLINE)], "answer": 5}, key="5", before=BEFORE
    ),
    "reasoning_content": Case(
        {"messages": [USER, says(ANSWER, reasoning_content=THOUGHT)]}, (APART,)
    ),
    "reasoning": Case({"messages": [USER, says(ANSWER, reasoning=THOUGHT)]}, (APART,)),
    "thinking": Case({"messages": [USER, says(ANSWER, thinking=THOUGHT)]}, (APART,)),
    "sharegpt": Case({"conversations": [HUMAN, gpt(INLINE)], "system": "Be brief."}, before=BEFORE),
    "light-r1 sft": Case({"conversations": [gpt(Q, "user"), gpt(INLINE, "assistant")]}),
    "openthoughts": Case(
        {"system": MARKS["content"], "conversations": [HUMAN, gpt(BEGUN)]}, (APART,)
    ),
    "alpaca": Case(
        {"instruction": "Add.", "input": Q, "output": INLINE, "system": "Be brief.", "history": []},
        before=BEFORE,
        prompt=f"Add.\n{Q}",
    ),
    "prompt and completion": Case({"prompt": Q, "completion": INLINE}),
    "prompt and completion, messages": Case({"prompt": [USER], "completion": [says(INLINE)]}),
    "s1": Case(
        {"question": Q, "solution": "5", "thinking_trajectories": [THOUGHT], "attempt": ANSWER},
        (APART,),
        key="5",
    ),
    "s1.1": Case(
        {
            "question": Q,
            "solution": "So it is $\\boxed{5}$",
            "deepseek_thinking_trajectory": THOUGHT,
            "deepseek_attempt": ANSWER,
            "gemini_thinking_trajectory": "Five fingers",
            "gemini_attempt": "\\boxed{5}",
        },
        (APART,),
        key="So it is $\\boxed{5}$",
    ),
    "limo, a heading": Case(
        {"question": Q, "solution": f"{THOUGHT}\n\n**Final Answer**\n\\boxed{{5}}", "answer": "5"},
        (f"<think>\n{THOUGHT}\n</think>\n\n**Final Answer**\n\\boxed{{5}}",),
        key="5",
    ),
    "limo, a box": Case(
        {"question": Q, "solution": f"{THOUGHT}\nSo \\boxed{{5}}", "answer": "5"},
        (f"<think>\n{THOUGHT}\n</think>\n\nSo \\boxed{{5}}",),
        key="5",
    ),
    "open-r1": Case(
        {
            "problem": Q,
            "answer": "5",
            "generations": [INLINE, "<think>a</think>\\boxed{6}", "<think>cut"],
            "correctness_math_verify": [True, True, False],
            "is_reasoning_complete": [True, True, False],
        },
        (INLINE, "<think>a</think>\\boxed{6}"),
        key="5",
    ),
    "llama-nemotron": Case(
        {"input": [USER], "output": INLINE, "reasoning": "on", "system_prompt": "Be brief."},
        before=BEFORE,
    ),
    "am-deepseek": Case(
        {
            "messages": [
                {**USER, "info": {"reference_answer": "5", "test_case": None}},
                says(
                    f"<think>{THOUGHT}</think> <answer>{ANSWER}</answer>",
                    info={"think_content": THOUGHT, "answer_content": ANSWER},
                ),
            ]
        },
        key="5",
    ),
    "columns": Case(
        {"q": Q, "why": THOUGHT, "a": ANSWER, "gold": {"value": "5"}},
        (APART,),
        key="5",
        settings=(
            ("columns", {"prompt": "q", "thought": "why", "completion": "a"}),
            ("key", "gold.value"),
        ),
    ),
}
CASES["s1.1, the other teacher"] = replace(
    CASES["s1.1"],
    texts=("<think>\nFive fingers\n</think>\n\n\\boxed{5}",),
    settings=(("layout", "s1.1-gemini"),),
)


def write(folder: Path, rows: Sequence[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def task_of(settings: Published, folder: Path) -> tuple[Task, Path]:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return Task(folder / "stage", settings.files(folder), "utf-8", How()), out


def traces(
    folder: Path, rows: Sequence[Any], **settings: Any
) -> tuple[list[Problem], list[Completion], dict[str, Any]]:
    stage = validate(Traces, Located({"data": str(write(folder, rows)), **settings}))
    task, out = task_of(stage, folder)
    counts = make_traces(stage, stage.turns, task, out)
    problems = list(read_rows(out / "problems.jsonl", Problem))
    return problems, list(read_rows(out / "completions.jsonl", Completion)), counts


def pairs(folder: Path, rows: Sequence[Any], **settings: Any) -> tuple[list[Problem], list[Pair]]:
    stage = validate(Pairs, Located({"data": str(write(folder, rows)), **settings}))
    task, out = task_of(stage, folder)
    make_pairs(stage, task, out)
    found = read_rows(out / "pairs.jsonl", Pair)
    return list(read_rows(out / "problems.jsonl", Problem)), list(found)


# -- layouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_published_row_becomes_a_problem_and_its_answers(tmp_path: Path, name: str):
    case = CASES[name]
    [problem], completions, _ = traces(tmp_path, [case.row], **dict(case.settings))
    assert (problem.prompt, problem.answer, problem.before) == (case.prompt, case.key, case.before)
    assert [row.text for row in completions] == list(case.texts)
    assert [row.sample_index for row in completions] == list(range(len(case.texts)))
    for row in completions:
        right = None if not case.key else "correct" if "{5}" in row.text else "incorrect"
        assert (row.verdict and row.verdict.status) == right


WRONG = "<think>4</think>\\boxed{6}"
SIDES = {"chosen": gpt(INLINE), "rejected": gpt(WRONG)}
PAIRED: dict[str, dict[str, Any]] = {
    "light-r1 dpo": {"conversations": [HUMAN], **SIDES},
    "trl": {"prompt": Q, "chosen": INLINE, "rejected": WRONG},
    "trl, messages": {"prompt": [USER], "chosen": [says(INLINE)], "rejected": [says(WRONG)]},
    "trl, twice": {"chosen": [USER, says(INLINE)], "rejected": [USER, says(WRONG)]},
    "alpaca": {"instruction": Q, "input": "", "chosen": INLINE, "rejected": WRONG},
}


@pytest.mark.parametrize("name", PAIRED)
def test_a_published_pair_becomes_a_pair(tmp_path: Path, name: str):
    [problem], [pair] = pairs(tmp_path, [PAIRED[name]])
    assert (problem.prompt, problem.before) == (Q, ())
    assert (pair.problem_id, pair.chosen, pair.rejected) == (problem.id, INLINE, WRONG)


# -- one thought ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n\n <THINK>\na\n</Think>\n\nb \n", "\na\n", "\n\nb"),
        ("a</think>b", "a", "b"),  # the template opened the thought
        ("<think>\n<think>a</think></think>b", "a", "b"),
        ("<think>\n\n</think>\n\nb", "", "\n\nb"),
        ("<reasoning>a</reasoning>b", "a", "b"),
        (BEGUN, f"\n{THOUGHT}\n", f"\n\n{ANSWER}"),
        # Tags that are only talked about are spelt so that no tokenizer takes them for the tag.
        (
            'Say "<think>" or `</think>`.</think>b',
            'Say "&lt;think>" or `&lt;/think>`.',
            "b",
        ),
        ("<think>```\n<think>q</think>\n```a</think>b", "```\n&lt;think>q&lt;/think>\n```a", "b"),
        # A fence that is never closed hides nothing.
        ("<think>```\na</think>b ```c```", "```\na", "b ```c```"),
    ],
)
def test_a_turn_has_one_thought_and_one_answer(text: str, thought: str, answer: str):
    reply = marked(text)
    assert (reply.thought, reply.answer) == (thought, answer)
    assert re.findall("</?think>", reply.text, re.IGNORECASE) == ["<think>", "</think>"]
    assert marked(reply.text) == replace(reply, respelt=0), "a second time changes nothing"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<think>a", "the thought never closes"),
        ("<think>a</think>b<think>c</think>d", "two thoughts in one turn"),
        ("<think>a</think>b</think>c", "two thoughts in one turn"),
        ("Sure. <think>a</think>b", "words stand in front of the thought"),
        (
            "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b",
            "the solution never ends",
        ),
    ],
)
def test_a_turn_with_another_number_of_thoughts_is_refused(text: str, why: str):
    with pytest.raises(RowError, match=why):
        marked(text)


def test_a_thought_in_a_field_of_its_own_has_no_second_one_in_the_text():
    assert parted(f"<think>{THOUGHT}</think>", ANSWER).text == APART
    assert parted(THOUGHT, INLINE).text == APART
    with pytest.raises(RowError, match="one in a field of its own and one in the text"):
        parted("another", INLINE)


# -- what goes aside ------------------------------------------------------------------------------


def chat(text: str, question: str = Q, **beside: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, says(text)], **beside}


def test_what_cannot_be_learnt_from_goes_aside_with_its_reason_and_is_counted(tmp_path: Path):
    tool = {"role": "tool", "content": "5"}
    rows = [
        chat(INLINE, answer="5"),
        chat("<think>cut", "3+4?"),
        chat("<think>a</think>b<think>c</think>d", "1+1?"),
        chat("\\boxed{2}", "0+2?"),
        {"messages": [{"role": "user", "content": "4+4?"}, says("", reasoning_content="8")]},
        {"messages": [USER, says(INLINE), tool, says(INLINE)]},
        chat(INLINE, answer="5"),  # the same again
        chat("<think>b</think>\\boxed{5}", answer="7"),  # the same question, another key
        chat("<think>9</think>\\boxed{9}", "4+5?", answer="8"),
    ]
    problems, completions, counts = traces(tmp_path, rows)
    assert [row.prompt for row in problems] == [Q, "4+5?"]
    assert [row.text for row in completions] == [INLINE, "<think>9</think>\\boxed{9}"]
    assert counts["dropped answers"] == {
        "the thought never closes": 1,
        "two thoughts in one turn": 1,
        "no thought": 1,
        "no answer after the thought": 1,
    }
    assert counts["dropped rows"] == {"turns of tools": 1}
    assert counts["repeats"] == {
        "says the same as an earlier row": 1,
        "another key than an earlier row with the same question": 1,
    }
    assert counts["verdicts"] == {"correct": 2, "incorrect": 2}
    aside = [json.loads(line) for line in (tmp_path / "out/dropped.jsonl").read_text().splitlines()]
    assert len(aside) == 7 and all(row["reason"] for row in aside)
    assert [row["line"] for row in aside] == [2, 3, 4, 5, 6, 7, 8]


def test_only_verified_answers_where_they_are_required(tmp_path: Path):
    wrong = chat("<think>9</think>\\boxed{9}", "4+5?", answer="8")
    keyless = chat(INLINE, "1+4?")
    problems, _, counts = traces(
        tmp_path, [chat(INLINE, answer="5"), wrong, keyless], require="verified"
    )
    assert [row.prompt for row in problems] == [Q]
    assert counts["verdicts"] == {"correct": 1, "incorrect": 1, "unverified": 1}


def test_published_verdicts_are_compared_with_ours(tmp_path: Path):
    _, _, counts = traces(tmp_path, [CASES["open-r1"].row])
    assert counts["published verdicts"] == {"the same here": 1, "different here": 1}


@pytest.mark.parametrize(
    ("turns", "wanted"),
    [
        ("last", [("7+1?", (("user", Q), ("assistant", ANSWER)))]),
        ("all", [(Q, ()), ("7+1?", (("user", Q), ("assistant", ANSWER)))]),
    ],
)
def test_a_conversation_gives_its_last_turn_or_each(tmp_path: Path, turns: str, wanted: Any):
    """Earlier answers lose their thoughts, and the key is that of the last question."""
    talk = [USER, says(INLINE), {"role": "user", "content": "7+1?"}, says("<think>8</think>8")]
    problems, completions, counts = traces(
        tmp_path, [{"messages": talk, "answer": "8"}], turns=turns
    )
    assert [(row.prompt, row.before) for row in problems] == wanted
    assert problems[-1].answer == "8" and len(completions) == len(wanted)
    assert problems[-1].asked == f"{Q}\n\n7+1?"
    assert counts["verdicts"].get("unverified", 0) == len(wanted) - 1


def test_an_answer_without_a_thought_gets_an_empty_one_where_that_is_wanted(tmp_path: Path):
    _, [row], _ = traces(tmp_path, [chat("\\boxed{5}")], thoughtless="empty")
    assert row.text == "<think></think>\\boxed{5}"


def test_the_instruction_becomes_one(tmp_path: Path):
    asks = [
        Q,
        f"{Q}\nPlease reason step by step, and put your final answer within \\boxed{{}}.",
        f"Return your final response within \\boxed{{}}. {Q}",
    ]
    rows = [chat(f"<think>{n}</think>5", asked) for n, asked in enumerate(asks)]
    _, _, before = traces(tmp_path, rows)
    assert before["prompts"] == {"that do not": 1, "that ask for a box": 2}
    (tmp_path / "again").mkdir()
    [problem], completions, _ = traces(tmp_path / "again", rows, instruction=" Use \\boxed{}.")
    assert problem.prompt == f"{Q} Use \\boxed{{}}." and len(completions) == 3


def test_a_part_of_a_question_is_no_instruction(tmp_path: Path):
    asked = "Let x=3. Find y, and put the answer in \\boxed{}."
    [problem], _, _ = traces(tmp_path, [chat(INLINE, asked)], instruction="!")
    assert problem.prompt == f"{asked}!"


def test_a_pair_that_says_nothing_goes_aside(tmp_path: Path):
    rows = [
        {"prompt": "a", "chosen": INLINE, "rejected": INLINE},
        {"prompt": "b", "chosen": INLINE, "rejected": "6"},
        {"prompt": "c", "chosen": WRONG, "rejected": INLINE, "answer": "5"},
        {"prompt": "d", "chosen": INLINE, "rejected": WRONG, "answer": "5"},
    ]
    problems, _ = pairs(tmp_path, rows, require="verified")
    assert [row.prompt for row in problems] == ["d"]
    aside = (tmp_path / "out/dropped.jsonl").read_text("utf-8").splitlines()
    reasons = [json.loads(line)["reason"] for line in aside]
    assert reasons == [
        "both sides say the same",
        "no thought, rejected",
        "not verified, chosen incorrect, rejected correct",
    ]


# -- refused before anything is spent -------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        ([chat("5")], {}, "1 no thought.*; set thoughtless: empty to train on answers alone"),
        ([chat("<think>a")], {}, "1 the thought never closes.*; the answers were cut; take whole"),
        (
            [{"prompt": [USER], "reward_model": {"ground_truth": "5", "style": "rule"}}],
            {},
            "1 no answer in the row.*; take its problems by a stage of kind curate",
        ),
        ([chat(INLINE)], {"require": "verified"}, "not verified.*; set require: any, or name the"),
        ([{"a": 1}], {}, "no layout fits its rows"),
        ([chat(INLINE)], {"key": "gold"}, "no row of .* has the column 'gold'"),
        (
            [chat(INLINE)],
            {"columns": {"prompt": "q"}},
            "--columns prompt q: no row has this column",
        ),
    ],
)
def test_a_file_without_anything_to_learn_is_refused_before_the_first_stage(
    tmp_path: Path, rows: list[Any], settings: dict[str, Any], sentence: str
):
    from longstep.run.brought import Brought, brought_recipe
    from longstep.run.early import refuse_early
    from longstep.run.recipe import Recipe

    path = str(write(tmp_path, rows))
    located = brought_recipe("sft", Brought(path, "longstep-tiny", reading=settings))
    recipe = validate(Recipe, located)
    with pytest.raises(UserError, match=sentence):
        refuse_early(recipe, located, ["traces"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data": "@drawn"}, "@drawn has been read by a stage; give it to the trainer"),
        ({"layout": "s1.2"}, "no layout is called 's1.2'; did you mean 's1.1'"),
        ({"layout": "s1", "columns": {"prompt": "q"}}, "both say how a row is laid out"),
        ({"columns": {"prompt": "q", "answer": "a"}, "key": "b"}, "both name the key's column"),
        ({"data": "hub:a/b,spilt=train"}, "did you mean 'split'"),
    ],
)
def test_settings_that_contradict_are_refused_at_load(settings: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        validate(Traces, Located({"data": "x.jsonl", **settings}))


# -- curation, rating, training -------------------------------------------------------------------

HANDS = "How many fingers have two hands together when each of the hands has five fingers?"
CURATED = """
name: brought
stages:
  traces: {{kind: traces, data: {traces}, turns: all}}
  clean: {{kind: curate, data: "@traces", decontaminate: [{benchmark}]}}
  rated:
    {{kind: sample, by: {{kind: stored, data: "@traces"}}, data: "@clean", rate: true, sampling: {{samples: 2}}}}
"""


def step(number: int, said: int, **beside: Any) -> dict[str, Any]:
    return chat(f"<think>{number}+1={said}</think>\\boxed{{{said}}}", f"a{number}+1?", **beside)


TALK = {
    "messages": [
        *step(1, 2)["messages"],
        {"role": "user", "content": "a5+1?"},
        says("\\boxed{6}", reasoning_content="5+1=6"),
    ]
}
ROWS = [step(2, 3, answer="3"), step(2, 4, answer="3"), step(3, 4, answer="4"), TALK]


def test_curation_carries_answers_along_and_stored_ones_are_rated(tmp_path: Path):
    from short_recipe import Setting, finish, lines

    rows = [*ROWS, chat("<think>10</think>\\boxed{10}", HANDS)]
    bench = write(tmp_path, [{"problem": HANDS, "answer": "10"}], "b.jsonl")
    benchmark = f"{{name: mine, source: {{kind: jsonl, path: {bench}}}}}"
    text = CURATED.format(traces=write(tmp_path, rows, "t.jsonl"), benchmark=benchmark)
    run = tmp_path / "run"
    assert finish(run, Setting(text=text)) == "done"
    # The trace of the benchmark's question went with it, all others stayed.
    problems = lines(run / "clean/out/problems.jsonl")
    assert {row["prompt"] for row in problems} == {"a1+1?", "a2+1?", "a3+1?", "a5+1?"}
    kept = lines(run / "clean/out/completions.jsonl")
    assert len(kept) == 5 and kept == lines(run / "traces/out/completions.jsonl")[:5]
    # Two answers are asked for; a problem with one has one that nobody scores, and no person need look at it.
    names = {row["id"]: row["prompt"] for row in problems}
    rates = {
        names[row["problem_id"]]: [row[key] for key in ("correct", "scored", "excluded")]
        for row in lines(run / "rated/out/rates.jsonl")
    }
    assert rates["a2+1?"] == [1, 2, 0] and rates["a3+1?"] == [1, 1, 1]
    assert not [row for row in lines(run / "rated/out/queue.jsonl") if row["gold"]]


def verbs(folder: Path) -> None:
    """Both verbs, as a user types them."""
    from longstep.cli import main

    os.chdir(folder)
    small = ["steps=2", "batch=2", "log_every=1"]
    sft = ["--data", "t.jsonl", "--model", "longstep-tiny", "traces.turns=all"]
    dpo = ["--data", "p.jsonl", "--model", "runs/sft-t/sft/out", "loss={kind: dpo}"]
    dpo += ["lora={r: 2, keep: beside}", "optimizer={kind: adamw, lr: 1e-2}"]
    for words in (["sft", *sft], ["prefer", *dpo]):
        main.app([*words, *small], standalone_mode=False)


def test_each_verb_goes_from_a_file_to_a_model(tmp_path: Path):
    from short_recipe import lines, start

    sides = {"chosen": "<think>2+1=3</think>3", "rejected": "<think>2+1=4</think>4"}
    write(tmp_path, ROWS, "t.jsonl")
    write(tmp_path, [{"prompt": "a2+1?", **sides}], "p.jsonl")
    process = start(verbs, tmp_path)
    process.join(PATIENCE)
    assert process.exitcode == 0
    sft, dpo = tmp_path / "runs/sft-t", tmp_path / "runs/prefer-p"
    shown = ["".join(row["tokens"]) for row in lines(sft / "sft/masks.jsonl")]
    [talk] = [text for text in shown if "a5+1?" in text]
    # The earlier answer stands in the prompt without its thought; the last one is trained on, thought and all.
    assert "\\boxed{2}" in talk and "1+1=2" not in talk and talk.count("<think>") == 1
    assert [row["step"] for row in lines(sft / "sft/metrics.jsonl")] == [1, 2]
    [trained] = lines(dpo / "prefer/pairs.jsonl")
    assert trained["prompt"] == "a2+1?" and trained["chosen_ids"] != trained["rejected_ids"]
    assert (sft / "report.html").is_file()
    adapter_merged_again(tmp_path, sft / "sft/out", dpo / "prefer/out")


def adapter_merged_again(folder: Path, base: Path, tuned: Path) -> None:
    """The adapter that was kept beside its merged model makes the same model of its base once more."""
    from safetensors.torch import load_file

    from short_recipe import Setting, finish

    text = f"""
name: again
stages:
  again: {{kind: checkpoint, path: {base}, adapter: {tuned / "adapter"}}}
  wrong: {{kind: checkpoint, path: longstep-tiny-rater, adapter: {tuned / "adapter"}}}
"""
    assert finish(folder / "again", Setting(text=text, only=("again",))) == "done"
    weights = [
        load_file(each / "model.safetensors") for each in (folder / "again/again/out", tuned)
    ]
    before = load_file(base / "model.safetensors")
    assert all(weights[0][name].equal(weights[1][name]) for name in before)
    assert not all(weights[0][name].equal(value) for name, value in before.items())
    said = finish(folder / "again", Setting(text=text, only=("wrong",)))
    assert "this adapter does not fit Qwen2ForCausalLM" in said
    with pytest.raises(
        UserError, match=r"holds an adapter of .*; a stage \{kind: checkpoint, path: "
    ):
        from longstep.models.load import refuse_unsafe

        refuse_unsafe(tuned / "adapter")


# -- docs/your-data.md ----------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text("utf-8")


def test_the_recipe_of_the_page_is_one():
    from longstep.run.recipe import Recipe
    from longstep.yaml12 import parse

    text = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    data = parse(text)[0]
    data["stages"]["base"] = {"kind": "checkpoint", "path": "longstep-tiny"}
    recipe = validate(Recipe, Located({"name": "page", **data}))
    assert recipe.order() == ["traces", "clean", "rated", "hard", "base", "sft"]
