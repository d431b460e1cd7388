"""Stage ``curate`` in passes: as in memory, as ``data decontaminate``, and killed anywhere; ``select`` as ``data select``."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_json, read_rows, row_line, write_rows
from longstep.config import TypeAdapter, dump
from longstep.context import Context
from longstep.curate import Duplicates, Funnel, drop_duplicates
from longstep.curate.filters import AnyFilter
from longstep.curate.selection import AtRandom, Balanced, InBand
from longstep.jobs import curation, inputs
from longstep.jobs.base import How, run_job
from longstep.jobs.benchmarks import Comparison
from longstep.jobs.curation import Curation
from longstep.jobs.decontaminate import Decontaminate
from longstep.jobs.select import Select as SelectJob
from longstep.problems import Chain, JsonlFile
from longstep.progress import Progress
from longstep.stages.curate import Curate
from longstep.stages.select import Select
from longstep.types import Problem
from longstep.verify import judge_gold
from longstep.verify.keys import answer_key

THINGS = ("sheep", "geese", "carts", "barrels", "coins", "stamps", "bridges", "candles")
FILTERS: list[dict[str, Any]] = [
    {"kind": "has_answer"},
    {"kind": "characters"},
    {"kind": "verifiable_gold"},
]


def question(number: int) -> str:
    rng = random.Random(number)
    one, two = rng.choice(THINGS), rng.choice(THINGS)
    return (
        f"A trader owns {rng.randrange(90)} {one} and swaps {number} of them for {two} at the market; "
        f"how many {one} stay with him in the end?"
    )


def rows(count: int) -> list[dict[str, Any]]:
    """Questions, of which many repeat an earlier one: as it was, respelt, reworded, or with another answer."""
    rng = random.Random(1)
    made: list[dict[str, Any]] = []
    for number in range(count):
        asked, answer = question(number), str(number)
        if number and rng.random() < 0.5:
            earlier = rng.randrange(number)
            asked, answer = question(earlier), str(earlier)
            how = rng.randrange(6)
            if how == 1:
                asked = asked.upper()
            elif how == 2:
                asked = asked.replace("in the end", "").replace("with him", "there")
            elif how == 3:
                answer = rng.choice([answer + ".0", str(earlier + 1), "", "no number"])
            elif how == 4:
                asked = asked.replace(" ", "  ") + " <think>" * (rng.random() < 0.2)
        made.append({"problem": asked, "answer": answer, "level": rng.choice([None, 1, 2.5])})
    return made


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def context(folder: Path, **artifacts: Path) -> Context:
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    given = {f"@{name}": path for name, path in artifacts.items()}
    return Context("stage", folder, 7, given, quiet, lambda what, facts: None)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", ["exact", "normalised", "near"])
def test_the_passes_keep_and_drop_what_plain_lists_in_memory_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
):
    monkeypatch.setattr(inputs, "CHUNK_ROWS", 37)
    source = JsonlFile(path=write(tmp_path / "rows.jsonl", rows(400)), verifier="math")
    how = Duplicates(kind=kind)
    settings = {"sources": [dump(source)], "filters": FILTERS, "duplicates": dump(how)}
    Curate.model_validate(settings).run(context(tmp_path / "stage"))
    funnel, kept = Funnel(), list(source.load(0))
    funnel.count("collect", len(kept), {})
    for each in FILTERS:
        keep = TypeAdapter(AnyFilter).validate_python(each).build(judge_gold)
        kept = funnel.apply(each["kind"], keep, kept)
    kept = funnel.record("duplicates", *drop_duplicates(kept, answer_key, how))
    out = tmp_path / "stage" / "out"
    assert lines(out / "problems.jsonl") == [json.loads(row_line(each)) for each in kept]
    assert lines(out / "dropped.jsonl") == json.loads(json.dumps(funnel.dropped_rows()))
    assert read_json(out / "funnel.json") == funnel.rows()
    doubted = [
        each.problem.id for each in funnel.dropped if each.reason.startswith(("gold does", "confl"))
    ]
    assert [row["problem_id"] for row in lines(out / "queue.jsonl")] == doubted
    reasons: Any = funnel.rows()[-1]["reasons"]
    assert reasons["conflicting golds"] > 5 and reasons[f"{kind} duplicate"] > 5


class Killed(BaseException):
    """What no code catches."""


def test_killed_in_any_pass_and_run_again_it_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inputs, "CHUNK_ROWS", 50)
    source = JsonlFile(path=write(tmp_path / "rows.jsonl", rows(300)), verifier="math")
    exam = write(
        tmp_path / "exam.jsonl", [{"problem": question(n), "answer": "1"} for n in range(0, 300, 9)]
    )
    stage = Curate.model_validate(
        {
            "sources": [dump(source), {"kind": "chain", "count": 60}],
            "filters": FILTERS,
            "duplicates": {"kind": "near"},
            "decontaminate": [{"name": "exam", "source": {"kind": "jsonl", "path": str(exam)}}],
        }
    )
    stage.run(context(tmp_path / "whole"))
    moments = iter(range(10_000))
    dies_at = 0

    def dying(real: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if next(moments) == dies_at:
                raise Killed
            return real(*given, **named)

        return call

    # the sources, the keys of duplicates, near parts, the comparison, the reasons, the results
    for owner, name in (
        (Chain, "_draw"), (curation, "_problem"), (curation, "find_near"), (curation, "doubt_of"),
        (Comparison, "compare"), (curation, "repeats"), (Curation, "_join"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    monkeypatch.setattr(
        "longstep.stages.curate.How", lambda progress: How(progress=progress, seal_seconds=0.0)
    )
    deaths = 0
    while True:
        moments, dies_at = iter(range(10_000)), 150 + 61 * deaths
        try:
            stage.run(context(tmp_path / "killed"))
            break
        except Killed:
            deaths += 1
    assert deaths > 3
    assert contents(tmp_path / "killed" / "out") == contents(tmp_path / "whole" / "out")


def test_scratch_files_of_other_settings_are_not_gone_on_with(tmp_path: Path):
    for count in (40, 30):
        stage = Curate.model_validate({"sources": [{"kind": "chain", "count": count}]})
        stage.run(context(tmp_path))
        assert len(lines(tmp_path / "out" / "problems.jsonl")) == count
    assert (tmp_path / "partial").is_dir()  # for the runner to remove, with the manifest written


@pytest.mark.parametrize(
    "rule", [{"kind": "overlap"}, {"kind": "light-r1", "rules": "windows", "words": 20}]
)
def test_curate_and_data_decontaminate_give_the_same_verdicts(tmp_path: Path, rule: dict[str, Any]):
    asked = [{"prompt": question(n), "answer": str(n), "id": f"r{n}"} for n in range(60)]
    for n in range(0, 60, 7):
        asked[n]["prompt"] = f"Now think. {question(n)} Explain." if n % 2 else question(n + 1000)
    exam = [{"problem": question(n), "answer": str(n), "id": f"e{n}"} for n in range(0, 60, 3)]
    path, exam_path = write(tmp_path / "rows.jsonl", asked), write(tmp_path / "exam.jsonl", exam)
    columns = {"prompt": "problem", "answer": "answer"}
    benchmark = {
        "name": "exam",
        "source": {"kind": "jsonl", "path": str(exam_path), "columns": columns},
    }
    stage = Curate.model_validate(
        {
            "sources": [{"kind": "jsonl", "path": str(path)}],
            "duplicates": {"kind": "exact"},
            "decontaminate": [benchmark, "aime24", "chain"]
            if rule["kind"] == "overlap"
            else [benchmark],
            "contamination": {"rule": rule},
        }
    )
    stage.run(context(tmp_path / "stage"))
    against = (str(exam_path), "aime24", "chain")
    job = Decontaminate.model_validate(
        {
            "inputs": [path],
            "against": against if rule["kind"] == "overlap" else against[:1],
            "contamination": rule,
        }
    )
    manifest = run_job(job, tmp_path / "job", How(progress=context(tmp_path).progress))
    dropped = lines(tmp_path / "stage/out/dropped.jsonl")
    aside = lines(tmp_path / "job/out/quarantine.jsonl")
    assert len(dropped) > 10
    assert [row["problem"]["prompt"] for row in dropped] == [row["row"]["prompt"] for row in aside]
    told = [row["reason"].split(", ")[1].split(":")[0] for row in dropped]
    assert told == [row["class"] for row in aside]
    # one row gives hits in the same order; ids of questions differ, since a problem's is a hash of its text
    ours = [
        (row["benchmark"], row["kind"], row["score"])
        for row in lines(tmp_path / "stage/out/hits.jsonl")
    ]
    theirs = [
        (row["benchmark"], row["class"], row["score"])
        for row in lines(tmp_path / "job/out/hits.jsonl")
    ]
    assert [hit for hit in theirs if hit not in ours] == []
    ledger = read_json(tmp_path / "stage/out/ledger.json")
    assert ledger["benchmarks"] == manifest["ledger"]["benchmarks"]


def test_select_and_data_select_pick_the_same_rows_by_the_same_rules(tmp_path: Path):
    rng = random.Random(2)
    problems = [
        Problem(f"p{n}", question(n), str(n), source=rng.choice("abc"), pass_rate=n % 9 / 8)
        for n in range(120)
    ]
    path = tmp_path / "in" / "problems.jsonl"
    write_rows(path, problems)
    rules = (InBand(max=0.8), Balanced(by=("domain",), count=50), AtRandom(count=20))
    here = context(tmp_path / "stage", data=tmp_path / "in")
    Select(data="@data", rules=rules).run(here)
    job = SelectJob(inputs=(path,), rules=rules, domain="source", seed=here.seed)
    run_job(job, tmp_path / "job", How(progress=here.progress))
    picked = [each.id for each in read_rows(here.out / "problems.jsonl", Problem)]
    assert picked == [row["id"] for row in lines(tmp_path / "job/out/selected.jsonl")]
    assert len(picked) == 20
    why = {
        row["problem"]["id"]: f"{row['step']}: {row['reason']}"
        for row in lines(here.out / "dropped.jsonl")
    }
    assert why == {
        row["row"]["id"]: row["reason"] for row in lines(tmp_path / "job/out/dropped.jsonl")
    }
    assert [row["kept"] for row in read_json(here.out / "funnel.json")][2:] == [
        row["kept"] for row in read_json(tmp_path / "job/out/funnel.json")
    ][1:]
