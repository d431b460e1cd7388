"""Faults 15 to 18 of data files: each kind, as ``longstep data`` meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longstep.cli.main import app
from longstep.config import UserError
from longstep.formats.files import layout_of, read_file
from longstep.formats.layouts import LAYOUTS
from longstep.formats.lines import parse
from longstep.formats.record import Record

ASKED = "How much is 2 + 2?"


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def records(path: Path) -> list[Record]:
    layout = layout_of(path)
    return [layout.read(parse(line)) for line in read_file(path)]


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("value", "many"),
    [({"problem": ASKED, "answer": "4"}, 1), ({"problem": ASKED, "answer": "4"}, 3), ({"data": [{"problem": ASKED}]}, 1)],
)  # fmt: skip
def test_15_a_row_over_several_lines_is_told_what_it_is(
    tmp_path: Path, value: Any, many: int
) -> None:
    path = put(tmp_path / "rows.jsonl", "\n".join([json.dumps(value, indent=2)] * many))
    with pytest.raises(
        UserError, match=r"rows.jsonl:1: is not JSON: the row goes on in the next line.*jq -c"
    ):
        typed("check", path, "--out", tmp_path / "out")


def test_15_a_torn_last_line_is_still_torn(tmp_path: Path) -> None:
    path = put(tmp_path / "rows.jsonl", json.dumps({"problem": ASKED}) + '\n{"problem": "Ho')
    with pytest.raises(UserError, match="torn"):
        typed("dedup", path, "--out", tmp_path / "out", "--max-bad", "0")


ORZ = [{"from": "human", "value": ASKED}, {"from": "assistant", "ground_truth": {"value": "4", "pass_at_n": 0.5}}]  # fmt: skip


@pytest.mark.parametrize("lines", [False, True])
def test_15_rows_that_are_lists_of_turns(tmp_path: Path, lines: bool) -> None:
    rows = [ORZ, [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "4"}]]
    for number, row in enumerate(rows):
        text = "".join(json.dumps(row) + "\n" for _ in range(2)) if lines else json.dumps([row] * 2)
        found = records(put(tmp_path / f"{number}.json", text))
        assert [each.prompt for each in found] == [ASKED] * 2
        assert {each.answer or each.completion for each in found} == {"4"}
    assert records(tmp_path / "0.json")[0].extra == {"ground_truth": {"pass_at_n": 0.5}}


@pytest.mark.parametrize(
    "text", ['[["a", "b"], ["c", "d"]]', '["a", "b"]\n["c", "d"]\n', "[1, 2]\n[3]\n"]
)
def test_15_rows_that_are_other_lists_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="expected"):
        records(put(tmp_path / "rows.json", text))


def message(*parts: Any) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": list(parts)},
            {"role": "assistant", "content": "4"},
        ]
    }


def test_15_parts_of_text_are_one_text(tmp_path: Path) -> None:
    row = message({"type": "text", "text": "How much is "}, {"type": "text", "text": "2 + 2?"})
    (record,) = records(put(tmp_path / "rows.jsonl", json.dumps(row) + "\n"))
    assert (record.prompt, record.completion, record.messages) == (ASKED, "4", ())
    picture = message(
        {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "x"}}
    )
    path = put(tmp_path / "pictures.jsonl", json.dumps(picture) + "\n")
    with pytest.raises(
        UserError,
        match=r"messages.0.content.1: got a part of type 'image_url', expected parts of text",
    ):
        typed("dedup", path, "--out", tmp_path / "out")


def test_15_preference_rows_in_the_columns_of_alpaca(tmp_path: Path) -> None:
    row = {"instruction": "Add.", "input": "2 + 2", "chosen": "4", "rejected": "5"}
    path = put(tmp_path / "pairs.jsonl", json.dumps(row) + "\n")
    assert layout_of(path).name == "alpaca-preference"
    (record,) = records(path)
    assert (record.prompt, record.chosen, record.rejected) == ("Add.\n2 + 2", "4", "5")
    assert LAYOUTS["alpaca-preference"].render(record) == row


@pytest.mark.parametrize("column", ["problem", "question", "prompt"])
def test_16_a_final_answer_is_an_answer(tmp_path: Path, column: str) -> None:
    rows = [
        {column: ASKED, "final_answer": ["4"], "solution": "Count."},
        {column: ASKED, "final_answer": "4"},
        {column: ASKED, "answer": "4", "final_answer": "5"},  # the answer's own column comes first
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert [each.answer for each in records(put(tmp_path / "rows.jsonl", text))] == ["4"] * 3


CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}],
}
TOOLS = [
    {"role": "user", "content": ASKED}, CALL, {"role": "tool", "content": "4"}, {"role": "assistant", "content": "It is 4."},
]  # fmt: skip


def test_17_a_turn_without_a_text_is_shown(tmp_path: Path) -> None:
    path = put(tmp_path / "rows.jsonl", json.dumps({"messages": TOOLS}) + "\n")
    shown = typed("show", path)
    assert "1 assistant (no text)" in shown and "add" in shown and "2 tool" in shown


def test_17_llama_factory_is_told_of_tools_and_of_turns_that_it_refuses(tmp_path: Path) -> None:
    good = {
        "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": "4"}],
        "tools": "[]",
    }
    twice = {
        "conversations": [{"from": "human", "value": "Hello."}, *good["conversations"]],
        "tools": "[]",
    }
    path = put(tmp_path / "rows.jsonl", json.dumps(good) + "\n" + json.dumps(twice) + "\n")
    out = tmp_path / "out"
    said = json.loads(typed("convert", path, "--to", "sharegpt", "--out", out, "--json"))
    assert said["counts"]["rows"]["turns in an order that LLaMA-Factory leaves out"] == 1
    info = json.loads((out / "out" / "dataset_info.json").read_text(encoding="utf-8"))
    assert info["data"]["columns"] == {"messages": "conversations", "tools": "tools"}


def test_18_two_files_of_one_name_have_two_default_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "r.jsonl", json.dumps({"problem": ASKED, "answer": "4"}) + "\n")
    put(tmp_path / "r.csv", f"problem,answer\n{ASKED},5\n")
    put(tmp_path / "r.json", json.dumps([{"problem": ASKED, "answer": "6"}]))
    for name in ("r.jsonl", "r.csv", "r.json"):
        typed("check", name)
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == [
        "r-check",
        "r-csv-check",
        "r-json-check",
    ]
