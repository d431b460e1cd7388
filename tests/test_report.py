"""The run report says what the files hold, and hostile or broken files cannot break it."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from longstep.config import UserError
from longstep.curate.audit import KeyAudit, audit_keys, votes_of
from longstep.curate.queue import queue
from longstep.report import build_report, score_rows, table
from longstep.report.blocks import (
    Bars,
    Branch,
    Curves,
    Meter,
    Series,
    Table,
    Text,
    Tree,
    write_blocks,
)
from longstep.report.collect import collect
from longstep.report.completions import OUTCOMES, split_thinking
from longstep.report.curves import PANELS, Thinner, read_curves
from longstep.report.figures import curve_figures, length_groups
from longstep.report.page import duration
from longstep.report.plots import length_bins
from longstep.report.read import Reader, number, visible
from longstep.report.scores import headline, key_comparisons, read_scores
from longstep.report.shown import LOOK, pass_rates
from longstep.report.shown import queue as queued
from longstep.run.origin import circumstances
from longstep.types import Completion, Problem, Verdict
from run_fixture import MODELS, STAGES, make_run, write, write_lines

VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use", "rect", "circle"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "synthetic")


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return build_report(run).read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A run with nothing but run.json, to add one stage at a time."""
    write(tmp_path / "run.json", {"name": "small", "makes": {}})
    return tmp_path


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.data: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.targets += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.data).split())


def cell(value: float, low: float, high: float, samples: int = 16, truncated: float = 0.0) -> dict:
    avg = {"value": value, "ci95": [low, high]}
    return {"problems": 30, "samples": samples, "avg": avg, "truncated": truncated}


def with_scores(run: Path, models: dict, stage: str = "eval", protocol: dict | None = None) -> Path:
    references = {name: f"@{name}" for name in models}
    for name in models:
        write(run / name / "config.json", {"kind": "sft"})
        write(run / name / "manifest.json", {"kind": "sft", "artifact": "model"})
    config = {"kind": "evaluate", "models": references}
    write(run / stage / "config.json", {"kind": "evaluate", "parts": {"config": config}})
    results = {"protocol": protocol or {"models": list(models)}, "models": models}
    write(run / stage / "out" / "results.json", results)
    return run


# The page as a whole


def test_page_is_self_contained_balanced_and_without_script(html: str) -> None:
    page = Page(html)
    assert page.targets and all(target.startswith("#") for target in page.targets)
    assert not page.tags["script"] and not page.tags["link"] and not page.handlers
    assert not re.findall(r"https?://|@import|url\((?!#)", html)
    assert len(page.ids) == len(set(page.ids))
    assert all(target[1:] in page.ids for target in page.targets)


def test_every_svg_reference_has_its_target(html: str) -> None:
    ids = set(Page(html).ids)
    references = re.findall(r"url\(#([^)]*)\)", html)
    assert references and set(references) <= ids


def test_same_folder_gives_same_bytes_elsewhere_and_in_another_process(
    run: Path, html: str, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    program = "import sys, pathlib, longstep.report as r; r.build_report(pathlib.Path(sys.argv[1]))"
    env = os.environ | {"PYTHONHASHSEED": "99", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(copy)], check=True, env=env)
    assert (copy / "report.html").read_text(encoding="utf-8") == html
    assert not list(copy.glob(".*"))


def test_plots_use_page_colours_only(html: str) -> None:
    svgs = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    # curves: 3 each of sft1, sft2, dpo, 6 of rl; lengths: 2 sampled + 2 x 6; pass rates: 1
    assert len(svgs) == 15 + 2 + 12 + 1
    assert not [color for svg in svgs for color in re.findall(r"#[0-9a-f]{6}\b", svg)]
    assert "<style" not in "".join(svgs)


def test_page_says_what_the_run_says(html: str) -> None:
    text = Page(html).text
    assert "no model was trained" in text
    assert "rl · no-signal · step 120 to 240, 3 times" in text
    assert "12,000 rows in, 9,012 kept" in text
    assert "9,012 1,859 prompt longer than 96 tokens 1,702 empty 157" in text
    assert "not distinguishable" in text


def test_import_needs_no_heavy_library() -> None:
    program = (
        "import sys, longstep.report; print({*sys.modules} & {'torch', 'matplotlib', 'jinja2'})"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"


# Scores


def test_table_by_hand(small: Path) -> None:
    cut = cell(0.25, 0.1, 0.4, truncated=0.051)
    models = {
        "sft": {"chain": {"all": cell(0.5, 0.404, 0.596), "hard": cut}},
        "base": {"chain": {"all": cell(0.1234, 0.1, 0.15)}},
    }
    with_scores(small, models, protocol={"models": ["base", "sft"]})
    recipe = {"stages": {"later": {"kind": "of my own"}, "rows": {"kind": "rl"}}}
    makes = {"later": "model", "rows": "rows"}
    write(small / "run.json", {"recipe": recipe, "makes": makes})
    rows = [
        ["base", "12.3 [10.0, 15.0]", "-"],
        ["sft", "50.0 [40.4, 59.6]", "25.0 [10.0, 40.0]*"],
    ]
    header = ["chain avg@16, n=30", "chain hard avg@16, n=30"]
    assert table(small) == [["stage", *header], *rows, ["later (not run)", "-", "-"]]
    results = json.loads((small / "eval" / "out" / "results.json").read_text())
    assert score_rows(results) == [["model", *header], *rows]


def test_headline_takes_first_and_last_and_admits_a_better_middle() -> None:
    results = {
        "models": {
            "base": {"chain": {"all": cell(0.1, 0.05, 0.15)}},
            "sft": {"chain": {"all": cell(0.7, 0.6, 0.8)}},
            "rl": {"chain": {"all": cell(0.6, 0.5, 0.7)}},
            "someone-else": {"chain": {"all": cell(0.9, 0.8, 1.0)}},
        },
        "comparisons": [
            {
                "a": "base",
                "b": "rl",
                "benchmark": "chain",
                "slice": "all",
                "delta": 0.5,
                "ci95": [0.4, 0.6],
            }
        ],
    }
    origins = {name: name for name in ("base", "sft", "rl")}
    results["protocol"] = {"models": ["base", "sft", "rl", "someone-else"]}
    assert headline(read_scores("eval", results, origins)) == (
        "base 10.0 [5.0, 15.0] → rl 60.0 [50.0, 70.0] avg@16 on chain, "
        "a difference of +50.0 [+40.0, +60.0] points: not distinguishable.",
        "The highest score is not the last: sft has 70.0 [60.0, 80.0].",
    )


def test_headline_of_one_model_and_of_none() -> None:
    one = read_scores("eval", {"models": {"base": {"chain": {"all": cell(0.1, 0.05, 0.15)}}}})
    assert headline(one) == ("base scores 10.0 [5.0, 15.0] avg@16 on chain.",)
    assert headline(read_scores("eval", {})) == ("No scores were measured.",)


def test_key_comparisons_are_neighbours_and_the_ends(run: Path) -> None:
    scores = collect(run).scores[0]
    names = list(MODELS)
    wanted = [*pairwise(names), (names[0], names[-1])]
    assert [
        (entry.a, entry.b) for entry in key_comparisons(scores) if entry.benchmark == "chain"
    ] == wanted
    assert {entry.slice for entry in key_comparisons(scores)} == {"all"}


@pytest.mark.parametrize(("truncated", "warned"), [(0.05, False), (0.0501, True)])
def test_truncation_badge_above_five_percent(small: Path, truncated: float, warned: bool) -> None:
    with_scores(small, {"sft": {"chain": {"all": cell(0.5, 0.4, 0.6, truncated=truncated)}}})
    html = build_report(small).read_text(encoding="utf-8")
    assert ("cut at the length limit (worst: sft on chain" in html) is warned
    assert ("✂" in html) is warned
    assert table(small)[1][1].endswith("*") is warned


def test_two_evaluations_stay_apart(small: Path) -> None:
    with_scores(small, {"sft": {"chain": {"all": cell(0.5, 0.4, 0.6)}}})
    with_scores(small, {"sft": {"chain": {"all": cell(0.6, 0.5, 0.7, 64)}}}, stage="long")
    assert table(small) == [
        ["stage", "eval: chain avg@16, n=30", "long: chain avg@64, n=30"],
        ["sft", "50.0 [40.0, 60.0]", "60.0 [50.0, 70.0]"],
    ]


def test_models_are_named_after_their_stage_too(run: Path, html: str) -> None:
    (scores,) = collect(run).scores
    assert scores.origins == {name: stage for name, (stage, _) in MODELS.items()}
    assert list(scores.models) == list(MODELS)
    text = Page(html).text
    assert "Made by this run but not evaluated: rater." in text
    assert (
        "chain: max_tokens 160, samples 8, temperature 0.6, top_p 0.95, easy 1 to 3, hard 6 to 8."
        in text
    )


# Order and state of stages


def test_stage_order_is_that_of_the_recipe(run: Path, small: Path) -> None:
    assert [stage.name for stage in collect(run).stages] == list(STAGES)
    recipe = {"stages": {"late": {}, "first": {}}}
    write(small / "run.json", {"stages": ["first", "../out", 7], "recipe": recipe})
    write(small / "extra" / "config.json", {})
    assert [stage.name for stage in collect(small).stages] == ["first", "late", "extra"]


def test_stages_that_did_not_run_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", without=("rl", "scores"))
    (folder / "dpo" / "manifest.json").unlink()
    states = {stage.name: stage.state for stage in collect(folder).stages}
    assert states["rl"] == states["scores"] == "not run"
    assert states["dpo"] == "unfinished" and states["sft1"] == "finished"
    text = Page(build_report(folder).read_text(encoding="utf-8")).text
    assert "not run: rl, scores" in text and "unfinished: dpo" in text
    assert "Nothing is evaluated yet." in text
    assert "Still to come: dpo (unfinished), rl (not run)." in text
    assert table(folder) == [["stage"]]


def test_folder_without_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run\.json, so this is not a run folder"):
        build_report(tmp_path)


# Hostile and broken content

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }} \"'&"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    evil = {"status": HOSTILE, "answer": HOSTILE, "reason": HOSTILE}
    row = {
        "problem_id": HOSTILE,
        "sample_index": 0,
        "token_ids": [1],
        "text": "<think>" + HOSTILE,
        "verdict": evil,
    }
    models = {HOSTILE: {HOSTILE: {HOSTILE: cell(0.5, 0.4, 0.6, truncated=0.9)}}}
    write(tmp_path / "run.json", {"name": HOSTILE, "differs": [HOSTILE], "overrides": [HOSTILE]})
    for name, kind in (("pick", "sample"), ("train", HOSTILE), ("eval", "evaluate")):
        write(tmp_path / name / "config.json", {"kind": kind})
        write(
            tmp_path / name / "manifest.json",
            {"kind": kind, "fingerprint": HOSTILE, "artifact": HOSTILE},
        )
        write_lines(
            tmp_path / name / "health.jsonl",
            [dict.fromkeys(("step", "level", "rule", "cause", "remedy"), HOSTILE)],
        )
        write_lines(tmp_path / name / "masks.jsonl", [{"tokens": [HOSTILE], "mask": [1]}])
        write_lines(tmp_path / name / "metrics.jsonl", [{"step": 1, "loss": 1.0, HOSTILE: 2}])
        cells = [HOSTILE, 1, {"shares": [0.5, HOSTILE]}, [HOSTILE]]
        line = {"name": HOSTILE, "steps": [1, 2], "values": [1, HOSTILE]}
        blocks = [
            {"block": "table", "title": HOSTILE, "header": [HOSTILE] * 4, "rows": [cells]},
            {"block": "curves", "title": HOSTILE, "lines": [line, line]},
            {"block": "bars", "title": HOSTILE, "counts": [1], "note": HOSTILE},
            {"block": "text", "title": HOSTILE, "text": HOSTILE},
            {"block": "tree", "title": HOSTILE, "branches": [{"text": HOSTILE, "note": HOSTILE}]},
        ]
        write(tmp_path / name / "blocks.json", blocks)
        write_lines(tmp_path / name / "out" / "completions.jsonl", [row])
        write_lines(
            tmp_path / name / "out" / "problems.jsonl",
            [{"id": HOSTILE, "prompt": HOSTILE, "answer": HOSTILE}],
        )
    note = {"a": HOSTILE, "b": HOSTILE, "benchmark": HOSTILE, "slice": "all", "sentence": HOSTILE}
    write(tmp_path / "eval" / "out" / "results.json", {"models": models, "comparisons": [note]})
    html = build_report(tmp_path).read_text(encoding="utf-8")
    page = Page(html)
    assert not page.tags["script"] and not page.tags["img"] and not page.handlers
    assert HOSTILE in page.text and "49" not in page.text.replace("{{ 7*7 }}", "")
    assert page.text.count(HOSTILE) > 20


def test_nothing_in_model_text_is_hidden(small: Path) -> None:
    text = "<think>\u202e54\u202c \x00 \ud800 \x1b[31m ok\nnext\tcell \u4f60\u597d \u200b</think>7"
    write_lines(
        small / "pick" / "out" / "completions.jsonl",
        [{"problem_id": "p", "token_ids": [1], "text": text}],
    )
    write(small / "pick" / "config.json", {"kind": "sample"})
    html = build_report(small).read_bytes().decode("utf-8")
    shown = r"\u202e54\u202c \u0000 \ud800 \u001b[31m ok" + "\nnext\tcell \u4f60\u597d " + r"\u200b"
    assert shown in html
    assert visible("plain") == "plain"


def test_damaged_files_become_notes(small: Path) -> None:
    write(small / "train" / "config.json", {"kind": "sft"})
    lines = (
        '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": NaN}\n{"step": 3, "lo\n[1]\n'
        + "[" * 200_000
        + "\n\xff\n"
    )
    (small / "train" / "metrics.jsonl").write_text(lines, encoding="latin-1")
    (small / "train" / "manifest.json").write_text("{")
    write(small / "train" / "blocks.json", {"not": "a list"})
    write(small / "train" / "out" / "results.json", [1])
    found = collect(small)
    stage = found.stages[0]
    assert [curve.values for curve in stage.curves] == [(2.0,)] and stage.not_finite == 1
    notes = "\n".join(found.notes)
    # the torn line, the list, the deep nesting and the broken byte
    assert "train/metrics.jsonl: 4 unreadable lines left out" in notes
    for name in ("manifest.json", "blocks.json", "out/results.json"):
        assert f"train/{name}: left out (" in notes
    assert "1 recorded metric value not finite" in build_report(small).read_text(encoding="utf-8")


EVERY_KEY = """kind cost artifact fingerprint step loss tokens mask level rule token_ids verdict
    text problem_id id pass_rate models comparisons protocol stage makes title note header rows lines counts ticks"""
BLOCKS = ("table", "curves", "bars", "text", "tree", None)


def test_wrong_types_everywhere_do_not_crash(small: Path) -> None:
    odd = [None, True, "x", 10**400, [], {}, [[]], {"models": {"m": 3}}, {"a": {"b": None}}]
    for place, value in enumerate(odd):
        stage = small / f"s{place}"
        everything = dict.fromkeys(EVERY_KEY.split(), value)
        for name in ("config", "manifest", "out/results"):
            write(stage / f"{name}.json", everything)
        write(stage / "blocks.json", [value, *({**everything, "block": each} for each in BLOCKS)])
        for name in ("metrics", "health", "masks", "out/problems", "out/completions"):
            write_lines(stage / f"{name}.jsonl", [everything])
    write(
        small / "run.json",
        {"name": [], "differs": {}, "recipe": {"stages": {"../out": {}, "ok": 3, "a/b": {}}}},
    )
    Page(build_report(small).read_text(encoding="utf-8"))
    assert {stage.name for stage in collect(small).stages} == {
        "ok",
        *(f"s{place}" for place in range(len(odd))),
    }


def test_links_are_not_followed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret.jsonl"
    write_lines(secret, [{"problem_id": "p", "token_ids": [1], "text": "the secret"}])
    write(small / "pick" / "config.json", {"kind": "sample"})
    (small / "pick" / "out").mkdir()
    (small / "pick" / "out" / "completions.jsonl").symlink_to(secret)
    (small / "pick" / "out" / "completions").symlink_to(secret.parent)
    assert "the secret" not in build_report(small).read_text(encoding="utf-8")


# Curves, lengths, masks


def test_metric_names_belong_to_one_panel() -> None:
    names = [name for panel in PANELS for names in panel.lines.values() for name in names]
    assert len(names) == len(set(names))


def test_every_line_of_a_panel_is_drawn_and_told_from_the_others() -> None:
    """Four colours and dashes; of more categories the four that are worth most, and the note says so."""
    signals = {f"{name}_share": 0.1 for name in ("all_right", "all_wrong", "unscorable_group")}
    values = {f"curriculum/value/{name}": float(place) for place, name in enumerate("abcdef")}
    rows = [{"step": step, "zero_variance_share": 0.3, **signals, **values} for step in range(6)]
    curves, more, _ = read_curves(rows)
    stage: Any = SimpleNamespace(name="rl", curves=curves)
    figures = {figure.title: figure for figure in curve_figures(stage)}
    assert not more and len(figures) == 2
    for title, first in (("groups without signal", "all 0.3"), ("value of each category", "f 5")):
        figure = figures[title]
        assert figure.lines[0].startswith(first) and len(figure.lines) == 4
        for color in ("blue", "orange", "purple", "grey"):
            assert f"stroke: var(--{color})" in figure.svg
    assert figures["groups without signal"].note == ""
    assert figures["value of each category"].note == "the highest 4 of 6"


def test_thinning_by_hand() -> None:
    thin = Thinner(limit=4)
    for step in range(1, 7):
        thin.add(step, 10.0 * step)
    # 1 2 3 4 -> full: (1.5, 15) (3.5, 35), every = 2; then 5 6 -> (5.5, 55)
    assert thin.points() == [(1.5, 15.0), (3.5, 35.0), (5.5, 55.0)]
    thin.add(7, 70.0)
    assert thin.points()[-1] == (7.0, 70.0)  # an incomplete group is not lost


def test_thinning_keeps_the_mean_in_bounded_memory() -> None:
    thin = Thinner()
    values = [float((7 * place) % 1013) for place in range(240 * 32)]
    for step, value in enumerate(values):
        thin.add(step, value)
    points = thin.points()
    assert len(points) <= 240
    assert statistics.fmean(value for _, value in points) == pytest.approx(statistics.fmean(values))


def test_curves_name_what_they_do_not_draw() -> None:
    rows = [
        {"step": 5, "loss": 2, "odd": 1, "seconds": 3, "ok": True},
        {"step": 6, "loss": None, "kl": float("inf")},
    ]
    curves, more, not_finite = read_curves(rows)
    assert [(curve.panel, curve.steps, curve.values) for curve in curves] == [
        ("loss", (5.0,), (2.0,))
    ]
    assert more == ("odd",) and not_finite == 2


def test_lengths_agree_with_a_plain_count(run: Path) -> None:
    path = run / "scores" / "out" / "completions" / "base" / "chain.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    lengths = next(
        entry
        for stage in collect(run).stages
        for entry in stage.lengths
        if (stage.name, entry.model, entry.benchmark) == ("scores", "base", "chain")
    )
    for outcome in OUTCOMES:
        plain = Counter(
            len(row["token_ids"]) for row in rows if row["verdict"]["status"] == outcome
        )
        assert lengths.counts[outcome] == plain
    width, bars = length_bins(lengths, longest=160)
    assert width == 6 and len(bars["other"]) == 27  # 161 lengths, at most 32 bins of whole tokens
    assert sum(map(sum, bars.values())) == lengths.total == len(rows)
    # 160 tokens is the budget: the last bin holds every cut answer
    assert bars["truncated"][26] == sum(bars["truncated"]) > 0


def test_traces_are_read_with_their_problem(run: Path) -> None:
    stage = next(stage for stage in collect(run).stages if stage.name == "scores")
    path = run / "scores" / "out" / "problems" / "chain.jsonl"
    asked = {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}
    traces = [
        trace for trace in stage.traces if (trace.model, trace.benchmark) == ("base", "chain")
    ]
    assert Counter(trace.outcome for trace in traces) == {
        "correct": 2,
        "incorrect": 2,
        "truncated": 1,
    }
    for trace in traces:
        assert trace.prompt == asked[trace.problem_id]["prompt"]
        assert trace.gold == asked[trace.problem_id]["answer"]
        assert (trace.answer == trace.gold) is (trace.outcome == "correct")


def test_split_thinking() -> None:
    assert split_thinking("<think>a</think>b") == ("<think>a</think>", "b")
    assert split_thinking("<think>never ends") == ("<think>never ends", "")
    assert split_thinking("no tags") == ("", "no tags")


def test_mask_runs_by_hand(small: Path) -> None:
    row = {
        "tokens": ["ask", "<think>", "1", "+", "2", "<|end|>", "<|pad|>"],
        "mask": [0, 0, 1, 1, 1, 1, 0],
    }
    write_lines(small / "sft" / "masks.jsonl", [row, {"tokens": ["torn"], "mask": []}])
    write(small / "sft" / "config.json", {"kind": "sft"})
    (sample,) = collect(small).stages[0].masks
    assert sample.pieces == (("ask<think>", False), ("1+2<|end|>", True), ("<|pad|>", False))
    assert (sample.trained, sample.total, sample.left_out) == (4, 7, 0)
    html = build_report(small).read_text(encoding="utf-8")
    assert '<span class="on">1+2&lt;|end|&gt;</span>' in html


def test_pass_rates_by_hand(small: Path) -> None:
    rates = [0.0, 0.05, 0.1, 0.5, 0.95, 1.0, None, 1.5]
    write_lines(
        small / "pick" / "out" / "problems.jsonl", [{"id": str(r), "pass_rate": r} for r in rates]
    )
    (bars,) = pass_rates(small / "pick" / "out")
    assert isinstance(bars, Bars)
    assert bars.counts == (2, 1, 0, 0, 0, 1, 0, 0, 0, 2) and bars.note == "6 problems"


def test_blocks_are_read_as_they_were_written(small: Path) -> None:
    blocks = (
        Table("t", ("a", "b", "c"), (("x", 2.5, Meter((0.25, 0.75))), (("y", "z"), 3, "")), "n"),
        Curves("c", (Series("one", (1, 2, 5), (0.5, 0.25, 0.125)), Series("two", (1,), (3,)))),
        Bars("b", (3, 0, 1), ((0, "low"), (3, "high")), "4 rows"),
        Text("w", "words"),
        Curves("i", (Series("sure", (8, 16), (1, 2), (0, 1), (2, 3), True),), ratios=True),
        Tree("r", (Branch(0, "root", "4 tokens", 0.5), Branch(1, "leaf", kept=False)), "n"),
    )
    write(small / "mine" / "config.json", {"kind": "of my own"})
    write_blocks(small / "mine", blocks)
    assert collect(small).stages[0].blocks == blocks
    html = build_report(small).read_text(encoding="utf-8")
    data = html.split('id="data"')[1].split("</section>")[0]
    assert '<p class="pruned" style="padding-left:1rem"><i></i><code>leaf</code>' in data
    assert data.count("<svg") == 3 and "one 0.5 → 0.125" in data
    assert '<i class="kept" style="width:25.0%"></i><i class="lost" style="width:75.0%">' in data
    cells = re.findall(r"<td[^>]*>(.*?)</td>", data)
    assert [cells[0], cells[1], cells[4], cells[5]] == ["x", "2.5", "3", ""]
    assert "<h4>mine <small>n</small></h4>" in data
    assert ["low" in data, "high" in data, "words" in data, "4 rows" in data] == [True] * 4


def test_a_run_that_does_not_say_what_its_stages_make_is_reported_with_a_note(small: Path) -> None:
    write(small / "run.json", {"recipe": {"stages": {"rl": {"kind": "rl"}}}})
    assert collect(small).stages[0].makes == ""
    assert any("what each stage makes" in note for note in collect(small).notes)


def test_rows_for_a_person_are_on_the_page_and_no_section_without_any(small: Path) -> None:
    write(small / "rated" / "config.json", {"kind": "sample"})
    out = small / "rated" / "out"
    write_lines(out / "queue.jsonl", [])
    assert list(queued(out)) == []
    problem = Problem("q7", "What is <b>6</b> x 7?", "41")
    wrong = Verdict("incorrect", "42", "")
    drawn = [Completion("q7", n, (), (), "\\boxed{42}", "stop", verdict=wrong) for n in range(4)]
    suspects = audit_keys([problem], votes_of(drawn, str.__eq__), KeyAudit(), str.__eq__)
    doubts = queue([problem], suspects, drawn)
    write_lines(out / "queue.jsonl", [asdict(each) for each in doubts])
    write_blocks(small / "rated", queued(out))
    page = build_report(small).read_text()
    section = page.split("For a person to look at")[1].split("</section>")[0]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", section)
    assert cells[:4] == ["q7", "What is &lt;b&gt;6&lt;/b&gt; x 7?", "41", "4 x 42"]
    assert cells[4].startswith("suspect key: gold ") and len(cells) == 5
    Page(page)


def test_health_is_folded_by_rule(run: Path) -> None:
    (note,) = collect(run).health
    assert (note.stage, note.rule, note.count, note.first_step, note.last_step) == (
        "rl",
        "no-signal",
        3,
        "120",
        "240",
    )


def test_cost_totals(small: Path) -> None:
    for name, seconds in (("a", 30.5), ("b", 3600.0)):
        write(small / name / "config.json", {"kind": "sft"})
        cost = {"seconds": seconds, "tokens_trained": 1500, "peak_memory_mb": seconds}
        write(small / name / "manifest.json", {"kind": "sft", "cost": cost})
    text = Page(build_report(small).read_text(encoding="utf-8")).text
    # 30.5 + 3600 s = 1 h 00 min; 2 x 1500 tokens; nothing was generated; the larger peak
    assert "all 1 h 00 min 3,000 0 3,600" in text


def test_numbers_and_durations() -> None:
    assert [number(value) for value in (1, 0.5, True, "1", None, float("nan"), 10**400)] == [
        1,
        0.5,
        *[None] * 5,
    ]
    assert [duration(value) for value in (0.04, 59.96, 245, 12_000)] == [
        "0.0 s",
        "1 min 00 s",
        "4 min 05 s",
        "3 h 20 min",
    ]


def test_reader_streams(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_lines(path, [{"place": place} for place in range(5)])
    rows = Reader(tmp_path).rows(path)
    assert next(rows) == {"place": 0} and next(rows) == {"place": 1}


def test_plots_and_columns_are_in_table_order(run: Path) -> None:
    titles = [group.title for group in length_groups(collect(run))]
    assert titles == ["sampled for training", "scores: chain", "scores: equation"]
    for group in list(length_groups(collect(run)))[1:]:
        assert [figure.title for figure in group.figures] == list(MODELS)
    part = cell(0.5, 0.4, 0.6)
    scores = read_scores(
        "eval", {"models": {"m": {"b": {"aa": part, "all": part}, "a": {"z": part}}}}
    )
    assert scores.columns == (("a", "z"), ("b", "all"), ("b", "aa"))


# A phone, a person, an origin


def test_fault_46_no_table_is_wider_than_a_phone(html: str) -> None:
    tables = re.findall(r'<table class="([^"]*)">(.*?)</table>', html, re.DOTALL)
    assert len(tables) > 5 and all("stack" in classes.split() for classes, _ in tables)
    for classes, body in tables:
        # On a phone each cell stands alone, so it has to say what it is; a fact has its name in front of it.
        cells = re.findall(r"<td([^>]*)>", body)
        marks = ("data-label=", 'class="empty"', "colspan", 'class="bar"')
        bare = [cell for cell in cells if not any(mark in cell for mark in marks)]
        assert not bare or "narrow" in classes, body[:300]
    phone = html.split("@media (max-width: 40rem)")[1]
    assert ".stack td { display: block" in phone.replace("\n", " ")


def test_fault_46_origin_says_when_where_and_how(html: str) -> None:
    origin = html.split('<section id="origin">')[1]
    assert "1970-01-01 00:00:00 UTC on h0 (Linux x86_64)" in origin
    assert "<code>longstep run light-r1 --size tiny</code> in <code>/work</code>" in origin
    assert "1970-01-02 01:00:00 UTC on h90000 (Linux x86_64), the last of 2 times" in origin
    assert "longstep 0.1.0, torch 2.13.0" in origin and "h86400" not in origin
    told = circumstances()
    assert {"command", "cwd", "host", "system", "versions"} == told.keys()


def test_fault_46_scores_show_pass_and_majority_and_n(run: Path, html: str) -> None:
    scores = html.split('<section id="scores">')[1].split("</section>")[0]
    results = json.loads((run / "scores" / "out" / "results.json").read_text())
    base = results["models"]["base"]["chain"]["all"]
    k = max(base["pass"], key=int)
    wanted = f"pass@{k} {100 * base['pass'][k]['value']:.1f} · maj@{k} {100 * base['maj'][k]['value']:.1f}"
    assert wanted in scores and f"n={base['problems']}" in scores


def test_fault_46_a_person_is_led_to_what_to_look_at(small: Path) -> None:
    assert 'href="#look"' not in build_report(small).read_text()
    write(small / "rated" / "config.json", {"kind": "sample"})
    write_blocks(small / "rated", [Text(LOOK, "something")])
    page = build_report(small).read_text()
    assert 'href="#look"' in page and page.count('<section id="look">') == 1
    assert "something" in page.split('<section id="look">')[1].split("</section>")[0]
