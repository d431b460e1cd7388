"""Converting and showing files: nothing lost on the way there and back, bad rows set aside, kills without effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_rows
from longstep.config import Located, UserError, ValidationError, validate
from longstep.formats.files import layout_of, read_file
from longstep.formats.layouts import LAYOUTS
from longstep.formats.lines import dump, parse
from longstep.formats.record import Record
from longstep.jobs.base import How, run_job
from longstep.jobs.convert import Convert
from longstep.jobs.show import Show, field_table, shown
from longstep.problems import JsonlFile
from longstep.progress import Progress
from longstep.types import Problem


def quiet(name: str, total: int, unit: str) -> Progress:
    return Progress(name, total, unit, lambda text: None)


HOW = How(progress=quiet)
QUESTIONS = [
    {
        "problem": f"{n}+1? \u2028é",
        "answer": str(n + 1),
        "uuid": f"u{n}",
        "tags": [n],
        "m": {"k": n},
    }
    for n in range(50)
]
TRACES = [
    {"question": f"{n}+1?", "solution": f"<think>\n{n}\n</think>\n\n{n + 1}", "answer": str(n + 1)}
    for n in range(50)
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(map(dump, rows)))
    return path


def records(path: Path) -> list[Record]:
    read = layout_of(path).read
    return [read(parse(line)) for line in read_file(path)]


@pytest.mark.parametrize(
    "to, file",
    [
        ("verl", "data.parquet"),
        ("longstep", "data.jsonl"),
        ("chat-prompt", "data.jsonl.zst"),
        ("question", "data.parquet"),
        ("messages", "data.jsonl.gz"),
    ],
)
def test_there_and_back_nothing_is_lost(tmp_path: Path, to: str, file: str):
    rows = [{**row, "id": f"i{n}"} for n, row in enumerate(QUESTIONS)]
    source = write(tmp_path / "x.jsonl", rows)
    ending = None if to in ("verl", "longstep") else file.removeprefix("data.")
    there = Convert.model_validate({"inputs": [source], "to": to, "file": ending})
    manifest = run_job(there, tmp_path / "there", HOW)
    assert manifest["counts"]["rows"] == {
        "read": 50,
        "bad": 0,
        "written": 50,
        "without a reply": 50,
    }
    made = tmp_path / "there/out" / file
    assert records(made) == records(source)
    back = Convert.model_validate({"inputs": [made], "to": "problem"})
    run_job(back, tmp_path / "back", HOW)
    assert [parse(line) for line in read_file(tmp_path / "back/out/data.jsonl")] == rows


def test_traces_go_to_llamafactory_with_a_description(tmp_path: Path):
    source = write(tmp_path / "x.jsonl", TRACES)
    job = Convert(inputs=(source,), to="sharegpt", name="limo", extra="drop")
    run_job(job, tmp_path / "out", HOW)
    info = json.loads((tmp_path / "out/out/dataset_info.json").read_text())
    assert info["limo"]["file_name"] == "limo.jsonl" and info["limo"]["formatting"] == "sharegpt"
    first = json.loads((tmp_path / "out/out/limo.jsonl").read_text().splitlines()[0])
    assert first["conversations"] == [
        {"from": "human", "value": "0+1?"},
        {"from": "gpt", "value": "<think>\n0\n</think>\n\n1"},
    ]


def test_an_array_of_alpaca_rows_becomes_messages(tmp_path: Path):
    source = tmp_path / "x.json"
    rows = [{"instruction": "Add.", "input": "1+1?", "output": "2", "n": 1}]
    source.write_text(json.dumps(rows, indent=2))
    run_job(Convert(inputs=(source,), to="messages"), tmp_path / "out", HOW)
    made = tmp_path / "out/out/data.jsonl"
    assert records(made) == records(source)
    back = Convert(inputs=(made,), to="alpaca")
    run_job(back, tmp_path / "back", HOW)
    assert [parse(line) for line in read_file(tmp_path / "back/out/data.jsonl")] == rows


def test_a_column_has_one_type_over_all_rows(tmp_path: Path):
    import pyarrow.parquet as pq

    rows = [{"prompt": "a", "chosen": "b", "rejected": "c", "n": 1}]
    rows += [{"prompt": "a", "chosen": "b", "rejected": "c", "n": "text"}]
    source = write(tmp_path / "x.jsonl", rows)
    job = Convert(inputs=(source,), to="chat-preference", file="parquet")
    run_job(job, tmp_path / "out", HOW)
    table = pq.read_table(tmp_path / "out/out/data.parquet").to_pylist()
    assert table[0]["chosen"] == [{"role": "assistant", "content": "b"}]
    assert [row["n"] for row in table] == ["1", '"text"']  # JSON text: the column has two types
    assert records(tmp_path / "out/out/data.parquet")[0].extra == {"n": 1}


@pytest.mark.parametrize("name", ["sums.jsonl", "sums.train.jsonl"])
def test_problems_without_an_id_get_the_one_a_source_gives(tmp_path: Path, name: str):
    rows = [{"problem": "1+1?", "answer": "2"}, {"problem": "1+1?", "answer": "2", "id": "mine"}]
    source = write(tmp_path / name, rows)
    run_job(Convert(inputs=(source,), to="longstep"), tmp_path / "out", HOW)
    made = tmp_path / "out/out/data.jsonl"
    table = {"kind": "jsonl", "path": source, "columns": {"prompt": "problem", "answer": "answer"}}
    expected = next(JsonlFile.model_validate(table).load(0)).id
    assert [row.id for row in records(made)] == [expected, "mine"]
    assert next(read_rows(made, Problem)) == Problem(expected, "1+1?", "2")


# -- bad rows -------------------------------------------------------------------------------------


def test_bad_rows_are_set_aside_with_their_place_and_bytes(tmp_path: Path):
    lines = [dump(row) for row in QUESTIONS]
    lines[9] = b'{"problm": "x"}\n'
    lines[19] = b'{"problem": "\xff"}\n'
    source = tmp_path / "x.jsonl"
    source.write_bytes(b"".join(lines) + b'{"problem": "to')
    job = Convert(inputs=(source,), to="question", max_bad=0.1)
    counts = run_job(job, tmp_path / "out", HOW)["counts"]["rows"]
    assert (counts["read"], counts["bad"], counts["written"]) == (51, 3, 48)
    aside = (tmp_path / "out/out/quarantine.jsonl").read_text().splitlines()
    first, second, third = map(json.loads, aside)
    assert (first["line"], first["field"]) == (10, "problem")
    assert "did you mean 'problm'" in first["why"] and first["row"] == {"problm": "x"}
    assert second["line"] == 20 and second["raw"] == '{"problem": "\\xff"}'
    assert third["line"] == 51 and "torn" in third["why"]


def test_too_many_bad_rows_stop_the_job_with_the_first(tmp_path: Path):
    source = write(tmp_path / "x.jsonl", [*QUESTIONS, {"problem": 5, "answer": []}])
    job = Convert(inputs=(source,), to="limo")
    with pytest.raises(UserError, match=r"x\.jsonl:1:solution: the record has none"):
        run_job(job, tmp_path / "out", HOW)
    job = Convert(inputs=(source,), to="question", max_bad=0)
    with pytest.raises(UserError, match=r"1 of the first 51 lines.*:51:answer: got a list of 0"):
        run_job(job, tmp_path / "out2", HOW)


def test_one_bad_row_among_many_is_found_by_its_line(tmp_path: Path):
    rows = [dump({"problem": f"{n}", "answer": "1"}) for n in range(12_000)]
    rows[9_456] = b'{"problem": ["x"], "answer": "1"}\n'
    source = tmp_path / "x.jsonl"
    source.write_bytes(b"".join(rows))
    run_job(Convert(inputs=(source,), to="question"), tmp_path / "out", HOW)
    aside = [json.loads(line) for line in (tmp_path / "out/out/quarantine.jsonl").open()]
    assert [(each["line"], each["field"]) for each in aside] == [(9_457, "problem")]
    assert aside[0]["why"] == "got a list of 1, expected text"


# -- interruption ---------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize("file", ["jsonl.gz", "parquet"])
def test_a_killed_conversion_goes_on_to_the_same_bytes(
    tmp_path: Path, file: Any, monkeypatch: pytest.MonkeyPatch
):
    source = write(tmp_path / "x.jsonl", [{"problem": str(n)} for n in range(9_000)])
    job = Convert(inputs=(source,), to="question", file=file)
    run_job(job, tmp_path / "whole", HOW)
    often = How(progress=quiet, seal_seconds=0)
    seen = 0

    def stop(self: Convert, counts: Any, enough: int = 0) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Convert, "refuse_bad", stop)
        with pytest.raises(Stop):
            run_job(job, tmp_path / "killed", often)
    assert not (tmp_path / "killed/out").exists()
    again = run_job(job, tmp_path / "killed", often)
    name = f"data.{file}"
    assert (tmp_path / "killed/out" / name).read_bytes() == (
        tmp_path / "whole/out" / name
    ).read_bytes()
    assert again["counts"]["rows"]["written"] == 9_000


# -- the config -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"to": "sharegtp"}, "did you mean 'sharegpt'"),
        ({"to": "verl", "file": "jsonl"}, "verl reads Parquet alone"),
        ({"to": "limo", "name": "../x"}, "name: "),
        ({"to": "limo", "name": "/etc/x"}, "name: "),
        ({"to": "limo", "layout": "limo", "columns": {"prompt": "q"}}, "give one of them"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        validate(Convert, Located({"inputs": ["x"], **settings}, {}))
    with pytest.raises(ValidationError):
        Convert.model_validate({"inputs": ["x"], **settings})


# -- show -----------------------------------------------------------------------------------------


def test_a_row_is_shown_with_its_thought_shortened(tmp_path: Path):
    thought = "a" * 500 + "THE MIDDLE" + "b" * 500
    row = {"prompt": "2+3?", "completion": f"<think>\n{thought}\n</think>\n\n5", "k": 1}
    source = write(tmp_path / "x.jsonl", [{"prompt": "1", "completion": "2"}, row])
    text = "\n".join(shown(Show(path=source, row=2, rows=1, characters=100)))
    assert f"{source}:2  (prompt-completion)" in text
    assert "thought     " + "a" * 50 + " [... 910 more characters ...] " + "b" * 50 in text
    assert "THE MIDDLE" not in text and "reply       5" in text and "+ k         1" in text


def test_a_completion_is_shown_with_finish_and_verdict(tmp_path: Path):
    row = {
        "problem_id": "p",
        "sample_index": 3,
        "text": "<think>\nlong",
        "finish_reason": "length",
        "token_ids": [1, 2],
        "verdict": {"status": "truncated", "answer": None, "reason": "no end"},
    }
    text = "\n".join(shown(Show(path=write(tmp_path / "x", [row]))))
    assert "p, sample 3" in text and "(the thought does not end)" in text
    assert "length after 2 tokens" in text and "truncated no end" in text


def test_a_file_of_no_layout_and_bad_lines_are_shown_all_the_same(tmp_path: Path):
    source = tmp_path / "x"
    source.write_bytes(b'{"foo":"\\u001b[31mred\\u202e"}\n{"foo"\n')
    text = "\n".join(shown(Show(path=source)))
    assert "\\x1b[31mred\\u202e" in text and "\x1b" not in text
    assert "not a row" in text and "is not JSON" in text
    with pytest.raises(UserError, match="holds no row 9"):
        list(shown(Show(path=source, row=9)))


def test_fields_are_counted_over_the_whole_file(tmp_path: Path):
    rows = [{"a": "xx", "b": 1}, {"a": ""}, {"a": "xxxx", "b": None}]
    source = write(tmp_path / "x", rows)
    with source.open("ab") as file:
        file.write(b"no\n")
    # a: in 3 rows, 1 empty, lengths 2 and 4; b: in 2 rows, missing in 1, null in 1
    assert field_table(source) == [
        ["field", "rows", "missing", "empty", "kinds", "mean length", "longest"],
        ["a", "3", "0", "1", "text", "3", "4"],
        ["b", "2", "1", "1", "null, number", "-", "-"],
        ["(not a row)", "1", "", "", "", "", ""],
    ]


def test_every_layout_can_be_named(tmp_path: Path):
    for name in LAYOUTS:
        assert Convert(inputs=(tmp_path,), to=name).to == name
