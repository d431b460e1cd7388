"""Layouts: each is recognised, read by hand-worked rows, and rendered without loss whatever the fields are called."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from longstep.config import UserError
from longstep.formats.faults import RowError
from longstep.formats.layouts import LAYOUTS, detect, layout, mapped
from longstep.formats.lines import START, Line, dump, parse
from longstep.formats.llamafactory import dataset_info
from longstep.formats.record import Record

THOUGHT = "<think>\n2 and 3\n</think>\n\nIt is 5."
USER = {"role": "user", "content": "2+3?"}
ASSISTANT = {"role": "assistant", "content": "5"}
SYSTEM = {"role": "system", "content": "Be brief."}

#: layout -> (a row as such files have it, what it says)
ROWS: dict[str, tuple[dict[str, Any], Record]] = {
    "longstep": (
        {"id": "a", "prompt": "2+3?", "answer": "5", "verifier": "exact", "pass_rate": 0.25},
        Record("2+3?", id="a", answer="5", pass_rate=0.25, extra={"verifier": "exact"}),
    ),
    "messages": (
        {"messages": [SYSTEM, USER, ASSISTANT], "source": "x"},
        Record("2+3?", completion="5", messages=(SYSTEM, USER, ASSISTANT), source="x"),
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "2+3?"}, {"from": "gpt", "value": "5"}]},
        Record("2+3?", completion="5"),
    ),
    "light-r1": (
        {"conversations": [{"from": "user", "value": "2+3?"}, {"from": "assistant", "value": "5"}]},
        Record("2+3?", completion="5"),
    ),
    "sharegpt-preference": (
        {
            "conversations": [{"from": "human", "value": "2+3?"}],
            "chosen": {"from": "gpt", "value": "5"},
            "rejected": {"from": "gpt", "value": "6"},
        },
        Record("2+3?", chosen="5", rejected="6"),
    ),
    "alpaca": (
        {"instruction": "Add.", "input": "2+3?", "output": "5"},
        Record("Add.\n2+3?", completion="5", extra={"instruction": "Add."}),
    ),
    "alpaca-preference": (
        {"instruction": "Add.", "input": "2+3?", "chosen": "5", "rejected": "6"},
        Record("Add.\n2+3?", chosen="5", rejected="6", extra={"instruction": "Add."}),
    ),
    "prompt-completion": (
        {"prompt": "2+3?", "completion": "5", "n": [1, None]},
        Record("2+3?", completion="5", extra={"n": [1, None]}),
    ),
    "preference": (
        {"prompt": "2+3?", "chosen": "5", "rejected": "6"},
        Record("2+3?", chosen="5", rejected="6"),
    ),
    "chat-prompt": ({"prompt": [USER]}, Record("2+3?")),
    "chat-completion": (
        {"prompt": [SYSTEM, USER], "completion": [ASSISTANT]},
        Record("2+3?", completion="5", messages=(SYSTEM, USER, ASSISTANT)),
    ),
    "chat-preference": (
        {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [{**ASSISTANT, "content": "6"}]},
        Record("2+3?", chosen="5", rejected="6"),
    ),
    "verl": (
        {
            "data_source": "math",
            "prompt": [USER],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "5"},
            "extra_info": {"index": 0, "split": "train"},
        },
        Record(
            "2+3?",
            answer="5",
            source="math",
            extra={"extra_info": {"index": 0, "split": "train"}},
        ),
    ),
    "open-r1": (
        {
            "problem": "2+3?",
            "solution": "Count.",
            "answer": "5",
            "uuid": "u",
            "generations": ["6", "5", "five"],
            "correctness_math_verify": [False, True, True],
        },
        Record(
            "2+3?",
            id="u",
            answer="5",
            solution="Count.",
            completion="5",
            extra={
                "generations": ["6", "5", "five"],
                "correctness_math_verify": [False, True, True],
            },
        ),
    ),
    "s1": (
        {
            "question": "2+3?",
            "solution": "5",
            "source_type": "x",
            "thinking_trajectories": ["2 and 3"],
            "attempt": "It is 5.",
            "metadata": "{}",
        },
        Record("2+3?", solution="5", completion=THOUGHT, source="x", extra={"metadata": "{}"}),
    ),
    "s1.1": (
        {
            "question": "2+3?",
            "deepseek_thinking_trajectory": "2 and 3",
            "deepseek_attempt": "It is 5.",
            "gemini_attempt": "5!",
        },
        Record("2+3?", completion=THOUGHT, extra={"gemini_attempt": "5!"}),
    ),
    "s1.1-gemini": (
        {"question": "2+3?", "gemini_thinking_trajectory": "2 and 3", "gemini_attempt": "It is 5."},
        Record("2+3?", completion=THOUGHT),
    ),
    "nemotron": (
        {"input": [USER], "system_prompt": "Be brief.", "output": "5", "reasoning": "off"},
        Record(
            "2+3?",
            completion="5",
            messages=(SYSTEM, USER, ASSISTANT),
            extra={"reasoning": "off"},
        ),
    ),
    "limo": (
        {"question": "2+3?", "solution": "Count: 5", "answer": "5"},
        Record("2+3?", answer="5", completion="Count: 5"),
    ),
    "problem": (
        {"problem": "2+3?", "answer": "5", "difficulty": 50, "level": 3},
        Record("2+3?", answer="5", difficulty=50.0, extra={"level": 3}),
    ),
    "question": ({"question": "2+3?", "answer": 5}, Record("2+3?", answer="5")),
    "prompt": ({"prompt": "2+3?", "answer": "5"}, Record("2+3?", answer="5")),
}


def through_json(row: dict[str, Any]) -> dict[str, Any]:
    return parse(Line(1, 0, dump(row)[:-1], START))


def test_every_layout_has_a_row_here():
    assert set(ROWS) == set(LAYOUTS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_recognised_and_says_what_it_says(name: str):
    row, record = ROWS[name]
    found = detect([row] * 3, "file").name
    assert found == ("sharegpt" if name == "light-r1" else name)
    assert LAYOUTS[name].read(row) == record


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_rendered_as_it_was(name: str):
    row, record = ROWS[name]
    rendered = LAYOUTS[name].render(record)
    assert rendered == (row if name != "question" else {**row, "answer": "5"})


# -- round trips of anything ----------------------------------------------------------------------

TEXTS = [
    "5",
    " ",
    "",
    "a\nb",
    "\\frac{1}{2}",
    "<think>\nx\n</think>\n\ny",
    "<think>\n\n</think>\n\ny",
]
TEXTS += [
    "<think>\na\n</think>\n\nb\n</think>\n\nc",
    "\u2028é\U0001f600",
    '"quoted"',
    "null",
    "A\nB",
]
KEYS = ["level", "prompt", "answer", "problem", "question", "messages", "conversations", "extra"]
KEYS += ["instruction", "input", "generations", "reward_model", "extra_info", "ability", "system"]
KEYS += ["difficulty", "id", "uuid", "chosen", "solution", "completion", "correctness_llama"]
CHATS = {"messages", "sharegpt", "light-r1", "chat-completion", "chat-prompt", "verl", "nemotron"}
CHATS |= {"sharegpt-preference", "chat-preference"}
NEED_ANSWER = {"alpaca", "prompt-completion", "chat-completion", "limo", "s1", "s1.1"}
NEED_ANSWER |= {"s1.1-gemini", "nemotron"}
PAIRS = {"sharegpt-preference", "chat-preference", "preference", "alpaca-preference"}


def anything(rng: random.Random, depth: int = 0) -> Any:
    simple = [None, True, 0, -1, 2**70, 0.5, 1e300, *TEXTS]
    if depth > 2 or rng.random() < 0.6:
        return rng.choice(simple)
    if rng.random() < 0.5:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {rng.choice(KEYS): anything(rng, depth + 1) for _ in range(rng.randrange(3))}


def a_record(rng: random.Random, name: str) -> Record:
    """A record that the layout can hold."""

    def text() -> str | None:
        return rng.choice([None, *TEXTS])

    ask = rng.choice([t for t in TEXTS if t.strip()])
    completion = rng.choice(TEXTS) if name in NEED_ANSWER else text()
    fields: dict[str, Any] = {"prompt": ask, "completion": completion}
    if name in CHATS and rng.random() < 0.5 and name not in ("chat-prompt", "verl", *PAIRS):
        before = [SYSTEM, USER, ASSISTANT][rng.randrange(2) :]
        last = [{"role": "user", "content": ask}]
        if completion is not None:
            last.append({"role": "assistant", "content": completion})
        fields["messages"] = tuple(before + last)
    elif name in ("chat-prompt", "verl", *PAIRS) and name in CHATS and rng.random() < 0.5:
        fields |= {"messages": (SYSTEM, {"role": "user", "content": ask}), "completion": None}
    if name == "sharegpt-preference":
        fields["completion"] = None
    if name in PAIRS:
        fields |= {"chosen": rng.choice(TEXTS), "rejected": rng.choice(TEXTS)}
    if name != "limo":
        fields["solution"] = text()
    identity: dict[str, Any] = {"id": text() or None, "answer": text(), "source": text() or None}
    if name in ("longstep", "limo"):
        identity |= {"id": "7", "answer": rng.choice(TEXTS)}
    numbers: dict[str, Any] = {
        key: rng.choice([None, 0.0, 0.25, 50.0]) for key in ("difficulty", "pass_rate")
    }
    extra = {rng.choice(KEYS): anything(rng) for _ in range(rng.randrange(4))}
    return Record(**fields, **identity, **numbers, extra=extra)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_round_trip_loses_nothing(name: str):
    rng = random.Random(name)
    for _ in range(400):
        record = a_record(rng, name)
        row = through_json(LAYOUTS[name].render(record))
        assert LAYOUTS[name].read(row) == record
        assert LAYOUTS[name].misses(row) == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_spoilt_row_is_a_row_error_and_nothing_else(name: str):
    rng = random.Random(name)
    good = json.dumps(ROWS[name][0])
    refused = 0
    for _ in range(400):
        row = json.loads(good)
        node: Any = row
        while True:  # down a random way, then something else there
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
                node = node[key]
                continue
            node[key] = anything(rng)
            break
        try:
            record = LAYOUTS[name].read(row)
        except RowError as error:
            refused += 1
            assert error.reason and str(error.at("f", 3)).startswith("f:3:")  # pyright: ignore[reportArgumentType]
        else:
            assert record.prompt.strip()
    assert refused > 20


def test_a_conversation_is_refused_where_only_one_turn_fits():
    record = LAYOUTS["messages"].read({"messages": [USER, ASSISTANT, USER, ASSISTANT]})
    for name in ("longstep", "problem", "limo", "s1", "prompt-completion"):
        with pytest.raises(RowError, match="conversation of 4 messages"):
            LAYOUTS[name].render(record)
    assert LAYOUTS["alpaca"].render(record) == {
        "instruction": "2+3?",
        "input": "",
        "output": "5",
        "history": [["2+3?", "5"]],
    }


def test_a_record_without_what_a_layout_is_for_is_refused():
    with pytest.raises(RowError, match=r"chosen: the record has none.*preference"):
        LAYOUTS["preference"].render(Record("2+3?"))


# -- what is wrong, in one sentence ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name, row, field, message",
    [
        ("problem", {"problm": "x"}, "problem", "is missing; did you mean 'problm'?"),
        ("problem", {"problem": ["x"]}, "problem", "got a list of 1, expected text"),
        ("problem", {"problem": " "}, "problem", "got an empty text"),
        ("limo", {"question": "x", "answer": True}, "answer", "got true, expected text"),
        (
            "longstep",
            {"id": "a", "prompt": "x", "answer": "y", "difficulty": "hard"},
            "difficulty",
            "got text 'hard', expected a number",
        ),
        (
            "messages",
            {"messages": [{"role": "usr", "content": "x"}]},
            "messages.0.role",
            "got role 'usr', expected one of system, developer, user, assistant, tool, function_call; did you mean 'user'?",
        ),
        (
            "messages",
            {"messages": [{"role": "gpt", "content": "x"}]},
            "messages.0.role",
            "did you mean 'assistant'?",
        ),
        (
            "messages",
            {"messages": [USER, {"role": "assistant", "contents": "x"}]},
            "messages.1.content",
            "is missing; did you mean 'contents'?",
        ),
        ("messages", {"messages": [ASSISTANT]}, "messages", "holds no question of the user"),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": 3}]},
            "conversations.0.value",
            "got 3, expected text",
        ),
        (
            "verl",
            {"prompt": [USER, ASSISTANT], "reward_model": {}},
            "prompt",
            "ends with an answer, expected a question",
        ),
    ],
)
def test_an_error_names_the_field_and_what_was_expected(
    name: str, row: dict[str, Any], field: str, message: str
):
    with pytest.raises(RowError) as caught:
        LAYOUTS[name].read(row)
    assert caught.value.field == field
    assert message in caught.value.reason


def test_detection_names_the_closest_layouts_and_what_they_miss():
    rows = [{"qestion": "x", "solution": "y", "answer": "z"}]
    with pytest.raises(UserError, match=r"limo misses 'question'; did you mean 'qestion'\?"):
        detect(rows, "f")
    with pytest.raises(UserError, match="'messages' as a list"):
        detect([{"messages": "hello"}], "f")
    with pytest.raises(UserError, match="f: holds no rows"):
        detect([], "f")


def test_detection_goes_by_most_rows():
    good, bad = {"question": "x", "answer": "y"}, {"prompt": "x"}
    assert detect([bad, good, good], "f").name == "question"


def test_an_unknown_layout_is_named_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'sharegpt'"):
        layout("sharegtp")


def test_columns_of_the_user():
    table = mapped({"prompt": "q", "completion": "long", "difficulty": "d"})
    row = {"q": "2+3?", "long": "5", "d": 3, "answer": "5", "k": 1}
    assert table.read(row) == Record(
        "2+3?", completion="5", answer="5", difficulty=3.0, extra={"k": 1}
    )
    path = mapped({"prompt": "talk.0.says", "answer": "judge.gold"})
    row = {"talk": [{"says": "2+3?"}], "judge": {"gold": 5}}
    assert path.read(row) == Record("2+3?", answer="5", extra=row)
    with pytest.raises(RowError, match=r"talk.0.says: is missing"):
        path.read({"talk": []})
    with pytest.raises(UserError, match="no field is called 'promt'; did you mean 'prompt'"):
        mapped({"promt": "a"})
    with pytest.raises(UserError, match="share one column"):
        mapped({"prompt": "a", "answer": "a"})
    with pytest.raises(UserError, match="which column is the prompt"):
        mapped({"answer": "a"})


def test_trl_rows_with_the_conversation_in_both_columns():
    worse = {"role": "assistant", "content": "6"}
    row = {"chosen": [USER, ASSISTANT], "rejected": [USER, worse], "prompt": "2+3?"}
    assert detect([row], "f").name == "chat-preference"
    record = LAYOUTS["chat-preference"].read(row)
    assert (record.prompt, record.chosen, record.rejected) == ("2+3?", "5", "6")
    assert record.extra == {"prompt": "2+3?"}
    with pytest.raises(RowError, match="rejected: answers another conversation"):
        LAYOUTS["chat-preference"].read({**row, "rejected": [SYSTEM, worse]})


def test_a_system_column_beside_sharegpt_is_the_system_message():
    row = {**ROWS["sharegpt"][0], "system": "Be brief."}
    record = LAYOUTS["sharegpt"].read(row)
    assert record.messages == (SYSTEM, USER, ASSISTANT)


def test_dataset_info_says_what_llamafactory_needs():
    info = dataset_info("d", "d.jsonl", "alpaca", {"system"})
    assert info == {
        "d": {
            "file_name": "d.jsonl",
            "formatting": "alpaca",
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "response": "output",
                "system": "system",
            },
        }
    }
    pair = dataset_info("d", "d.jsonl", "sharegpt-preference", ())
    assert pair is not None and pair["d"]["ranking"] is True
    messages = dataset_info("d", "d.jsonl", "messages", ())
    assert messages is not None and messages["d"]["tags"]["role_tag"] == "role"
    assert dataset_info("d", "d.jsonl.gz", "alpaca", ()) is None
    assert dataset_info("d", "d.jsonl", "problem", ()) is None
