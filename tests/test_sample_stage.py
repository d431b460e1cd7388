"""Stage ``sample`` in rounds: adaptive, re-checked and resumed; stage ``select`` on what it wrote."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from longstep.artifacts import read_json, read_rows, write_rows
from longstep.config import UserError
from longstep.context import Context
from longstep.curate.adaptive import Adaptive
from longstep.curate.audit import KeyAudit
from longstep.curate.difficulty import Band, Ratings
from longstep.curate.queue import Doubt
from longstep.curate.selection import S1, AtRandom, InBand
from longstep.draw.rounds import Rounds, draw_adaptively
from longstep.draw.samplers import ByModel, ByReference
from longstep.generate import Batch, FakeGenerator, Prompt, Sampling
from longstep.problems.chain import Chain
from longstep.progress import Progress
from longstep.stages.sample import Sample
from longstep.stages.select import Select
from longstep.types import Completion, Problem, Verdict

PROBLEMS = [Problem(f"p{n}", f"a{n}b+1?", str(n + 1)) for n in range(6)]
HALF = Adaptive(band=Band(max=0.5), first=4, step=4, max=16, confidence=0.95)


def context(folder: Path, name: str = "stage", **inputs: Path) -> Context:
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    named = {f"@{key}": path for key, path in inputs.items()}
    return Context(name, folder / name, 7, named, quiet, lambda what, facts: None)


class Coin(FakeGenerator):
    """Right with a probability of its own for each problem: p0 never, p5 always; fails after ``budget`` completions."""

    def __init__(self, budget: int = 10**9) -> None:
        super().__init__({})
        self.budget = budget

    def run_batch(self, batch: Batch, sampling: Sampling) -> Sequence[Completion]:
        def answer(prompt: Prompt, index: int) -> str:
            self.budget -= 1
            if self.budget < 0:
                raise KeyboardInterrupt
            key = f"{sampling.seed}/{prompt.problem_id}/{index}"
            uniform = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
            n = int(prompt.problem_id[1])
            return f"<think>x</think>\\boxed{{{n + 1 if uniform < n / 5 else 99}}}"

        self.answers = answer
        return super().run_batch(batch, sampling)


def rounds(folder: Path, generator: FakeGenerator, batch: int = 8) -> Rounds:
    prompts = [Prompt(p.id, text=p.prompt) for p in PROBLEMS]
    return Rounds(generator, prompts, PROBLEMS, Sampling(batch_size=batch), context(folder))


def test_rounds_go_on_until_each_problem_is_decided(tmp_path: Path):
    task = rounds(tmp_path, Coin())
    facts = draw_adaptively(task, HALF)
    drawn = list(task.completions())
    by_problem = Counter(row.problem_id for row in drawn)
    assert by_problem["p0"] == by_problem["p5"] == 4  # P(p <= 1/2) is 31/32 and 1/32 after four
    assert facts["drawn"] == len(drawn) and facts["saved"] == 1 - len(drawn) / 96
    decided = Counter(HALF.decide(rate) for rate in task.rates().values())
    assert facts["decided"] == dict(decided) and sum(decided.values()) == 6
    for id, count in by_problem.items():
        assert count in (4, 8, 12, 16)
        assert count == 16 or HALF.decide(task.rates()[id]) != "open"
        indices = [row.sample_index for row in drawn if row.problem_id == id]
        assert indices == list(range(count))


def test_the_first_round_is_what_a_fixed_number_draws_and_batches_do_not_matter(tmp_path: Path):
    fixed = rounds(tmp_path / "fixed", Coin())
    fixed.draw(fixed.ids, 4)
    adaptive = rounds(tmp_path / "adaptive", Coin())
    draw_adaptively(adaptive, HALF)
    first = [row for row in adaptive.completions() if row.sample_index < 4]
    assert first == list(fixed.completions())
    small = rounds(tmp_path / "small", Coin(), batch=3)
    draw_adaptively(small, HALF)
    assert list(small.completions()) == list(adaptive.completions())


@pytest.mark.parametrize("budget", [0, 5, 23, 24, 30, 45])
def test_killed_in_any_round_and_continued_gives_the_same_rows(tmp_path: Path, budget: int):
    whole = rounds(tmp_path / "whole", Coin())
    draw_adaptively(whole, HALF)
    assert whole.drawn > 45
    with pytest.raises(KeyboardInterrupt):
        draw_adaptively(rounds(tmp_path / "killed", Coin(budget)), HALF)
    again = rounds(tmp_path / "killed", Coin())
    draw_adaptively(again, HALF)
    assert list(again.completions()) == list(whole.completions())
    # What a finished chunk held was not drawn again.
    used = 10**9 - again.generator.budget  # pyright: ignore[reportAttributeAccessIssue]
    assert used <= whole.drawn - budget // 8 * 8 + 8


def test_a_rated_stage_writes_counts_intervals_and_decisions(tmp_path: Path):
    rows = [*Chain(count=5).load(3)]
    write_rows(tmp_path / "in" / "problems.jsonl", rows)
    stage = Sample(by=ByReference(), data="@in", adaptive=HALF, rate=True)
    task = context(tmp_path, "rated", **{"in": tmp_path / "in"})
    stage.run(task)
    counts = read_json(task.out / "counts.json")
    assert counts["adaptive"] == {"decided": {"outside": 5}, "drawn": 20, "most": 80, "saved": 0.75}
    table = [json.loads(line) for line in (task.out / "rates.jsonl").read_text().splitlines()]
    assert [row["problem_id"] for row in table] == [row.id for row in rows]
    assert {(row["correct"], row["scored"], row["pass_rate"]) for row in table} == {(4, 4, 1.0)}
    # 4 of 4: the Wilson interval begins at 4 / (4 + 1.96^2).
    assert table[0]["low"] == pytest.approx(4 / 7.8416)
    assert counts["queued"] == 0 and (task.out / "queue.jsonl").read_text() == ""


def test_never_solved_problems_are_sampled_again_and_suspects_queued(tmp_path: Path):
    """The shipped model on addition chains: one row has a wrong key, so nobody solves it and the answers agree."""
    rows = [*Chain(count=8, difficulty=(1, 1)).load(3)]
    wrong = Problem("wrong", rows[0].prompt, "1234", rows[0].solution, "exact")
    write_rows(tmp_path / "in" / "problems.jsonl", [*rows, wrong])
    stage = Sample(
        by=ByModel(model="longstep-tiny"),
        data="@in",
        sampling=Sampling(samples=4, max_tokens=120, temperature=1.0),
        rate=True,
        audit=KeyAudit(extra=6),
        second="math",
    )
    task = context(tmp_path, "rated", **{"in": tmp_path / "in"})
    stage.run(task)
    rated = {row.id: row for row in read_rows(task.out / "problems.jsonl", Problem)}
    drawn = Counter(row.problem_id for row in read_rows(task.out / "completions.jsonl", Completion))
    assert rated["wrong"].pass_rate == 0.0
    assert drawn["wrong"] == 10 and set(drawn.values()) <= {4, 10}
    counts = read_json(task.out / "counts.json")
    assert counts["audit"]["suspects"] >= 1
    assert sum(counts["audit"]["majorities"].values()) == len(rated)
    assert counts["rechecked"]["problems"] == sum(count == 10 for count in drawn.values())
    doubts = {row.problem_id: row for row in read_rows(task.out / "queue.jsonl", Doubt)}
    agreed, conflict = doubts["wrong"].why
    assert agreed.startswith("suspect key: gold '1234', ")
    assert agreed.endswith(f", as the gold of {rows[0].id} with the same question does")
    assert conflict.startswith(
        f"conflicting golds: '1234' here, '{rows[0].answer}' in {rows[0].id}"
    )
    assert doubts[rows[0].id].why[0].startswith("conflicting golds: ")
    assert doubts["wrong"].answers[0]["answer"] == rows[0].answer


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"adaptive": HALF, "rate": True, "sampling": Sampling(samples=4)}, "sampling.samples: has no effect"),
        ({"adaptive": HALF}, "adaptive: has no effect without rate: true"),
        ({"audit": KeyAudit(extra=2)}, "audit.extra: has no effect without rate: true"),
        ({"second": "mth"}, "second: unknown verifier 'mth'; did you mean 'math'"),
        ({"second": "math(tolerence=1%)"}, "second: verifier 'math(tolerence=1%)': no option 'tolerence'; did you mean"),
        ({"second": "exact(tolerance=1%)"}, "second: verifier 'exact(tolerance=1%)': exact takes no options"),
        ({"second": "math(extract=qwen-math, tolerance=1%)"}, None),
        ({"second": "short_recipe:always_raises"}, None),
        ({"second": "mine:function"}, "second: verifier 'mine:function': no module named 'mine'"),
        ({"adaptive": HALF, "rate": True}, None),
    ],
)  # fmt: skip
def test_settings_without_effect_are_refused(settings, complaint: str | None):
    complaints = [*Sample(by=ByReference(), data="x", **settings).check()]
    assert bool(complaints) == (complaint is not None)
    assert complaint is None or complaints[0].startswith(complaint)


def rated_rows(folder: Path) -> None:
    rows = [
        Problem(f"p{n}", f"a{n}b+1?", str(n), source="s", difficulty=12.5 * n) for n in range(9)
    ]
    rows.append(Problem("twin", "A0B + 1?", "77", difficulty=50.0))
    rows.append(Problem("none", "what?", "7"))
    write_rows(folder / "problems.jsonl", rows)
    doubts = [Doubt("p3", "q", "3", ({"answer": "9", "count": 4},), ("suspect key: all say 9",))]
    doubts.append(Doubt("p4", "q", "4", (), ("timeout: slow (1 samples)",)))
    write_rows(folder / "queue.jsonl", doubts)
    right, wrong = Verdict("correct", "1"), Verdict("incorrect", "2")
    completions = [
        Completion(f"p{n}", i, (), (), "x" * (n + i), "stop", verdict=verdict)
        for n in range(9)
        for i, verdict in enumerate((wrong, right))
    ]
    write_rows(folder / "completions.jsonl", completions)


def test_select_imports_ratings_sets_suspects_aside_and_says_why(tmp_path: Path):
    rated_rows(tmp_path / "in")
    stage = Select(
        data="@in",
        ratings=Ratings(unit="failed_percent", samples=8),
        rules=(InBand(min=0.25, max=0.75), AtRandom(count=2)),
    )
    task = context(tmp_path, "picked", **{"in": tmp_path / "in"})
    stage.run(task)
    funnel = read_json(task.out / "funnel.json")
    assert [(row["step"], row["kept"], row["dropped"]) for row in funnel] == [
        ("read", 11, 0), ("suspects", 8, 3), ("band", 4, 4), ("random", 2, 2),
    ]  # fmt: skip
    assert funnel[1]["reasons"] == {"conflicting golds": 2, "suspect key": 1}
    # p1 solves 7/8 and p7, p8 1/8 and 0; p2, p4, p5, p6 are in the band.
    assert funnel[2]["reasons"] == {"above the band": 1, "below the band": 2, "no pass rate": 1}
    kept = list(read_rows(task.out / "problems.jsonl", Problem))
    assert {p.id for p in kept} < {"p2", "p4", "p5", "p6"}
    assert all(p.pass_rate == 1 - (p.difficulty or 0) / 100 for p in kept)
    assert {row.problem_id for row in read_rows(task.out / "completions.jsonl", Completion)} == {
        p.id for p in kept
    }
    dropped = (task.out / "dropped.jsonl").read_text().splitlines()
    assert len(dropped) + len(kept) == 11
    doubts = {d.problem_id: d for d in read_rows(task.out / "queue.jsonl", Doubt)}
    assert set(doubts) == {"p0", "p3", "p4", "twin"}
    assert "'77' in twin" in doubts["p0"].why[0]
    kept_all = context(tmp_path, "all", **{"in": tmp_path / "in"})
    stage.model_copy(update={"suspects": "keep", "rules": (AtRandom(count=99),)}).run(kept_all)
    assert len(list(read_rows(kept_all.out / "problems.jsonl", Problem))) == 11


def test_select_takes_chains_lengths_and_other_raters_from_artifacts(tmp_path: Path):
    rated_rows(tmp_path / "in")
    raters = [Problem(f"p{n}", "q", "1", pass_rate=float(n < 5)) for n in range(8)]
    write_rows(tmp_path / "big" / "problems.jsonl", raters)
    stage = Select(data="@in", raters={"big": "@big"}, rules=(S1(raters=("big",), count=50),))
    assert [*stage.references()] == [("@in", "rows"), ("@big", "rows")]
    task = context(tmp_path, "picked", **{"in": tmp_path / "in", "big": tmp_path / "big"})
    stage.run(task)
    assert {p.id for p in read_rows(task.out / "problems.jsonl", Problem)} == {"p5", "p6", "p7"}
    with pytest.raises(UserError, match=r"no problem is left: read kept 11, dropped 0; suspects"):
        stage.model_copy(update={"rules": (InBand(),)}).run(
            context(tmp_path, "nothing", **{"in": tmp_path / "in", "big": tmp_path / "big"})
        )
