"""Faults 40 to 48 of plan, status and report: each by its number, with values worked out by hand.

43 is in ``test_faults_eval.py``, 45 in ``test_cards.py``, what 46 says of the page in ``test_report.py``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longstep.artifacts import write_json, write_manifest
from longstep.cli.main import app
from longstep.cli.status import is_running, sentences, stage_rows, status_table
from longstep.config import Located, UserError, load_yaml, override, validate
from longstep.costs.planning import DEVICES, Planning
from longstep.disk import held, locked
from longstep.progress import Progress
from longstep.report import build_report, score_rows, table_notes
from longstep.report.blocks import Table, Text
from longstep.report.scores import legend, narrowed, read_scores
from longstep.report.shown import queue
from longstep.run.fit import refuse_unfit
from longstep.run.peak import begin_peak, peak_memory
from longstep.run.plan import Plan, make_plan
from longstep.run.recipe import Recipe, check, load, recipe_files, sizes_told
from longstep.run.runner import Run, execute
from run_fixture import make_run

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
GB = 1e9


def plan_of(name: str, size: str | None, *overrides: str) -> Plan:
    return make_plan(load(recipe_files(str(RECIPES / name), size), overrides)[0])


# -- 40: what fits is said to fit, and what does not with the setting that helps ------------------------


def test_fault_40_rl_of_a_small_model_fits_on_one_card() -> None:
    # Qwen2.5-1.5B: 1.5437e9 weights, 1.5436e9 of them in matrices; 2 * 2 * 28 layers * 256 = 28,672 bytes of keys and
    # values a token in bf16, twice that in float32. light-r1 keeps a reference (4 bytes a weight).
    one = plan_of("light-r1", "qwen-1.5b", "plan.device=h100", "stages.rl.rollout_batch=24").stage(
        "rl"
    )
    # Updates: (16 + 4 + 2) * 1.5437e9 = 33.96 GB; 25,024 tokens keep 28 layers' inputs, 2 * 1536 * 28 = 86,016 bytes,
    # and twice one layer's 2 * (6 * 1536 + 2 * 1536 + 2 * 256 + 4 * 8960) = 97,280: 7.02 GB; logits of 256 tokens,
    # 256 * 151,936 * 10 = 0.39 GB. In all 41.4 GB.
    # Rollouts hold no gradients: (12 + 4 + 2) * 1.5437e9 = 27.8 GB, and 24 answers of 150 + 9000 tokens, of which a
    # tenth may have ended: 244,000 * 57,344 = 14.0 GB. In all 41.8 GB, and the larger of the two counts.
    assert one.memory == pytest.approx(41.8 * GB, rel=2e-3) and one.relief == ""
    # Half of the answers decoded together need 7.0 GB less, so updates are the peak; training memory stays.
    fewer = plan_of(
        "light-r1", "qwen-1.5b", "plan.device=h100", "stages.rl.rollout_batch=12"
    ).stage("rl")
    assert fewer.memory == pytest.approx(41.4 * GB, rel=2e-3)


def test_fault_40_shards_and_a_copy() -> None:
    # DeepSeek-R1-Distill-Qwen-14B over 8 H200: 14.77e9 weights; a whole bf16 copy to draw from, 29.5 GB.
    made = plan_of("light-r1-ds", "ds-14b").stage("rl")
    # The reference rates while there are no gradients: (12 + 4) / 8 * 14.77e9 = 29.5 GB of shards, the copy, the
    # reference gathered at once, 29.5 GB, and 25,024 tokens in one layer, 2 * (6 * 5120 + 2 * 5120 + 2 * 1024 +
    # 4 * 13,824) = 196,608 bytes each: 4.9 GB. In all 93.5 GB.
    assert made.memory == pytest.approx(93.5 * GB, rel=3e-3) and made.relief == ""


def test_fault_40_a_mixture_is_held_whole() -> None:
    # Qwen3-30B-A3B: 30.53e9 weights held and trained, whatever a token passes: 16 bytes, and bf16 copies of 30.22e9.
    base = "stages.base={kind: checkpoint, path: Qwen/Qwen3-30B-A3B}"
    made = plan_of("light-r1", "qwen-1.5b", base).stage("sft1")
    assert made.memory is not None and made.memory > (16 * 30.5 + 2 * 30) * GB
    assert "sharding: fsdp2" in made.relief


@pytest.mark.parametrize(
    ("size", "stage", "changes"),
    [
        ("qwen-7b", "sft1", ["launch.sharding=none", "stages.sft1.micro_batch=12"]),
        ("qwen-1.5b", "rl", ["plan.device=h100", "stages.rl.rollout_batch=1000"]),
        ("qwen-1.5b", "sft1", ["plan.device=rtx-4090"]),
        ("qwen-1.5b", "pool", ["plan.device=t4", "stages.pool.sampling.batch_size=64"]),
        ("qwen-7b", "rl", ["stages.rl.rollout_batch=100"]),
    ],
)
def test_fault_40_what_is_said_to_help_does(size: str, stage: str, changes: list[str]) -> None:
    made = plan_of("light-r1", size, *changes).stage(stage)
    assert made.relief
    # The first way: ``key: value``, several joined by ``with``.
    first = re.sub(r" \([\d.e+]+ GB\)", "", made.relief.rpartition(" by ")[2].partition(", or ")[0])
    said = [re.sub(r"^(\S+): ", rf"stages.{stage}.\1=", way) for way in first.split(", with ")]
    said = [way.replace(f"stages.{stage}.launch=", "launch=") for way in said]
    mended = plan_of("light-r1", size, *changes, *said).stage(stage)
    assert mended.relief == "", (made.relief, said)


def test_fault_40_own_and_consumer_devices() -> None:
    own = Planning.model_validate(
        {"device": {"memory": 24, "tflops": 165, "bandwidth": 1.008}}
    ).hardware
    card = DEVICES["rtx-4090"]
    assert (own.memory, own.flops, own.bandwidth) == (card.memory, card.flops, card.bandwidth)
    assumed = Planning.model_validate({"device": {"memory": 24, "tflops": 155}}).hardware
    assert assumed.bandwidth == 1e12 and "assumed" in assumed.note
    known = {
        "rtx-3090",
        "rtx-4090",
        "rtx-5090",
        "a100-40",
        "l4",
        "a10",
        "t4",
        "h100",
        "h200",
        "b200",
    }
    assert known < DEVICES.keys() and all(
        Planning.model_validate({"device": each}) for each in DEVICES
    )
    hours = [
        plan_of("light-r1", "qwen-1.5b", f"plan.device={device}").stage("sft1").hours
        for device in ("rtx-4090", "{memory: 24, tflops: 82.5}")
    ]
    assert None not in hours and hours[1] == pytest.approx(2 * (hours[0] or 0))


BIG = """
name: big
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 20}], filters: [{kind: has_answer}]}
  traces: {kind: sample, by: {kind: reference, model: "@base"}, data: "@problems"}
  sft: {kind: sft, model: "@base", data: "@traces", steps: 2, batch: 8, max_length: 128}
"""


def big(folder: Path, *overrides: str) -> tuple[Recipe, Located]:
    path = folder / "big.yaml"
    path.write_text(BIG)
    located = load_yaml(path)
    for assignment in overrides:
        located = override(located, assignment)
    recipe = validate(Recipe, located)
    check(recipe, located)
    return recipe, located


def test_fault_40_run_asks_the_plan_before_its_first_stage(tmp_path: Path) -> None:
    recipe, located = big(tmp_path)
    refuse_unfit(recipe, located, recipe.order())
    # A million rows of 128 tokens at once: more than any machine has.
    recipe, located = big(tmp_path, "stages.sft.batch=1000000")
    with pytest.raises(
        UserError, match=r"big.yaml:7: stages.sft: needs .* micro_batch: 1(?s:.*)--anyway"
    ):
        refuse_unfit(recipe, located, recipe.order())
    told: list[str] = []
    refuse_unfit(recipe, located, recipe.order(), told.append)
    assert len(told) == 1 and "stages.sft: needs" in told[0]
    refuse_unfit(recipe, located, ["problems", "traces"])  # what is not to run needs no room


# -- 41: hours on the devices that draw ------------------------------------------------------------------


def test_fault_41_drawing_takes_as_long_on_eight_devices_as_on_one() -> None:
    eight = plan_of("light-r1", "qwen-7b")
    one = plan_of("light-r1", "qwen-7b", "launch.processes=1", "launch.sharding=none")
    for stage in ("scores", "rated", "pool"):
        assert eight.stage(stage).hours == pytest.approx(one.stage(stage).hours)
        assert eight.stage(stage).dollars == pytest.approx(8 * one.stage(stage).dollars)
    # Every process draws rollouts: 1,024 answers on 8 devices, 24 together, take 128 / 24 rounds instead of 1,024 / 24.
    assert 4 < (one.stage("rl").hours or 0) / (eight.stage("rl").hours or 1) < 8
    assert any("on the first of the 8 devices" in line for line in eight.assumptions)


# -- 47: nothing is fetched unasked ----------------------------------------------------------------------


def test_fault_47_a_recipe_with_sizes_is_not_run_without_one(tmp_path: Path) -> None:
    told = sizes_told(RECIPES / "light-r1")
    assert told["qwen-32b"].startswith("Light-R1-32B: Qwen2.5-32B-Instruct") and "recipe" in told
    done = CliRunner().invoke(app, ["run", str(RECIPES / "light-r1"), "--out", str(tmp_path / "r")])
    assert isinstance(done.exception, UserError) and "nothing was fetched" in str(done.exception)
    assert all(f"\n  {size} " in str(done.exception) for size in told)
    assert not (tmp_path / "r").exists()
    assert recipe_files(str(RECIPES / "light-r1"), "recipe") == [
        RECIPES / "light-r1" / "recipe.yaml"
    ]
    assert sizes_told(RECIPES / "curation") == {}


# -- 42: status says what a run is doing -----------------------------------------------------------------

FAILING = """
name: failing
stages:
  problems: {kind: curate, sources: [{kind: chain, count: 6, difficulty: [1, 1]}], filters: [{kind: has_answer}]}
  few: {kind: sample, by: {kind: reference}, data: "@problems", where: {difficulty: [LOW, 3]}}
"""


def test_fault_42_a_stage_that_failed_says_so_and_is_done_after_the_mended_command(
    tmp_path: Path,
) -> None:
    def run(low: int) -> list[dict[str, Any]]:
        path = tmp_path / "failing.yaml"
        path.write_text(FAILING.replace("LOW", str(low)))
        with suppress(UserError):
            execute(Run(*load([path]), tmp_path / "run", lambda line: None))
        return stage_rows(tmp_path / "run")

    problems, few = run(2)
    assert (problems["state"], few["state"]) == ("done", "failed")
    assert "leaves 0 of 6 problems" in few["error"]
    assert [*sentences([problems, few])] == [f"few failed: {few['error']}"]
    shutil.rmtree(tmp_path / "run" / "few")  # other settings: as the complaint would say
    assert [row["state"] for row in run(1)] == ["done", "done"]


def test_fault_42_running_is_told_by_the_lock_and_not_by_a_clock(tmp_path: Path) -> None:
    stages = {"a": {"kind": "curate"}, "b": {"kind": "rl"}, "c": {"kind": "evaluate"}}
    write_json(tmp_path / "run.json", {"stages": list(stages), "recipe": {"stages": stages}})
    (tmp_path / "a" / "out").mkdir(parents=True)
    write_manifest(tmp_path / "a", cost={"seconds": 61.0})
    for stage in ("a", "b"):
        write_json(tmp_path / stage / "config.json", {})
    events = [
        {"time": 0.0, "stage": stage, "event": event}
        for stage, event in (("a", "started"), ("a", "finished"), ("b", "started"))
    ]
    (tmp_path / "events.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in events) + '{"torn'
    )
    # 40 of 220 steps in this process and 20 before it, at 0.5 steps a second: 160 more take 320 seconds.
    state = {"label": "b", "unit": "step", "done": 60, "total": 220, "speed": 0.5}
    write_json(tmp_path / "b" / "partial" / "progress.json", state)
    (tmp_path / "b" / "metrics.jsonl").write_text(
        '{"step": 59, "loss": 0.25, "reward": 0.5}\n{"step": 60, "lo'
    )
    fired = {"level": "warn", "rule": "truncated", "cause": "31 % were cut", "step": 7}
    (tmp_path / "b" / "health.jsonl").write_text(
        "".join(json.dumps({**fired, "step": step}) + "\n" for step in (7, 9))
    )

    def seen() -> tuple[list[str], list[list[str]]]:
        rows = stage_rows(tmp_path)
        assert is_running(rows) == (rows[1]["state"] == "running")
        return [row["state"] for row in rows], status_table(rows)[1:]

    with locked(tmp_path):
        states, cells = seen()
    assert states == ["done", "running", "not begun"]
    assert cells[0] == ["a", "done", "", "", "1:01", ""]
    assert cells[1] == ["b", "running", "60/220 step", "reward 0.5", "5:20 left", "1"]
    assert [*sentences(stage_rows(tmp_path))] == [
        "b warn: truncated, 2 times, the last at step 9: 31 % were cut"
    ]
    # The same files, and nobody holds the lock: whatever they say, nothing runs.
    states, cells = seen()
    assert states == ["done", "interrupted", "not begun"]
    assert cells[1] == ["b", "interrupted", "60/220 step", "reward 0.5", "", "1"]
    assert "run.lock" in {path.name for path in tmp_path.iterdir()} and not held(tmp_path)


def test_fault_42_progress_keeps_its_state_for_those_who_look() -> None:
    kept: list[Mapping[str, Any]] = []
    progress = Progress("sft", 40, write=lambda text: None, terminal=False, note=kept.append)
    progress.start_at(10)
    for _ in range(20):
        progress.advance(facts={"loss": 0.5, "kl": float("nan")})
    [first] = kept  # every two seconds
    assert (first["done"], first["total"], first["unit"]) == (11, 40, "step")
    assert first["facts"] == {"loss": 0.5} and first["speed"] > 0


# -- 44: a score table says of how many problems, and what its marks mean -----------------------------------


def score(avg: float, wide: float, k: int = 16, **others: Any) -> dict[str, Any]:
    """One cell: an average, and how many problems any of ``k`` answers solves, with intervals of 2 points each way."""

    def sure(value: float) -> dict[str, Any]:
        return {"value": value, "ci95": [value - 0.02, value + 0.02]}

    passes, vote = {"1": sure(avg), str(k): sure(wide)}, {str(k): sure(avg + 0.01)}
    return {"problems": 300, "samples": k, "avg": sure(avg), "pass": passes, "maj": vote, **others}


def scored(*cells: dict[str, Any]) -> dict[str, Any]:
    names = [f"m{number}" for number in range(len(cells))]
    pairs = [
        {"a": a, "b": b, "benchmark": "chain", "slice": "all"} for a, b in combinations(names, 2)
    ]
    models = {name: {"chain": {"all": cell}} for name, cell in zip(names, cells, strict=True)}
    return {"protocol": {"models": names}, "models": models, "comparisons": pairs}


def test_fault_44_n_a_legend_and_what_an_average_hides() -> None:
    results = scored(score(0.597, 0.977), score(0.730, 0.860, truncated=0.06))
    assert score_rows(results) == [
        ["model", "chain avg@16, n=300"],
        ["m0", "59.7 [57.7, 61.7]"],
        ["m1", "73.0 [71.0, 75.0]*"],
    ]
    scores = read_scores("scores", results)
    assert legend([scores]).startswith("* more than 5 % of the answers were cut")
    assert legend([read_scores("scores", scored(score(0.5, 0.6)))]) == ""
    [said] = narrowed(scores)
    assert said == (
        "chain: from m0 to m1 the average rises from 59.7 to 73.0, while pass@16 falls from 97.7 to 86.0: more answers "
        "are right, and to fewer of the 300 problems any of 16 answers is."
    )


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (score(0.73, 0.98), ""),  # both rise
        (score(0.50, 0.86), ""),  # both fall
        (score(0.73, 0.86, k=8), ""),  # another k says nothing
        (score(0.73, 0.95), "; the intervals of the latter overlap."),  # 97.7 - 2 = 95.7 < 95 + 2
    ],
)
def test_fault_44_nothing_is_said_where_nothing_is_hidden(after: dict[str, Any], said: str) -> None:
    found = narrowed(read_scores("scores", scored(score(0.597, 0.977), after)))
    assert len(found) == bool(said) and all(each.endswith(said) for each in found)


# -- 46: the page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gold", "listed"), [(8, True), (7, False)])
def test_fault_46_right_keys_are_not_listed_on_the_word_of_a_rater_that_is_wrong(
    tmp_path: Path, gold: int, listed: bool
) -> None:
    def doubt(name: str, why: str) -> dict[str, Any]:
        return {"problem_id": name, "prompt": f"{name}?", "gold": "1", "answers": [], "why": [why]}

    rows = [
        doubt("rater", "suspect key: gold '1', 4 of 4 say '2'"),
        doubt(
            "twin",
            "suspect key: gold '1', 4 of 4 say '2', as the gold of x with the same question does",
        ),
        doubt("broken", "bad_gold: no number (4 samples)"),
    ]
    (tmp_path / "queue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Of ten problems with a majority, it was the key of 8 or of 7.
    write_json(
        tmp_path / "counts.json", {"audit": {"majorities": {"gold": gold, "other": 10 - gold}}}
    )
    table, *more = queue(tmp_path)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["rater"] * listed + ["twin", "broken"]
    texts = [block.text for block in more if isinstance(block, Text)]
    assert len(texts) == (not listed) and all(
        text.startswith("1 keys that only the rater") for text in texts
    )


def test_fault_46_peak_memory_is_the_stages_own() -> None:
    assert begin_peak()
    much = b"x" * (96 << 20)
    large = peak_memory(own=True)["peak_memory_mb"]
    del much
    assert begin_peak()
    assert peak_memory(own=True)["peak_memory_mb"] <= large - 80
    assert peak_memory(own=False).keys() >= {"process_peak_memory_mb"}


# -- 48: one number for one claim, and what a run of one's own may show ------------------------------------------

DOCS = RECIPES.parent / "docs"


def _cells(row: str) -> list[str]:
    return [cell.strip(" *") for cell in row.strip("|").split("|")]


def test_fault_48_the_readme_shows_one_table_and_says_what_others_may_show() -> None:
    readme = (RECIPES.parent / "README.md").read_text("utf-8")
    results = (DOCS / "results.md").read_text("utf-8")
    evidence = results.split("\n## Light-R1 in miniature, five seeds\n")[1].split("\n## ")[0]
    told = readme.split("\n## What the demo shows\n")[1].split("\n## ")[0]
    # The table: the evidence's mean over five seeds, row for row, made by the commit that is named.
    shown = [_cells(row) for row in told.splitlines() if row.startswith("| ")][1:]
    rows = [_cells(row) for row in evidence.splitlines() if row.startswith("| ")]
    wanted = {row[0]: row for row in rows}
    stages = ("base", "sft1", "sft2", "nca", "merged", "rl")
    assert [row[1:] for row in shown] == [wanted[stage][1:4] for stage in stages]
    [commit] = re.findall(r"by commit (\w+)", told)
    assert f"commit {commit}" in evidence
    # What another run may show: the spread of the last row over seeds, and one seed on two kinds of processor.
    seeds = [float(value) for value in wanted["rl"][4].split()]
    assert f"seeds differ by up to {max(seeds) - min(seeds):.0f} points" in told
    others = re.findall(r"ended at\s+(\S+) on one machine and at (\S+) on another", told)
    [(here, elsewhere)] = others
    assert f"ended at {here} here (AVX-512" in results and f"at {elsewhere} on a machine" in results
    # The picture is of one run, which is said beside it before the table; one command makes the table.
    caption = readme.split("![")[1].split("\n\n")[1]
    assert "one run of seed" in caption and "mean over five seeds" in caption
    assert "longstep run  light-r1 --size tiny --seeds 1-5 # the table above" in readme


def test_fault_48_a_run_says_that_it_is_one_draw(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    [said] = [line for line in table_notes(folder) if line.startswith("One run")]
    assert said.startswith("One run of seed 17: the intervals hold its problems and samples.")
    assert said in build_report(folder).read_text("utf-8")
    # Nothing was drawn twice where nothing was trained, and nothing is claimed where nothing is scored.
    for path in folder.glob("*/metrics.jsonl"):
        path.unlink()
    assert not any(line.startswith("One run") for line in table_notes(folder))
