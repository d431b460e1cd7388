"""Lines, arrays, CSV and Parquet: the same rows from every kind of file, from any position, and clear words for damage."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard

from longstep.config import UserError
from longstep.formats.faults import RowError
from longstep.formats.files import kind_of, layout_of, read_file
from longstep.formats.lines import START, Line, Position, compress, dump, parse, read_lines
from longstep.formats.parquet import write_parquet

ALPHABET = 'ab"\\{}[],: \n\r\té\u2028\U0001f600'


def some_rows(count: int = 300) -> list[dict[str, Any]]:
    """Rows of texts that look like JSON and CSV, and of one type per column."""
    rng = random.Random(5)
    return [
        {
            "prompt": "".join(rng.choices(ALPHABET, k=rng.randrange(1, 40))),
            "answer": str(number),
            "deep": {"list": [number, -number], "text": '"]}'},
        }
        for number in range(count)
    ]


ROWS = some_rows()
TEXT = b"".join(dump(row) for row in ROWS)


def written(folder: Path, kind: str) -> Path:
    path = folder / f"x.{kind}"
    rows = ROWS
    match kind:
        case "jsonl":
            path.write_bytes(TEXT)
        case "gz":
            path.write_bytes(gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]))
        case "zst":
            half = TEXT.index(b"\n", 7000) + 1
            path.write_bytes(zstandard.compress(TEXT[:half]) + zstandard.compress(TEXT[half:]))
        case "crlf":
            path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n\r\n"))
        case "json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case "pretty.json":
            path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")
        case "parquet":
            write_parquet(path, lambda: json.loads(json.dumps(rows)))
        case _:
            raise ValueError(kind)
    return path


KINDS = ["jsonl", "gz", "zst", "crlf", "json", "pretty.json", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_come_from_every_kind_of_file(tmp_path: Path, kind: str):
    lines = list(read_file(written(tmp_path, kind)))
    assert [parse(line) for line in lines] == ROWS
    assert all(line.whole and not line.fault for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_goes_on_from_any_line(tmp_path: Path, kind: str):
    path = written(tmp_path, kind)
    lines = list(read_file(path))
    for index in (0, 1, 17, 255, 256, len(lines) - 2, len(lines) - 1):
        assert list(read_file(path, lines[index].after)) == lines[index + 1 :]


def test_numbers_and_offsets_are_those_of_the_file(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}')
    first, second = read_lines(path)
    # 3 bytes of mark, 7 of row, 2 of line end, then 1 and 3 of blank lines
    assert first == Line(1, 3, b'{"a":1}', Position(1, 12))
    assert second == Line(4, 16, b'{"b":2}', Position(4, 23), whole=False)
    assert parse(second) == {"b": 2}  # without a line end and whole all the same


def test_lines_survive_being_sent_to_another_process(tmp_path: Path):
    line = next(read_lines(written(tmp_path, "jsonl")))
    assert pickle.loads(pickle.dumps(line)) == line
    error = RowError("got 1, expected text", "a.b")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.field) == (error.reason, error.field)


# -- one line -------------------------------------------------------------------------------------


def parsed(data: bytes, whole: bool = True) -> dict[str, Any]:
    return parse(Line(1, 100, data, Position(1, 100 + len(data)), whole))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b'{"a":1,"a":2}', "a: the key is there twice"),
        (b'{"b":{"a":1, "c":{"x" : 1, "x":1}}}', "x: the key is there twice"),
        (b'{"a":"\xe9t"}', "not UTF-8: byte 0xe9 at byte 106 of the file"),
        (b'{"a":"x\0"}', "NUL byte at byte 107"),
        (b'{"a":NaN}', "NaN and Infinity are not JSON"),
        (b'{"a":"\\ud800"}', "is not JSON"),
        (b"[1, 2]", "got a list of 2"),
        (b'"text"', "got text 'text'"),
        (b'{"a":' * 201 + b"1" + b"}" * 201, "nested more than 200 deep"),
        (b'{"a":' * 5000, "is not JSON"),
        (b'{"a":1e999}', "is not JSON"),
        (b'{"a" 1}', "is not JSON: "),
    ],
)
def test_a_bad_line_says_why(data: bytes, reason: str):
    with pytest.raises(RowError) as caught:
        parsed(data)
    assert reason in str(caught.value)


def test_a_torn_last_line_is_called_that():
    with pytest.raises(RowError, match="ends inside this row, at byte 106: the last line is torn"):
        parsed(b'{"a":1', whole=False)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"say \\":\\" twice","b":1}',
        '{"a":9007199254740993,"b":18446744073709551617,"c":-123456789012345678901234567890}',
        '{"a":0.1,"b":1e300,"c":[1e20,-1e-300]}',
        '{"a":{"a":{"a":[{"a":null}]}}}',
    ],
)
def test_parsing_is_what_the_standard_library_parses(text: str):
    ours, theirs = parsed(text.encode()), json.loads(text)
    assert repr(ours) == repr(theirs)  # repr: 2**64 + 1 is not 1.8446744073709552e+19
    assert json.loads(dump(ours)) == theirs


def test_what_json_has_no_form_for_is_not_written():
    assert dump({"a": None, "b": "null"}) == b'{"a":null,"b":"null"}\n'
    for value in (float("nan"), {"a": [float("inf"), None]}, {"a": b"x"}, {"a": "\ud800"}):
        with pytest.raises(RowError, match="cannot be written as JSON"):
            dump(value)


# -- size and damage ------------------------------------------------------------------------------


def test_a_line_above_the_limit_is_passed_by_in_flat_memory(tmp_path: Path):
    path = tmp_path / "x.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"a":1}\n{"b":"')
        for _ in range(60):
            file.write(b"y" * (1 << 20))
        file.write(b'"}\n{"c":3}\n')
    tracemalloc.start()
    first, second, third = read_lines(path, limit=4 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # of 60 MB; the line is 62,914,568 bytes with its end
    assert (first.data, third.data) == (b'{"a":1}', b'{"c":3}')
    assert third.number == 3 and third.offset == 8 + 62914568 + 1
    assert len(second.data) < 10000
    with pytest.raises(RowError, match=r"line is 62,914,569 bytes long, more than 4,194,304"):
        parse(second)
    assert list(read_lines(path, second.after, limit=4 << 20)) == [third]


def test_a_zstd_bomb_is_passed_by_in_flat_memory(tmp_path: Path):
    path = tmp_path / "x.zst"
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    parts = [compressor.compress(b" " * (1 << 20)) for _ in range(200)]
    path.write_bytes(b"".join(parts) + compressor.compress(b'x\n{"a":1}\n') + compressor.flush())
    assert path.stat().st_size < 100_000  # 200 MB of text
    tracemalloc.start()
    lines = list(read_lines(path, limit=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [bool(line.fault) for line in lines] == [True, False]
    assert peak < 80 << 20


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_that_was_cut_off_says_so(tmp_path: Path, kind: str):
    path = tmp_path / "x"
    data = compress(TEXT, f".{kind}")  # with checksums
    path.write_bytes(data[:-100])
    seen = []
    with pytest.raises(UserError, match="damaged or cut off after line"):
        seen.extend(read_lines(path))
    path.write_bytes(data[: len(data) // 2] + b"\xff" * 40 + data[len(data) // 2 + 40 :])
    with pytest.raises(UserError, match="damaged or cut off"):
        list(read_lines(path))


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        list(read_file(tmp_path / "none"))
    with pytest.raises(UserError, match="is a folder"):
        list(read_file(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no regular file"):
        list(read_file(tmp_path / "pipe"))
    with pytest.raises(UserError, match="is a Parquet file"):
        list(read_lines(written(tmp_path, "parquet")))
    (tmp_path / "short.parquet").write_bytes(b"PAR1....")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        list(read_file(tmp_path / "short.parquet"))


# -- encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "gb18030", "utf-8-sig"])
def test_other_encodings_give_the_same_lines(tmp_path: Path, encoding: str):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(TEXT.decode().encode(encoding)))
    lines = list(read_lines(path, encoding=encoding))
    assert lines == list(read_lines(written(tmp_path, "jsonl")))
    assert list(read_lines(path, lines[40].after, encoding=encoding)) == lines[41:]


def test_a_wrong_encoding_is_never_guessed_or_replaced(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes('{"a":"é"}\n'.encode("latin-1") + b'{"a":"b"}\n')
    bad, good = read_lines(path)
    with pytest.raises(RowError, match="byte 0xe9 at byte 6 of the file; give its encoding"):
        parse(bad)
    assert parse(good) == {"a": "b"}
    assert parse(next(read_lines(path, encoding="latin-1"))) == {"a": "é"}
    path.write_text('{"a":1}', encoding="utf-16")
    with pytest.raises(UserError, match="is text in utf-16, not UTF-8; say so"):
        list(read_lines(path))
    path.write_bytes(b'{"a":"\x81"}')  # 0x81 is no character of cp1252
    with pytest.raises(UserError, match="not text in cp1252: stopped at byte 6"):
        list(read_lines(path, encoding="cp1252"))
    with pytest.raises(UserError, match="no text encoding is called 'utf9'"):
        list(read_lines(path, encoding="utf9"))
    with pytest.raises(UserError, match="no text encoding is called 'zip'"):
        list(read_lines(path, encoding="zip"))


# -- arrays ---------------------------------------------------------------------------------------


def test_an_array_is_cut_where_the_standard_library_cuts_it(tmp_path: Path):
    path = tmp_path / "x.json"
    long = {"a": "\\" * 700_001 + '"' * 500_000}  # its escapes lie across blocks of a megabyte
    rows = [{}, long, {"a": [{"b": "]"}, []]}, long]
    path.write_text("\n " + json.dumps(rows).replace(", ", "\n,\n"), encoding="utf-8")
    lines = list(read_file(path))
    assert [parse(line) for line in lines] == rows
    assert [line.number for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "text, message",
    [
        ('[{"a":1} {"a":2}]', "item 2: expected a comma"),
        ('[{"a":1}, 3]', "item 2: expected an object"),
        ("[1, 2]", "item 1: expected an object"),
        ('[{"a":"' + "x" * 3000, "item 1 is longer than 2,000 bytes"),
    ],
)
def test_an_array_of_something_else_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        list(read_file(path, limit=2000))


def test_a_torn_array_gives_its_whole_items_first(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text('[{"a":1}, {"a"')
    first, torn = read_file(path)
    assert parse(first) == {"a": 1}
    with pytest.raises(RowError, match="torn"):
        parse(torn)
    path.write_text("[]")
    assert list(read_file(path)) == []


# -- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending, delimiter", [("csv", ","), ("tsv", "\t"), ("csv", ";")])
def test_csv_cells_may_hold_anything(tmp_path: Path, ending: str, delimiter: str):
    path = tmp_path / f"x.{ending}"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["prompt", "difficulty", "answer"])
        writer.writerows([row["prompt"], "0.5", row["answer"]] for row in ROWS)
    lines = list(read_file(path))
    assert [parse(line) for line in lines] == [
        {"prompt": row["prompt"], "difficulty": 0.5, "answer": row["answer"]} for row in ROWS
    ]
    for index in (0, 100, len(lines) - 1):
        assert list(read_file(path, lines[index].after)) == lines[index + 1 :]
    packed = tmp_path / f"y.{ending}.zst"
    packed.write_bytes(compress(path.read_bytes(), ".zst"))
    assert list(read_file(packed, lines[100].after)) == lines[101:]


def test_what_is_wrong_with_a_csv(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2,3\n1,2\n")
    bad, good = read_file(path)
    with pytest.raises(RowError, match="has 3 cells, the first row has 2"):
        parse(bad)
    assert (bad.number, good.number) == (2, 3) and parse(good) == {"a": "1", "b": "2"}
    path.write_text("a,a\n1,2\n")
    with pytest.raises(UserError, match="column 'a' twice"):
        list(read_file(path))
    path.write_text('a,b\n1,"2\n' + "x\n" * 5000)
    with pytest.raises(UserError, match="is a quote not closed"):
        list(read_file(path, limit=1000))
    path.write_bytes(b"a,b\n1,\xe9\n")
    with pytest.raises(UserError, match=r"x\.csv:2: is not UTF-8: byte 0xe9 at byte 6"):
        list(read_file(path))


# -- Parquet --------------------------------------------------------------------------------------


def test_a_table_gives_back_what_was_written_whatever_the_types(tmp_path: Path):
    rows = [
        {"a": 1, "b": {"x": 1, "y": {}}, "c": [1, "two"], "d": 2**70, "e": [], "g": [None, "x"]},
        {
            "a": 2.5,
            "b": {"z": [1.5]},
            "d": 1,
            "f": True,
            "c": {"k": 1},
            "h": [{"p": 1}, {"q": "r"}],
        },
        {"a": -3, "b": {"y": {"deep": None}}, "e": [], "f": False, "g": []},
        {},
    ]
    path = tmp_path / "x.parquet"
    assert write_parquet(path, lambda: json.loads(json.dumps(rows))) == 4
    rows[2]["b"] = {"y": {}}  # in a table nothing and null are the same
    assert [parse(line) for line in read_file(path)] == rows


def test_columns_of_one_type_keep_it(tmp_path: Path):
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    rows = [{"n": 1, "m": None, "s": {"k": "v", "i": 1}}, {"n": 2, "m": 0.5, "s": {"k": "w"}}]
    write_parquet(path, lambda: json.loads(json.dumps(rows)))
    schema = pq.read_schema(path)
    assert str(schema.field("n").type) == "int64" and str(schema.field("m").type) == "double"
    assert str(schema.field("s").type) == "struct<k: string, i: int64>"


def test_tables_of_others_have_nan_times_and_bytes(tmp_path: Path):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    when = datetime.datetime(2025, 1, 2, 3, 4, 5)
    fine = pa.array([1735787045000000001] * 2, pa.timestamp("ns"))
    money = pa.array(["0.10", "2.00"]).cast(pa.decimal128(5, 2))
    table = pa.table(
        {"x": [1.0, float("nan")], "t": [when] * 2, "n": fine, "d": money, "b": [None, b"\x00"]}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    first, second = read_file(tmp_path / "x.parquet")
    assert parse(first) == {
        "x": 1.0,
        "t": "2025-01-02T03:04:05",
        "n": "2025-01-02T03:04:05.000000001",
        "d": "0.10",
    }
    with pytest.raises(RowError, match="cannot be written as JSON"):
        parse(second)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_a_sentence_and_no_traceback(tmp_path: Path, kind: str):
    rng = random.Random(kind)
    path = written(tmp_path, kind)
    data = path.read_bytes()
    complaints = 0
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(damaged))
            damaged[at : at + rng.choice([0, 1, 30])] = rng.randbytes(rng.choice([0, 1, 3]))
        path.write_bytes(damaged)
        try:
            for line in read_file(path, limit=1 << 20):
                try:
                    parse(line)
                except RowError:
                    complaints += 1
        except UserError:
            complaints += 1
    assert complaints > 0


# -- around ---------------------------------------------------------------------------------------


def test_a_layout_is_found_behind_bad_lines(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'not json\n{"problem":"2+3?","answer":"5"}\n')
    assert layout_of(path).name == "problem" and kind_of(path) == "lines"
    path.write_bytes(b"not json\n")
    with pytest.raises(UserError, match=r"x.jsonl:1: is not JSON.*none of the first rows"):
        layout_of(path)


def test_compressed_pieces_follow_one_another(tmp_path: Path):
    for ending in (".gz", ".zst"):
        path = tmp_path / f"x{ending}"
        half = TEXT.index(b"\n", 7000) + 1
        pieces = [compress(TEXT[:half], ending), compress(TEXT[half:], ending)]
        assert pieces == [compress(TEXT[:half], ending), compress(TEXT[half:], ending)]
        path.write_bytes(b"".join(pieces))
        assert [parse(line) for line in read_lines(path, START)] == ROWS


def test_importing_the_formats_loads_nothing_heavy():
    code = (
        "import sys, longstep.formats.files, longstep.formats.parquet;"
        "print([m for m in ('pyarrow', 'pandas', 'torch', 'datasets', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
