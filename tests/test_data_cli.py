"""``longstep data ...`` as a user types it, on good, bad and hostile files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from typer.testing import CliRunner

from longstep.artifacts import read_json, verify_manifest
from longstep.cli.data import data
from longstep.config import UserError
from longstep.curate.duplicates import Duplicates, drop_duplicates
from longstep.curate.overlap import Item, Overlap
from longstep.formats.layouts import detect
from longstep.jobs import base, inputs, near
from longstep.problems import hub
from longstep.types import Problem
from longstep.verify import canonical
from patience import PATIENCE


def typed(*words: object) -> Any:
    """Run a verb in this process; a user error is raised."""
    result = CliRunner().invoke(data, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def question(number: int, **more: object) -> dict[str, object]:
    return {
        "id": f"q{number}",
        "problem": f"What is {number} plus 1?",
        "answer": str(number + 1),
        **more,
    }


# -- check ----------------------------------------------------------------------------------------


def test_check_names_file_line_and_field_of_everything_that_is_no_row(tmp_path: Path):
    path = write(
        tmp_path / "rows.jsonl",
        question(1),
        b'{"id": "q2", "problem": [7], "answer": "x"}',
        b"",
        b'{"id": "q3", "problem": "a\xff", "answer": "x"}',
        b"[1]",
        question(1, answer=None),
        question(4),
    )
    path.write_bytes(path.read_bytes() + b'{"id": "q5", "prob')
    result = typed("check", path, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    counts = json.loads(result.stdout)["counts"]
    assert counts["rows"] == {
        "read": 7, "bad": 4, "without id": 0, "without answer": 1, "odd characters": 0,
        "id repeats an earlier one": 1,
    }  # fmt: skip
    assert counts["lines by layout"] == {"problem": 7}  # the blank line is none
    # "What is 1 plus 1?" has 17 characters
    assert counts["characters of the prompt"] == {"16-31": 3}
    bad = rows_of(tmp_path / "out/out/quarantine.jsonl")
    assert [(row["line"], row["field"]) for row in bad] == [
        (2, "problem"),
        (4, ""),
        (5, ""),
        (8, ""),
    ]
    assert "expected text" in bad[0]["why"] and "torn" in bad[3]["why"]
    assert bad[0]["row"]["problem"] == [7] and "\\xff" in bad[1]["raw"]
    assert rows_of(tmp_path / "out/out/repeated_ids.jsonl") == [
        {"row": f"{path}:6", "same_id_as": f"{path}:1"}
    ]


def test_check_of_a_good_file_exits_with_zero(tmp_path: Path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(
        gzip.compress(b"".join(json.dumps(question(n)).encode() + b"\n" for n in range(20)))
    )
    assert typed("check", path, "--out", tmp_path / "out").exit_code == 0


# -- dedup ----------------------------------------------------------------------------------------


def test_dedup_keeps_the_first_and_sets_contradictions_aside_whole(tmp_path: Path):
    first = write(
        tmp_path / "a.jsonl",
        question(1, extra={"kept": [1.50, "\u00e9"]}),
        {"id": "x", "problem": "What is $\\dfrac{1}{2}$ of 4?", "answer": "2"},
        {"id": "c", "problem": "Compute 3!", "answer": "6"},
    )
    second = write(
        tmp_path / "b.jsonl",
        {"id": "y", "problem": "what is \\frac{1}{2} of 4", "answer": "2.0"},
        {"id": "d", "problem": "compute  3!", "answer": "9"},
        question(1),
        {"id": "z", "problem": "Compute 3!"},
    )
    result = typed("dedup", first, second, "--out", tmp_path / "out", "--json")
    counts = json.loads(result.stdout)["counts"]
    assert counts["groups"] == {"groups": 3, "conflicts": 1, "surplus": 2}
    lines = first.read_bytes().splitlines(keepends=True)
    assert (tmp_path / "out/out/clean.jsonl").read_bytes() == b"".join(lines[:2])
    aside = rows_of(tmp_path / "out/out/quarantine.jsonl")
    assert [(row["reason"], row["group"], row["row"]["id"]) for row in aside] == [
        ("conflicting answers", f"{first}:3", "c"),
        ("normalised duplicate", f"{first}:2", "y"),
        ("conflicting answers", f"{first}:3", "d"),
        ("exact duplicate", f"{first}:1", "q1"),
        ("conflicting answers", f"{first}:3", "z"),
    ]
    exact = typed("dedup", first, second, "--out", tmp_path / "exact", "--match", "exact", "--json")
    assert (
        json.loads(exact.stdout)["counts"]["groups"]["groups"] == 2
    )  # q1 and "Compute 3!", spelt alike


@pytest.mark.parametrize("parts", [1, 7])
def test_near_duplicates_on_disk_are_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
):
    monkeypatch.setattr(near, "_ROWS_PER_PART", 120 // parts)
    rng = random.Random(0)
    verbs, things = ["Find", "Compute", "Determine", "Work out"], ["sum", "product", "mean"]
    rows = []
    for number in range(120):
        a, b = rng.randrange(3), rng.randrange(3)
        text = f"{rng.choice(verbs)} the {rng.choice(things)} of the two given whole numbers {a} and {b}{'.' * rng.randrange(2)}"
        rows.append({"id": str(number), "prompt": text, "answer": str(rng.randrange(2))})
    path = write(tmp_path / "rows.jsonl", *rows)
    typed("dedup", path, "--out", tmp_path / "out", "--match", "near:similarity=0.75")
    problems = [Problem(**row) for row in rows]
    kept, dropped = drop_duplicates(problems, canonical, Duplicates(kind="near", similarity=0.75))
    assert [row["id"] for row in rows_of(tmp_path / "out/out/clean.jsonl")] == [p.id for p in kept]
    aside = rows_of(tmp_path / "out/out/quarantine.jsonl")
    ours = {row["row"]["id"]: row["reason"] for row in aside}
    theirs = {problem.id: reason.split(":")[0] for problem, reason in dropped}
    # a repetition of a near duplicate is named after what it repeats here, after the group's first row there
    assert {id for id, reason in ours.items() if reason == "conflicting answers"} == {
        id for id, reason in theirs.items() if reason == "conflicting golds"
    }
    assert {id for id, reason in ours.items() if theirs[id] == reason} > {
        id for id, reason in ours.items() if reason == "near duplicate"
    }
    assert {"near duplicate", "exact duplicate", "conflicting answers"} <= set(ours.values())


def test_dedup_stops_when_too_many_lines_are_no_rows(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n) for n in range(98)], b"{", b"{")
    said = r"2 of the first 100 lines cannot be used, the first is .*rows.jsonl:99: is not JSON"
    with pytest.raises(UserError, match=said):
        typed("dedup", path, "--out", tmp_path / "out")
    typed("dedup", path, "--out", tmp_path / "more", "--max-bad", "0.02")
    assert len(rows_of(tmp_path / "more/out/clean.jsonl")) == 98
    assert len(rows_of(tmp_path / "more/out/quarantine.jsonl")) == 2


# -- folders --------------------------------------------------------------------------------------


def test_the_same_command_again_finds_its_work_done_and_another_one_is_refused(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n) for n in range(9)])
    words = ["dedup", path, "--out", tmp_path / "out", "--json"]
    assert typed(*words).stdout == typed(*words).stdout
    verify_manifest(tmp_path / "out")
    with pytest.raises(UserError, match=r"match\.kind: \"normalised\" -> \"exact\""):
        typed(*words, "--match", "exact")
    write(path, *[question(n) for n in range(10)])
    with pytest.raises(UserError, match=r"inputs.*rows\.jsonl.*bytes"):
        typed(*words)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    with pytest.raises(UserError, match="choose another --out"):
        typed("dedup", path, "--out", tmp_path / "mine")


def test_nothing_in_and_nothing_out_are_refused(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_bytes(b"\n\n")
    for verb in ("check", "dedup", "decontaminate --against math500"):
        with pytest.raises(UserError, match=r"empty\.jsonl: holds no row"):
            typed(*verb.split(), tmp_path / "empty.jsonl", "--out", tmp_path / verb)
    path = write(tmp_path / "rows.jsonl", question(1, answer="2"), question(1, answer="3"))
    with pytest.raises(UserError, match=r"no row is left \(read 2, kept 0\)"):
        typed("dedup", path, "--out", tmp_path / "out")


def test_a_missing_file_and_a_missing_column_are_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match="No such file"):
        typed("check", tmp_path / "none.jsonl", "--out", tmp_path / "out")
    path = write(tmp_path / "rows.jsonl", {"frage": "Was ist 1 + 1?"})
    with pytest.raises(UserError, match="frage"):
        typed("check", path, "--out", tmp_path / "out")
    assert (
        typed("check", path, "--out", tmp_path / "named", "--columns", "prompt=frage").exit_code
        == 0
    )


# -- size and kills -------------------------------------------------------------------------------


def program(
    *words: object, limit: int = 1 << 30, file_limit: int = 1 << 40
) -> subprocess.Popen[bytes]:
    """Start the program in so much address space, with files of at most so many bytes."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        # A suite that a shell started in the background has it ignored, and hands that on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "longstep", "data", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=limits,
        process_group=0,
    )


def children(pid: int) -> set[int]:
    """Processes whose parent it is."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.add(int(stat.parent.name))
    return found


def test_a_killed_verb_goes_on_to_the_same_bytes_and_leaves_no_worker_behind(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n % 30_000) for n in range(40_000)])
    whole = program("dedup", path, "--out", tmp_path / "whole")
    words = ["dedup", path, "--out", tmp_path / "killed", "--workers", 2]
    victim = program(*words)
    sealed = tmp_path / "killed/partial/keys.seal.json"
    deadline = time.monotonic() + PATIENCE
    while not sealed.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = children(victim.pid)
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate(timeout=PATIENCE)
    assert len(workers) >= 2
    assert not (tmp_path / "killed/manifest.json").exists()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    again = program(*words)
    assert again.communicate(timeout=PATIENCE) and again.returncode == 0
    assert whole.communicate(timeout=PATIENCE) and whole.returncode == 0
    for out in ("whole", "killed"):
        verify_manifest(tmp_path / out)
    assert read_json(tmp_path / "whole/manifest.json") == read_json(
        tmp_path / "killed/manifest.json"
    )


def test_a_full_disk_is_one_sentence_and_the_same_command_continues(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n) for n in range(6_000)])
    words = ["dedup", path, "--out", tmp_path / "out"]
    full = program(*words, file_limit=100_000)
    _, said = full.communicate(timeout=PATIENCE)
    assert full.returncode == 2
    assert b"cannot be written" in said and b"Traceback" not in said
    again = program(*words)
    assert again.communicate(timeout=PATIENCE) and again.returncode == 0
    assert (tmp_path / "out/out/clean.jsonl").read_bytes() == path.read_bytes()


def test_ctrl_c_is_one_sentence_with_its_own_exit_code(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n) for n in range(60_000)])
    process = program("dedup", path, "--out", tmp_path / "out", "--workers", 2)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "out/partial/keys.seal.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"interrupted; the same command continues" in said and b"Traceback" not in said


def test_data_verbs_load_no_heavy_library(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n) for n in range(5)])
    code = (
        "import sys; sys.argv = sys.argv[1:];"
        "from longstep.cli import main as cli; cli.app(standalone_mode=False);"
        "heavy = ['torch', 'transformers', 'trl', 'datasets', 'pyarrow', 'matplotlib', 'sympy', 'httpx'];"
        "sys.stderr.write(str([m for m in heavy if m in sys.modules]))"
    )
    for verb in ("check", "dedup", "decontaminate --against math500"):
        command = [
            sys.executable,
            "-c",
            code,
            "longstep",
            "data",
            verb.split()[0],
            str(path),
            "--out",
            str(tmp_path / verb.split()[0]),
            *verb.split()[1:],
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.stderr.endswith("[]"), done.stderr


@pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows.parquet", "rows.jsonl.zst"])
def test_every_kind_of_file_gives_the_same_clean_rows(tmp_path: Path, name: str):
    rows = [question(n % 4, note='two\nlines, "quoted"') for n in range(6)]
    path = tmp_path / name
    if name.endswith(".json"):
        path.write_text(json.dumps(rows, indent=1))  # an item goes over several lines
    elif name.endswith(".csv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        path.write_bytes(zstandard.ZstdCompressor().compress(text))
    typed("dedup", path, "--out", tmp_path / "out")
    assert rows_of(tmp_path / "out/out/clean.jsonl") == rows[:4]
    assert [row["row"] for row in rows_of(tmp_path / "out/out/quarantine.jsonl")] == rows[4:]


# -- decontaminate --------------------------------------------------------------------------------

ASKED = "A farmer has 17 sheep and buys 25 geese at the market in Siena; how many legs do his animals have?"
OTHER = "Determine the remainder when the product of the first eleven odd primes is divided by 64."


def contaminated(tmp_path: Path, name: str = "exam.jsonl") -> tuple[Path, Path]:
    """A benchmark of two questions, and rows of which one is a question and one has it inside."""
    exam = write(tmp_path / name, {"id": "e1", "problem": ASKED}, {"id": "e2", "problem": OTHER})
    rows = write(
        tmp_path / "rows.jsonl",
        question(1),
        {"id": "copy", "problem": ASKED, "answer": "168"},
        {"id": "inside", "problem": f"Think hard. {ASKED} Explain.", "answer": "168"},
        question(2),
    )
    return exam, rows


def test_decontaminate_sets_rows_aside_with_the_evidence(tmp_path: Path):
    exam, rows = contaminated(tmp_path)
    result = typed("decontaminate", rows, "--against", exam, "--out", tmp_path / "out", "--json")
    manifest = json.loads(result.stdout)
    assert manifest["counts"]["rows"] == {"read": 4, "bad": 0, "kept": 2, "removed": 2}
    assert manifest["counts"]["rows removed for"] == {"exam: identical": 2}
    assert manifest["ledger"]["sources"] == {"exam": hashlib.sha256(exam.read_bytes()).hexdigest()}
    lines = rows.read_bytes().splitlines(keepends=True)
    assert (tmp_path / "out/out/clean.jsonl").read_bytes() == lines[0] + lines[3]
    for path in ("quarantine.jsonl", "hits.jsonl"):
        found = rows_of(tmp_path / "out/out" / path)
        assert [(row["line"], row["class"], row["benchmark"], row["item"]) for row in found] == [
            (2, "identical", "exam", "e1"),
            (3, "identical", "exam", "e1"),
        ]
        assert all(row["file"] == str(rows) and 0.99 < row["score"] <= 1 for row in found)
    hit = rows_of(tmp_path / "out/out/hits.jsonl")[1]
    assert hit["benchmark_text"] == ASKED and hit["removed"] is True
    start, end = hit["span"]
    assert hit["text"][start:end].rstrip("?") == ASKED.rstrip("?")
    assert read_json(tmp_path / "out/out/items.json") == {"exam/e1: identical": 2}


def test_published_rules_and_their_settings_are_modes(tmp_path: Path):
    exam, rows = contaminated(tmp_path)
    renumbered = ASKED.replace("17", "31").replace("25", "6")
    write(rows, question(1), {"id": "new", "problem": renumbered, "answer": "136"})
    kept = {}
    for mode in ("light-r1:rules=characters", "light-r1:rules=windows", "open-r1", "s1:words=30"):
        out = tmp_path / mode
        words = ["decontaminate", rows, "--against", exam, "--mode", mode, "--out", out, "--json"]
        kept[mode] = json.loads(typed(*words).stdout)["counts"]["rows"]["kept"]
    # other numbers are no difference to the first; windows of 32 and 30 words do not fit into 20; 8 words in a row do
    assert list(kept.values()) == [1, 2, 1, 2]
    with pytest.raises(UserError, match=r"did you mean 'light-r1'"):
        typed(
            "decontaminate", rows, "--against", exam, "--mode", "lightr1", "--out", tmp_path / "x"
        )


def test_text_of_gpqa_is_not_written(tmp_path: Path):
    exam, rows = contaminated(tmp_path, "gpqa_main.jsonl")
    typed("decontaminate", rows, "--against", exam, "--out", tmp_path / "out")
    assert len(rows_of(tmp_path / "out/out/hits.jsonl")) == 2
    assert rows_of(tmp_path / "out/out/quarantine.jsonl")[0]["line"] == 2
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or "farmer" not in path.read_text()


def test_an_unknown_benchmark_names_its_neighbour(tmp_path: Path):
    _, rows = contaminated(tmp_path)
    with pytest.raises(
        UserError, match=r"--against math50: no such file .* did you mean 'math500'"
    ):
        typed("decontaminate", rows, "--against", "math50", "--out", tmp_path / "out")


def test_several_benchmarks_follow_against(tmp_path: Path):
    exam, rows = contaminated(tmp_path)
    second = write(tmp_path / "second.jsonl", {"id": "s", "problem": OTHER})
    typed("decontaminate", rows, "--out", tmp_path / "out", "--against", f"{exam},{second}")
    assert set(read_json(tmp_path / "out/manifest.json")["ledger"]["sources"]) == {"exam", "second"}


def fingerprint(folder: Path, name: str, *questions: str) -> None:
    """What the script that builds the shipped fingerprints writes."""
    folder.mkdir()
    items = [Item(name, f"i{n}", text) for n, text in enumerate(questions)]
    Overlap().build(items).save_fingerprint(folder / f"{name}.npz")


def test_a_fingerprint_finds_the_same_rows_and_knows_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _, rows = contaminated(tmp_path)
    monkeypatch.setattr("longstep.curate.overlap.shipped.FOLDER", tmp_path / "prints")
    fingerprint(tmp_path / "prints", "exam2", ASKED, OTHER)
    typed("decontaminate", rows, "--against", "exam2", "--out", tmp_path / "out")
    hits = rows_of(tmp_path / "out/out/hits.jsonl")
    assert [(hit["line"], hit["item"], hit["benchmark_text"]) for hit in hits] == [
        (2, "i0", None),
        (3, "i0", None),
    ]
    with pytest.raises(UserError, match="known by its fingerprint only"):
        typed("decontaminate", rows, "--against", "exam2", "--mode", "s1", "--out", tmp_path / "s1")


def test_a_renamed_copy_of_gpqa_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exam, rows = contaminated(tmp_path, "hard_questions.jsonl")
    monkeypatch.setattr("longstep.curate.overlap.shipped.FOLDER", tmp_path / "prints")
    fingerprint(tmp_path / "prints", "gpqa_diamond", ASKED)
    typed("decontaminate", rows, "--against", exam, "--out", tmp_path / "out")
    assert len(rows_of(tmp_path / "out/out/hits.jsonl")) == 2
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or "farmer" not in path.read_text()


# -- what is typed -------------------------------------------------------------------------------


def test_a_file_behind_against_is_never_taken_for_the_other_kind(tmp_path: Path):
    exam, rows = contaminated(tmp_path)
    for words in (
        [rows, "--against", "math500", exam],
        [rows, "--against=math500", exam, "--json"],
        [rows, "--against", "math500", "aime24", exam],
        [rows, "--against", "math500", f"{exam.parent}/./exam.jsonl"],
    ):
        with pytest.raises(UserError, match=r"exam.jsonl: .*--against A --against B"):
            typed("decontaminate", *words, "--out", tmp_path / "out")
    with pytest.raises(UserError, match=r"no file to clean; rowz.jsonl: no such file"):
        typed("decontaminate", "--against", "math500", "rowz.jsonl", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = typed("decontaminate", rows, "--against", exam, "--out", tmp_path / "out")
    said = " ".join(result.output.split())
    assert said.startswith(f"cleaning {rows} against {exam}")


def test_several_files_are_cleaned_together(tmp_path: Path):
    exam, rows = contaminated(tmp_path)
    more = write(tmp_path / "more.jsonl", question(3), {"id": "x", "problem": OTHER, "answer": "1"})
    words = ["decontaminate", rows, more, "--against", exam, "--out", tmp_path / "out", "--json"]
    assert json.loads(typed(*words).stdout)["counts"]["rows"]["removed"] == 3
    kept = rows_of(tmp_path / "out/out/clean.jsonl")
    assert kept == [question(1), question(2), question(3)]
    aside = rows_of(tmp_path / "out/out/quarantine.jsonl")
    assert [(row["file"], row["line"]) for row in aside] == [
        (str(rows), 2),
        (str(rows), 3),
        (str(more), 2),
    ]


@pytest.mark.parametrize("before", [True, False])
def test_names_behind_against_are_benchmarks_and_files_are_cleaned(tmp_path: Path, before: bool):
    _, rows = contaminated(tmp_path)
    against = ["--against", "math500", "aime24"]
    words = [rows, *against] if before else [*against, rows]
    result = typed("decontaminate", *words, "--out", tmp_path / "out")
    said = " ".join(result.output.split())
    assert said.startswith(f"cleaning {rows} against math500, aime24")


@pytest.mark.parametrize(
    "words",
    [
        "verify",
        "rate --import level --unit solved_share --samples 4",
        "select --rule random:count=1",
    ],
)
def test_few_bad_rows_of_a_small_file_count_too(tmp_path: Path, words: str):
    rows = [question(n, level=0.5, pass_rate=0.5) for n in range(3)]
    path = write(tmp_path / "rows.jsonl", *rows, b"[1]")
    verb, *rest = words.split()
    with pytest.raises(
        UserError,
        match=r"1 of the first 4 lines cannot be used, the first is .*rows.jsonl:4: expected",
    ):
        typed(verb, path, *rest, "--out", tmp_path / "strict")
    typed(verb, path, *rest, "--max-bad", 0.25, "--out", tmp_path / "loose")


@pytest.mark.parametrize(
    "words",
    [
        "verify --completions levl",
        "rate --import levl --unit solved_share --samples 4",
        "select --rule random:count=1 --rater them=levl",
        "select --rule random:count=1 --domain levl",
        "select --rule random:count=1 --import levl --unit solved_share --samples 4",
    ],
)
def test_a_misspelt_column_is_refused_with_the_right_one(tmp_path: Path, words: str):
    path = write(tmp_path / "rows.jsonl", question(1, level=0.5), question(2, level=None))
    verb, *rest = words.split()
    with pytest.raises(UserError, match=r"levl: no row has this column; did you mean 'level'"):
        typed(verb, path, *rest, "--out", tmp_path / "out")


def test_a_parquet_column_of_nulls_is_a_column(tmp_path: Path):
    table = pyarrow.Table.from_pylist(
        [question(1, level=None)],
        schema=pyarrow.schema(
            [
                *((n, pyarrow.string()) for n in ("id", "problem", "answer")),
                ("level", pyarrow.float64()),
            ]
        ),
    )
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    words = ("--unit", "solved_share", "--samples", 4, "--out", tmp_path / "out")
    typed("rate", tmp_path / "rows.parquet", "--import", "level", *words)
    assert rows_of(tmp_path / "out/out/rated.jsonl")[0]["pass_rate"] is None


def test_ratings_in_csv_are_numbers_and_select_reads_them(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("id,problem,answer,level\na,What?,1,25\nb,Why?,2,\nc,How?,3,75\n")
    ratings = ("--import", "level", "--unit", "failed_percent", "--samples", 4)
    typed("rate", path, *ratings, "--out", tmp_path / "rated")
    rates = [row["pass_rate"] for row in rows_of(tmp_path / "rated/out/rated.jsonl")]
    assert rates == [0.75, None, 0.25]
    typed("select", path, *ratings, "--rule", "band:min=0.5", "--out", tmp_path / "out")
    assert [row["id"] for row in rows_of(tmp_path / "out/out/selected.jsonl")] == ["a"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rate --import level --unit solved_share", "needs --samples N"),
        ("rate --import level --samples 4", "needs --unit UNIT"),
        ("rate --import level --unit solved_share --samples 4 --max-tokens 9", "--max-tokens has"),
        ("rate --import level --unit solved_share --samples 4 --endpoint x", "--endpoint has"),
        *(
            (
                f"rate --import level --unit solved_share --samples 4 {option} {value}",
                f"{option} has",
            )
            for option, value in {
                "--adaptive": "min=0.25,max=0.625",
                "--api-key-env": "KEY",
                "--seed": 0,
                "--temperature": 0,
                "--top-p": 1,
            }.items()
        ),
        ("rate --model m --api-key-env KEY", "--api-key-env belongs to --endpoint URL"),
        ("rate --model m --adaptive 0.25", "expected NAME=VALUE"),
        ("rate --model m --adaptive mim=0.25", "did you mean 'min'"),
        ("rate --model m --adaptive max=0.5 --samples 3", "first 4 is not below max 3"),
        ("rate --model m --temperature -1", "sampling.temperature: expected greater than"),
        ("rate --model m --endpoint nowhere", "expected http"),
        ("rate --model m --adaptive bands:min=0.25", "expected a band such as"),
        ("rate --model m --unit solved_share", "--unit belongs to --import"),
        ("select --rule random:count=1 --samples 4", "of --import COLUMN"),
        ("select --rule random:count=1 --rater a=x --rater a=y", "--rater a=y: a is given twice"),
        ("check --columns prompt=problem,prompt=id", "--columns prompt=id: prompt is given twice"),
    ],
)
def test_options_without_effect_and_missing_ones_are_refused(tmp_path: Path, words: str, said: str):
    path = write(tmp_path / "rows.jsonl", question(1, level=0.5))
    verb, *rest = words.split()
    with pytest.raises(UserError, match=said):
        typed(verb, path, *rest, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_escape_sequence_of_a_file_reaches_the_terminal(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", question(1, **{"a\x1b]0;owned\x07": "b\x1b[2J"}))
    for words in (["--fields"], []):
        output = typed("show", path, *words).output
        assert "\x1b]0" not in output and "\x07" not in output and "\x1b[2J" not in output
        assert "\\x1b]0" in output


def test_a_fingerprint_that_changed_is_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, rows = contaminated(tmp_path)
    monkeypatch.setattr("longstep.curate.overlap.shipped.FOLDER", tmp_path / "one")
    fingerprint(tmp_path / "one", "exam2", "What is the sum of the first twenty odd numbers?")
    words = ("decontaminate", rows, "--against", "exam2", "--out", tmp_path / "out")
    typed(*words)
    fingerprint(tmp_path / "two", "exam2", "How many primes are there below one hundred and one?")
    (tmp_path / "two/exam2.npz").replace(tmp_path / "one/exam2.npz")
    with pytest.raises(UserError, match="changed since it was begun"):
        typed(*words)


def test_results_never_go_where_a_file_or_something_else_is(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", question(1))
    for out, said in ((path, "cannot be written"), (tmp_path, "no job of this kind wrote")):
        with pytest.raises(UserError, match=f"{said}.*choose another --out"):
            typed("check", path, "--out", out)
    assert rows_of(path) == [question(1)] and list(tmp_path.iterdir()) == [path]


def test_a_job_that_was_refused_can_be_typed_again_otherwise(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", *[question(n, level=n % 5) for n in range(9)])
    words = ("rate", path, "--unit", "solved_count", "--samples", 4, "--out", tmp_path / "out")
    for _ in range(2):
        with pytest.raises(UserError, match="did you mean 'level'"):
            typed(*words, "--import", "leve")
    result = typed(*words, "--import", "level", "--json")
    assert json.loads(result.stdout)["counts"]["rows"] == {"read": 9, "rated": 9, "bad": 0}
    with pytest.raises(UserError, match="changed since it was begun"):
        typed(*words, "--import", "leve")  # finished work is never thrown away


def test_a_job_that_was_refused_goes_on_with_mended_inputs(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", question(1), b"torn")
    words = ("dedup", path, "--out", tmp_path / "out")
    with pytest.raises(UserError, match=r"1 of the first 2 lines .*rows.jsonl:2: is not JSON"):
        typed(*words)
    write(path, question(1), question(2))
    typed(*words)
    assert rows_of(tmp_path / "out/out/clean.jsonl") == [question(1), question(2)]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("rate --import level --unit solved_count --samples 4", "rows.jsonl:2:level: "),
        ("select --rule band --import level --unit solved_count --samples 4", "rows.jsonl:2:level: "),
        ("verify --completions level", "rows.jsonl:1:level: got 3, expected text"),
        ("convert --to sharegpt-preference", "rows.jsonl:1:"),
    ],
)  # fmt: skip
def test_too_many_bad_rows_stop_a_verb_with_the_first_of_them(
    tmp_path: Path, words: str, first: str
):
    path = write(tmp_path / "rows.jsonl", question(1, level=3), question(2, level=9))
    verb, *rest = words.split()
    with pytest.raises(UserError, match=f"lines cannot be used, the first is .*{first}"):
        typed(verb, path, *rest, "--out", tmp_path / "out")


@pytest.mark.parametrize("verb", ["check", "dedup"])
def test_a_column_that_no_row_has_is_refused_and_one_row_is_enough(tmp_path: Path, verb: str):
    rows = [{"q": f"{n}?", "gold": {"value": "1"}} for n in range(5)]
    path = write(tmp_path / "rows.jsonl", *rows)
    for column in ("golds", "gold.valu"):
        with pytest.raises(UserError, match=rf"--columns answer {column}: no row has this column"):
            typed(verb, path, "--columns", f"prompt=q,answer={column}", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    more = write(tmp_path / "more.jsonl", {"q": "6?", "golds": None})
    typed(verb, path, more, "--columns", "prompt=q,answer=golds", "--out", tmp_path / "two")
    typed(verb, path, "--columns", "prompt=q,answer=gold.value", "--out", tmp_path / "three")


def test_convert_warns_when_auto_detection_would_read_the_new_file_as_another_layout(
    tmp_path: Path,
):
    """Question, solution and answer are LIMO's columns too, and there the solution is the trace to learn from."""
    path = write(tmp_path / "rows.jsonl", *[question(n, solution="add") for n in range(3)])
    result = typed("convert", path, "--to", "question", "--out", tmp_path / "out")
    said = " ".join(result.output.split())
    assert "3 of the first rows of the new file look like another layout" in said
    assert "name the layout: --layout question" in said
    made = tmp_path / "out/out/data.jsonl"
    assert {detect([row], "").name for row in rows_of(made)} == {"limo"}
    as_json = typed("convert", path, "--to", "question", "--out", tmp_path / "out", "--json")
    assert json.loads(as_json.stdout)["first rows that auto reads differently"] == 3
    for to in ("problem", "longstep"):
        result = typed("convert", path, "--to", to, "--out", tmp_path / to)
        assert "another layout" not in result.output


# -- kills at seals ------------------------------------------------------------------------------


def killed_around_seals(
    monkeypatch: pytest.MonkeyPatch, command: list[object], before: bool
) -> tuple[str, int]:
    """What a command prints in the end, and how often it was killed: before each seal or after it."""
    write_seal = base._Seal.write
    passed, allowed, kills = 0, 0, 0

    def killed(seal: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal passed
        if before and passed == allowed:
            raise InterruptedError
        write_seal(seal, *args, **kwargs)
        if not before and passed == allowed:
            raise InterruptedError
        passed += 1

    with monkeypatch.context() as patch:
        patch.setattr(base._Seal, "write", killed)
        while True:
            passed = 0
            try:
                return typed(*command).stdout, kills
            except InterruptedError:
                kills += 1
                allowed = 1 if before else 0  # else no attempt would come further


@pytest.mark.parametrize(
    "words",
    [
        "check",
        "convert --to sharegpt --file jsonl.gz",
        "convert --to verl",
        "decontaminate --against exam.jsonl",
        "dedup",
        "dedup --match near",
        "rate --import level --unit solved_count --samples 4",
        "select --rule band:max=0.5 --rule random:count=20 --import level --unit solved_count --samples 4",
        "verify --completions tries",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_every_verb_killed_around_every_seal_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, before: bool
):
    """Killed just before a seal, or just after it, again and again: each attempt comes one seal further."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "CHUNK_ROWS", 25)
    monkeypatch.setattr(base._Seal, "wait", lambda seal, seconds: 0.0)  # a seal after every chunk
    contaminated(tmp_path)
    rows = [
        question(n % 80, level=n % 5, tries=["\\boxed{3}"], completion="\\boxed{3}")
        for n in range(100)
    ]
    rows[70] = {"id": "copy", "problem": ASKED, "answer": "168", "completion": "c", "level": 9}
    write(tmp_path / "rows.jsonl", *rows, b"torn")
    verb, *rest = words.split()
    command = [verb, "rows.jsonl", *rest, "--max-bad", 0.1, "--json"]
    whole = typed(*command, "--out", "whole").stdout
    again, kills = killed_around_seals(monkeypatch, [*command, "--out", "killed"], before)
    assert kills >= 5
    assert again.replace("killed/", "whole/") == whole
    files = sorted(path.relative_to("whole/out") for path in Path("whole/out").rglob("*"))
    assert files == sorted(path.relative_to("killed/out") for path in Path("killed/out").rglob("*"))
    for file in files:
        assert Path("whole/out", file).read_bytes() == Path("killed/out", file).read_bytes()
    verify_manifest(Path("killed"))


@pytest.mark.parametrize("before", [True, False])
def test_a_measured_rate_killed_around_every_seal_samples_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "CHUNK_ROWS", 3)
    monkeypatch.setattr(base._Seal, "wait", lambda seal, seconds: 0.0)
    write(tmp_path / "rows.jsonl", *[question(n) for n in range(8)])
    command = ["rate", "rows.jsonl", "--model", "longstep-tiny", "--samples", 2, "--max-tokens", 8]
    whole = typed(*command, "--json", "--out", "whole").stdout
    again, kills = killed_around_seals(monkeypatch, [*command, "--json", "--out", "killed"], before)
    assert kills >= 6  # of both passes over the rows
    for name in ("rated/out/rated.jsonl", "sample/out/completions.jsonl"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes()
    assert json.loads(again)["sample"] == json.loads(whole)["sample"]
    began = Path("killed/events.jsonl").read_text().count('"stage": "sample"')
    assert began == Path("whole/events.jsonl").read_text().count('"stage": "sample"') > 0


# -- hub datasets --------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a dataset's repository has it, with two splits; nothing here is on the network."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "repository/sums"
    folder.mkdir(parents=True)
    for split, count in (("train", 6), ("test", 2)):
        rows = [question(n % 5, note=None) for n in range(count)]
        schema = {"id": "string", "problem": "string", "answer": "string", "note": "string"}
        types = pyarrow.schema(
            [(name, pyarrow.type_for_alias(kind)) for name, kind in schema.items()]
        )
        table = pyarrow.Table.from_pylist(rows, schema=types)
        pyarrow.parquet.write_table(table, folder / f"{split}-00000.parquet")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "convert --to longstep",
        "dedup",
        "verify",
        "check",
        "decontaminate --against math500",
        "select --rule random:count=1",
    ],
)
def test_every_verb_reads_a_dataset_as_it_reads_a_file(dataset: Path, words: str):
    verb, *rest = words.split()
    result = typed(verb, f"hub:{dataset}", *rest, "--json")
    rows = json.loads(result.stdout)["counts"]["rows"]
    assert rows["read"] == 6
    assert result.exit_code == (verb == "check")  # one id is there twice
    fetched = rows_of(Path("sums-hub/sums.train.jsonl"))
    assert fetched == [question(n % 5, note=None) for n in range(6)]
    same = typed(verb, "sums-hub/sums.train.jsonl", *rest, "--out", "file", "--json")
    assert json.loads(same.stdout)["counts"] == json.loads(result.stdout)["counts"]
    names = [path.relative_to(f"sums-{verb}/out") for path in Path(f"sums-{verb}/out").iterdir()]
    for name in names:
        ours, theirs = (path / "out" / name for path in (Path(f"sums-{verb}"), Path("file")))
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("settings", ["", ",split=train"])
def test_a_dataset_can_be_a_benchmark(dataset: Path, settings: str):
    rows = write(Path("rows.jsonl"), question(1), question(77))
    words = ("decontaminate", rows, "--against", f"hub:{dataset}{settings}", "--json")
    counts = json.loads(typed(*words).stdout)["counts"]
    assert counts["rows"]["removed"] == 1 and counts["rows removed for"] == {"sums: identical": 1}


def test_splits_of_a_dataset_are_files_of_their_own(dataset: Path):
    typed("dedup", f"hub:{dataset},split=test", "--out", "a/out")
    typed("dedup", f"hub:{dataset},split=train", "--out", "a/more")
    assert len(rows_of(Path("a/sums-hub/sums.test.jsonl"))) == 2
    assert len(rows_of(Path("a/sums-hub/sums.train.jsonl"))) == 6
    with pytest.raises(UserError, match="with 'dev' in their names"):
        typed("dedup", f"hub:{dataset},split=dev")
    with pytest.raises(UserError, match=r"splitt.*split"):
        typed("dedup", f"hub:{dataset},splitt=train")
    assert not Path("a/sums-hub/sums.dev.jsonl").exists()


def test_what_was_fetched_whole_is_used_again_and_half_of_it_is_not(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    """A dataset on the hub: the rows come from a script here, for nothing is asked of a network."""
    asked: list[str] = []
    broken = [True]

    def rows(self: hub.Dataset) -> Any:
        asked.append(self.name)
        for n in range(4):
            if n == 2 and broken[0]:
                raise OSError("the network is gone")
            yield question(n)

    monkeypatch.setattr(hub.Dataset, "_open", rows)
    with pytest.raises(UserError, match=r"'me/sums'.*cannot be loaded \(the network is gone\)"):
        typed("dedup", "hub:me/sums")
    assert not Path("sums-hub/sums.train.jsonl").exists() and not Path("sums-dedup").exists()
    broken[0] = False
    typed("dedup", "hub:me/sums")
    typed("verify", "hub:me/sums")
    assert asked == ["me/sums"] * 2
    assert rows_of(Path("sums-dedup/out/clean.jsonl")) == [question(n) for n in range(4)]
    for other in ("hub:you/sums", "hub:me/sums,revision=abc"):
        with pytest.raises(UserError, match=r"holds another one \(name me/sums, split train\)"):
            typed("verify", other, "--out", "other")
    Path("sums-hub/sums.train.json").unlink()  # killed before the record: fetched again
    typed("check", "hub:me/sums")
    assert asked == ["me/sums"] * 3


def test_numbers_that_are_none_are_bad_rows_and_pictures_are_refused(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    given: list[Any] = [question(1), question(2, score=float("nan"))]
    monkeypatch.setattr(hub.Dataset, "_open", lambda self: iter(given))
    typed("dedup", "hub:me/sums", "--max-bad", 0.5)
    (aside,) = rows_of(Path("sums-dedup/out/quarantine.jsonl"))
    assert (aside["line"], aside["why"]) == (2, "NaN and Infinity are not JSON; write null")
    given.append(question(3, picture=b"GIF89a"))
    with pytest.raises(UserError, match=r"me/pictures\[train\]:3: cannot be written as JSON"):
        typed("dedup", "hub:me/pictures")


def test_show_points_to_the_fetched_file(dataset: Path):
    with pytest.raises(UserError, match="fetch the dataset first"):
        typed("show", f"hub:{dataset}")
