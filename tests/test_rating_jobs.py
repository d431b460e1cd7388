"""``longstep data rate``, ``select`` and ``verify`` as jobs over small files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fault_server import Act, FaultServer, chat
from longstep.artifacts import read_json, read_rows
from longstep.cli.data import data
from longstep.config import TypeAdapter, UserError
from longstep.curate.adaptive import Adaptive
from longstep.curate.difficulty import Band, PassRate
from longstep.curate.selection import S1, AtRandom, Hardest, InBand, Limo
from longstep.jobs.base import How, Job, run_job
from longstep.jobs.rate import Imported, Problems, Rate, sampling
from longstep.jobs.select import Select
from longstep.jobs.verify import Verify
from longstep.problems import Chain
from longstep.progress import Progress
from longstep.stages.sample import Sample
from longstep.types import Problem

QUIET = How(
    progress=lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)
)
FAILED = Imported(unit="failed_percent", samples=8, column="difficulty")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def run(job: Job, folder: Path) -> dict[str, Any]:
    return run_job(job, folder, QUIET)


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Nine rows failed 0 to 8 times of 8, one without a rating and one whose rating 8 samples cannot give."""
    rows = [
        {"id": f"r{n}", "problem": f"What is {n}+1?", "answer": str(n + 1), "difficulty": 12.5 * n}
        for n in range(9)
    ]
    rows.append({"id": "none", "problem": "Why?", "answer": "1", "difficulty": None})
    rows.append({"id": "bad", "problem": "How?", "answer": "1", "difficulty": 33.0})
    return write(tmp_path / "rows.jsonl.gz", rows)


def test_rate_imports_a_column(rated: Path, tmp_path: Path):
    job = Rate(inputs=(rated,), ratings=FAILED, max_bad=0.2)
    manifest = run(job, tmp_path / "out")
    made = lines(tmp_path / "out/out/rated.jsonl")
    assert [row["pass_rate"] for row in made] == [*(1 - n / 8 for n in range(9)), None]
    assert made[3] == {
        "id": "r3", "problem": "What is 3+1?", "answer": "4", "difficulty": 37.5,
        "pass_rate": 0.625, "pass_samples": 8, "pass_interval": list(PassRate(5, 8).interval()),
    }  # fmt: skip
    (aside,) = lines(tmp_path / "out/out/quarantine.jsonl")
    assert (aside["line"], aside["field"], aside["row"]["id"]) == (11, "difficulty", "bad")
    assert "no failed_percent of 8 samples" in aside["why"]
    bins = manifest["counts"]["pass rate"]
    assert bins["never solved"] == bins["always solved"] == bins["not rated"] == 1
    # 1/8 .. 7/8: 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8
    assert bins["0.1-0.2"] == bins["0.2-0.3"] == bins["0.8-0.9"] == 1 and "0.4-0.5" not in bins
    assert manifest["counts"]["rows"] == {"read": 11, "rated": 10, "bad": 1}
    assert manifest["mean pass rate"] == 0.5  # of the nine that have one
    assert made[9]["pass_samples"] is None and made[9]["pass_interval"] is None


def test_select_writes_the_picked_rows_as_they_were_and_reasons_for_the_others(
    rated: Path, tmp_path: Path
):
    rules = (InBand(min=0.25, max=0.625), AtRandom(count=2))
    job = Select(inputs=(rated,), ratings=FAILED, rules=rules, max_bad=0.2)
    manifest = run(job, tmp_path / "out")
    out = tmp_path / "out/out"
    before = gzip.decompress(rated.read_bytes()).splitlines(keepends=True)
    picked = (out / "selected.jsonl").read_bytes().splitlines(keepends=True)
    assert len(picked) == 2 and set(picked) <= set(before[3:7])
    dropped = lines(out / "dropped.jsonl")
    assert [row["line"] for row in dropped] == sorted(row["line"] for row in dropped)
    reasons = {row["row"]["id"]: row["reason"] for row in dropped}
    assert reasons["r0"] == "band: above the band: pass rate 1"
    assert reasons["none"] == "band: no pass rate"
    assert reasons["bad"] == "bad row"
    assert sum(reason == "random: not picked" for reason in reasons.values()) == 2
    assert len(picked) + len(dropped) == 11
    funnel = read_json(out / "funnel.json")
    assert [(row["step"], row["kept"]) for row in funnel] == [
        ("read", 10),
        ("band", 4),
        ("random", 2),
    ]
    assert manifest["counts"]["dropped"]["band: below the band"] == 2


def test_a_random_pick_does_not_depend_on_the_order_of_the_rows(rated: Path, tmp_path: Path):
    rows = [json.loads(line) for line in gzip.decompress(rated.read_bytes()).splitlines()]
    turned = write(tmp_path / "turned.jsonl", rows[::-1])
    for path in (rated, turned):
        run(Select(inputs=(path,), rules=(AtRandom(count=4),)), tmp_path / path.stem)
    one, two = (
        sorted(row["id"] for row in lines(tmp_path / path.stem / "out/selected.jsonl"))
        for path in (rated, turned)
    )
    assert one == two and len(one) == 4


def test_select_reads_raters_subjects_and_chains_from_columns(tmp_path: Path):
    rows = [
        {
            "problem": f"q{n}", "answer": "1", "subject": "ab"[n % 2], "weak": 0.0,
            "strong": n / 32, "trace": "verify " * n,
        }
        for n in range(6)
    ]  # fmt: skip
    path = write(tmp_path / "rows.jsonl", rows)
    raters = {"weak": "weak", "strong": "strong"}
    limo = Select(
        inputs=(path,), raters=raters, chain="trace",
        rules=(Limo(weak="weak", strong="strong", count=2),),
    )  # fmt: skip
    run(limo, tmp_path / "limo")
    # 1, 2 and 3 of 32 are seldom enough; the chains differ in length alone.
    assert [row["problem"] for row in lines(tmp_path / "limo/out/selected.jsonl")] == ["q2", "q3"]
    s1 = Select(
        inputs=(path,), raters=raters, domain="subject", chain="trace",
        rules=(S1(raters=("strong",), count=1), ),
    )  # fmt: skip
    run(s1, tmp_path / "s1")
    assert [row["problem"] for row in lines(tmp_path / "s1/out/selected.jsonl")] == ["q0"]


def test_rules_that_leave_nothing_are_refused(rated: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"the rules leave no row: read left 11; hardest left 0"):
        run(Select(inputs=(rated,), rules=(Hardest(count=3),)), tmp_path / "out")


def test_verify_judges_golds_and_completions_and_queues_what_a_person_should_see(tmp_path: Path):
    right = "<think>so</think>\\boxed{4}"
    rows = [
        {"id": "fine", "problem": "q", "answer": "4", "tries": [right, "\\boxed{5}"]},
        {"id": "key", "problem": "q", "answer": "5", "tries": [right, right, "no idea"]},
        {"id": "empty", "problem": "q", "answer": "", "tries": []},
        {"id": "alone", "problem": "q", "answer": "4"},
        {"id": "bad", "problem": "q", "answer": "4", "tries": 3},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    job = Verify(inputs=(path,), completions="tries", max_bad=0.5)
    manifest = run(job, tmp_path / "out")
    counts = manifest["counts"]
    assert counts["gold"] == {"correct": 3, "bad_gold": 1}
    assert counts["completions"] == {"correct": 1, "incorrect": 3, "unparseable": 1}
    assert counts["rows"] == {"read": 5, "bad": 1, "queued": 2}
    queued = {row["problem_id"]: row for row in lines(tmp_path / "out/out/queue.jsonl")}
    assert queued["key"]["why"] == ["suspect key: gold '5', 2 of 3 say '4'"]
    assert queued["key"]["answers"] == [{"answer": "4", "count": 2}]
    assert queued["empty"]["why"] == ["gold bad_gold: the row has no gold answer"]
    verdicts = lines(tmp_path / "out/out/verdicts.jsonl")
    assert [len(row["completions"]) for row in verdicts] == [2, 3, 0, 0]
    (aside,) = lines(tmp_path / "out/out/quarantine.jsonl")
    assert (aside["field"], aside["why"]) == ("tries", "got 3, expected text")


def test_verify_queues_rows_on_which_two_verifiers_differ(tmp_path: Path):
    # "exact" reads no product, so it finds no answer there; "math" multiplies.
    rows = [
        {"id": "same", "problem": "q", "answer": "1/2", "completion": "\\boxed{0.5}"},
        {"id": "differ", "problem": "q", "answer": "10", "completion": "\\boxed{2 \\cdot 5}"},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    job = Verify(inputs=(path,), second="exact", completions="completion")
    run(job, tmp_path / "out")
    (queued,) = lines(tmp_path / "out/out/queue.jsonl")
    assert queued["problem_id"] == "differ"
    assert queued["why"][0].startswith("verifiers differ: ")


def test_problems_and_settings_are_what_the_sample_stage_takes(rated: Path, tmp_path: Path):
    run(Problems(inputs=(rated,)), tmp_path / "out")
    problems = tmp_path / "out/out/problems.jsonl"
    made = list(read_rows(problems, Problem))
    assert len(made) == 11
    assert made[0] == Problem(
        "r0", "What is 0+1?", "1", verifier="math", source="rows", difficulty=0.0
    )
    endpoint = {"kind": "endpoint", "url": "http://localhost:1/v1", "model": "m"}
    rule = Adaptive(band=Band(max=0.5), first=2, step=2, max=8).model_dump(mode="json")
    for settings in (
        sampling(problems, endpoint, {}, rule),
        sampling(problems, {"kind": "model", "model": "longstep-tiny"}, {"samples": 4}),
    ):
        stage = TypeAdapter(Sample).validate_python(settings)
        assert list(stage.check()) == [] and stage.rate
    assert stage.sampling.samples == 4


def test_the_interval_of_all_or_none_solved_ends_exactly_at_one_or_zero():
    for n in range(1, 200):
        assert PassRate(n, n).interval()[1] == 1.0
        assert PassRate(0, n).interval()[0] == 0.0


# -- measured by the verb ------------------------------------------------------------------------


def rate(*words: object) -> Any:
    result = CliRunner().invoke(data, ["rate", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_rate_by_a_model_says_rates_samples_and_intervals_in_json(tmp_path: Path):
    chains = Chain(count=3, difficulty=(1, 3)).load(1)  # what the tiny rater was made for
    rows = [{"id": p.id, "problem": p.prompt, "answer": p.answer, "note": [1]} for p in chains]
    path = write(tmp_path / "rows.jsonl", rows)
    words = (path, "--model", "longstep-tiny-rater", "--max-tokens", 90, "--temperature", 1)
    words += ("--samples", 4, "--seed", 5)
    result = rate(*words, "--out", tmp_path / "out", "--json")
    manifest = json.loads(result.stdout)
    made = lines(tmp_path / "out/rated/out/rated.jsonl")
    measured = {row["problem_id"]: row for row in lines(tmp_path / "out/sample/out/rates.jsonl")}
    for row, before in zip(made, rows, strict=True):
        found = measured[str(before["id"])]
        assert row == before | {
            "pass_rate": found["pass_rate"],
            "pass_samples": found["scored"],
            "pass_interval": [found["low"], found["high"]],
        }
    assert manifest["sample"]["drawn"] == 12
    rates = [row["pass_rate"] for row in made]
    assert manifest["mean pass rate"] == pytest.approx(sum(rates) / 3) and max(rates) > 0
    assert manifest["counts"]["rows"] == {"read": 3, "rated": 3, "bad": 0}
    assert sum(manifest["counts"]["pass rate"].values()) == 3
    assert rate(*words, "--out", tmp_path / "out", "--json").stdout == result.stdout
    table = rate(*words, "--out", tmp_path / "out").stdout
    assert f"mean pass rate of the rated rows: {manifest['mean pass rate']:.4f}" in table
    texts = {row["text"] for row in lines(tmp_path / "out/sample/out/completions.jsonl")}
    rate(*words[:-1], 6, "--out", tmp_path / "other")
    other = {row["text"] for row in lines(tmp_path / "other/sample/out/completions.jsonl")}
    assert texts != other  # the seed is the samples' own


def test_rate_by_several_servers_stops_when_the_band_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """p0 is always solved, p1 never; p2 every other time, so that it stays open to the last sample."""

    def answer(body: dict[str, Any], before: int) -> Act:
        n = int(body["messages"][-1]["content"][1])
        right = n == 0 or (n == 2 and body["seed"] % 2)
        return chat(f"<think>so</think>\\boxed{{{n if right else -1}}}", usage=9)

    rows = [{"id": f"p{n}", "problem": f"q{n}?", "answer": str(n)} for n in range(3)]
    path = write(tmp_path / "rows.jsonl", rows)
    servers = [FaultServer(answer) for _ in range(3)]
    try:
        urls = [server.url for server in servers]
        words = [path, "--model", "r1", "--endpoint", f"{urls[0]},{urls[1]}", "--endpoint", urls[2]]
        words += ["--api-key-env", "RATER_KEY", "--adaptive", "band:min=0.4,max=0.6,mixed=true"]
        words += ["--samples", 40, "--temperature", 0.9, "--top-p", 0.8, "--max-tokens", 77]
        with pytest.raises(UserError, match="RATER_KEY"):
            rate(*words, "--out", tmp_path / "keyless")
        monkeypatch.setenv("RATER_KEY", "secret-of-the-rater")
        result = rate(*words, "--out", tmp_path / "out", "--json")
    finally:
        for server in servers:
            server.stop()
    asked = [body for server in servers for body in server.asked]
    assert all(server.asked for server in servers)
    keys = {each["authorization"] for server in servers for each in server.headers}
    assert keys == {"Bearer secret-of-the-rater"}
    questions = [body for body in asked if body.get("max_tokens") == 77]
    assert {(body["temperature"], body["top_p"], body["model"]) for body in questions} == {
        (0.9, 0.8, "r1")
    }
    said = json.loads(result.stdout)
    assert [each["url"] for each in said["sample"]["engine"]["endpoints"]] == urls
    made = {row["id"]: row for row in lines(tmp_path / "out/rated/out/rated.jsonl")}
    assert made["p0"]["pass_rate"] == 1.0 and made["p0"]["pass_samples"] < 40
    assert made["p1"]["pass_rate"] == 0.0 and made["p1"]["pass_samples"] < 40
    assert 0 < made["p2"]["pass_rate"] < 1 and made["p2"]["pass_samples"] > 20
    assert said["counts"]["pass rate"]["never solved"] == 1
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or b"secret-of-the-rater" not in file.read_bytes()
