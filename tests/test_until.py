"""Rules that end a training: their arithmetic by hand, their history over a restart, their end in a killed run."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from longstep.config import TypeAdapter
from longstep.curriculum.base import Outcome
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.until import (
    AnyUntil,
    Drawn,
    Entropy,
    Plateau,
    Steps,
    Tokens,
    Truncation,
    TurnUp,
    Until,
    Watched,
)
from longstep.curriculum.until.base import drawn
from longstep.curriculum.until.series import averages_N, slope
from longstep.rl.ending import ended_blocks
from longstep.stages.rl import Rl
from longstep.types import Completion, Verdict
from short_recipe import Setting, contents, finish, kill_after_step, lines, without


def history(**columns: Sequence[float | None]) -> list[Drawn]:
    """One entry for each place of the columns."""
    rows = zip(*columns.values(), strict=True)
    return [Drawn(i, **dict(zip(columns, row, strict=True))) for i, row in enumerate(rows)]


def speaks_at(rule: Until, seen: list[Drawn]) -> list[int]:
    """The batches of rollouts, counted from 1, after which the rule would end the training."""
    return [n for n in range(1, len(seen) + 1) if rule.reason(seen[:n])]


# -- arithmetic -----------------------------------------------------------------------------------


def test_averages_and_slope_by_hand() -> None:
    """Window 3 moves by half of the difference: 8, 8 - 2, 6 - 1, 5 + 1.5."""
    assert averages_N([8.0, 4.0, 4.0, 8.0], 3) == [8.0, 6.0, 5.0, 6.5]
    assert slope([0.0, 1.0, 2.0]) == 1.0 and slope([0.5, 0.75, 0.5]) == 0.0
    assert slope([1.0, 0.0]) == -1.0 and slope([0.3]) == 0.0 and slope([0.3] * 20) == 0.0


#: Averages 8 6 5 6.5 of lengths (smallest 5, now 1.3 times that), 0 0 0 .25 of cut shares, .5 throughout of correctness.
LONGER = history(length=[8, 4, 4, 8], truncated=[0, 0, 0, 0.5], correct=[0.5] * 4)
#: Correctness rises: averages .5 .5 .5 .75, so the slope over the last three is .125.
BETTER = history(length=[8, 4, 4, 8], truncated=[0, 0, 0, 0.5], correct=[0.5, 0.5, 0.5, 1.0])


@pytest.mark.parametrize(
    ("settings", "seen", "when"),
    [
        ({}, LONGER, [4]),
        ({"rise": 0.3, "cut": 0.25}, LONGER, [4]),  # both bounds count as reached
        ({"rise": 0.31}, LONGER, []),
        ({"cut": 0.26}, LONGER, []),
        ({}, BETTER, []),
        ({"flat": 0.125}, BETTER, [4]),
        ({"window": 4}, LONGER, []),  # the first window only fills the averages
    ],
)
def test_turn_up_needs_all_three(settings: dict[str, Any], seen: list[Drawn], when: list[int]):
    assert speaks_at(TurnUp(**{"window": 3, **settings}), seen) == when


def test_turn_up_says_its_numbers() -> None:
    said = TurnUp(window=3).reason(LONGER)
    assert said is not None
    for words in ("6.5 tokens", "smallest of 5.0", "25.0% are cut", "+0"):
        assert words in said


def test_turn_up_looks_for_the_smallest_once_the_averages_are_filled() -> None:
    """A short first batch is no trough: averages 2 3 3.5 3.75 3.875, of which the last two count from 3.5 on."""
    seen = history(length=[2, 4, 4, 4, 4], truncated=[0.5] * 5, correct=[0.5] * 5)
    assert speaks_at(TurnUp(window=3, rise=0.2), seen) == []


def test_truncation_ends_below_its_bound() -> None:
    """Averages .8 .6 .4 .25: below .3 at the fourth, and .25 is not below .25."""
    seen = history(truncated=[0.8, 0.4, 0.2, 0.1])
    assert speaks_at(Truncation(window=3, below=0.3), seen) == [4]
    assert speaks_at(Truncation(window=3, below=0.25), seen) == []


def test_plateau_waits_a_window_for_a_new_best() -> None:
    """Averages 0 .5 .75 .375 .1875 .09375: the best, .75, was reached as the first window closed."""
    fallen = history(correct=[0, 1, 1, 0, 0, 0])
    assert speaks_at(Plateau(window=3), fallen) == [6]
    risen = history(correct=[0, 0, 0, 1, 1, 1])  # 0 0 0 .5 .75 .875
    assert speaks_at(Plateau(window=3), risen) == []
    assert speaks_at(Plateau(window=3, gain=0.875), risen) == [6]
    assert speaks_at(Plateau(window=3), history(correct=[0.5] * 6)) == [6]  # equal is no new best


def test_entropy_ends_below_its_bound() -> None:
    """Window 3: averages .9 .6 .4 .3; what has no record counts as no batch."""
    seen = history(entropy=[0.9, 0.3, None, 0.2, 0.2])
    assert speaks_at(Entropy(window=3, below=0.35), seen) == [5]
    assert speaks_at(Steps(), seen) == []


def test_tokens_end_once_the_budget_is_spent() -> None:
    """Steps of 40 and 60 tokens: the second begins below 100 and reaches it."""
    seen = history(tokens=[40, 100, 160])
    assert speaks_at(Tokens(most=100), seen) == [2, 3]
    assert speaks_at(Tokens(most=101), seen) == [3]
    assert Tokens(most=100).reason(seen[:2]) == "100 tokens were drawn (most 100)"


# -- what is seen ---------------------------------------------------------------------------------


def group(correct: Sequence[float | None], logps: Sequence[tuple[float, ...]], cut: int = 0):
    """A drawn group; answers are as long as their records."""
    verdicts = {1.0: "correct", 0.0: "incorrect", None: "timeout"}
    rows = [
        Completion("p", i, (1,), (7,) * len(row), "", "stop", row, Verdict(verdicts[c], "1"))
        for i, (c, row) in enumerate(zip(correct, logps, strict=True))
    ]
    lengths = tuple(len(row) for row in logps)
    outcome = Outcome(0, "train", tuple(correct), lengths, cut, 0)
    return DrawnGroup("k", outcome, tuple(DrawnRow(row) for row in rows))


def test_a_batch_of_rollouts_is_summed_up_over_answers_and_tokens() -> None:
    """Two groups: three scored answers of four, lengths 2 1 1 4, one cut, and 12 nats over 8 tokens."""
    groups = [
        group([1.0, 0.0], [(-1.0, -2.0), (-3.0,)], cut=1),
        group([1.0, None], [(-2.0,), (-1.0,) * 4]),
    ]
    assert drawn(7, groups) == Drawn(7, 2 / 3, 2.0, 0.25, 1.5, answers=4)
    assert drawn(7, []) == Drawn(7)  # all that was trained on was carried


KINDS = [member.model_fields["kind"].default for member in get_args(get_args(AnyUntil)[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_ten_batches_are_six_a_json_round_trip_and_four(kind: str) -> None:
    """With a window of 8 a rule that forgot would be silent: four batches fill no average."""
    settings = {
        "truncation": {"below": 0.6},
        "entropy": {"below": 3.0},
        "turn-up": {"rise": 0.001, "flat": 1},
        "plateau": {"window": 4, "gain": 0.5},
        "tokens": {"most": 80},
    }
    window = {} if kind in ("steps", "tokens") else {"window": 8}
    given = {"kind": kind, **window, **settings.get(kind, {})}
    rule: Until = TypeAdapter(AnyUntil).validate_python(given)
    noise = random.Random(3)
    batches = [
        [group([1.0, 0.0], [(-noise.random(),) * (4 - i // 2 if i < 7 else 9)] * 2, cut=1)]
        for i in range(10)
    ]
    whole, first, second = Watched(rule), Watched(rule), Watched(rule)
    said = [whole.observe(step, each, 10 * step) for step, each in enumerate(batches)]
    assert [first.observe(step, each, 10 * step) for step, each in enumerate(batches[:6])] == said[
        :6
    ]
    second.restore(json.loads(json.dumps(first.state())))
    assert [second.observe(6 + n, each, 60 + 10 * n) for n, each in enumerate(batches[6:])] == said[
        6:
    ]
    assert second.state() == whole.state()
    assert any(said) == (kind != "steps") and not any(said[:6])
    assert all(each.startswith(f"until {kind}: ") for each in said if each)


# -- the stage ------------------------------------------------------------------------------------


def complaints(**fields: Any) -> list[str]:
    given = {"model": "m", "data": "d", "max_length": 8192, "steps": 40, "batch": 64, **fields}
    return [*Rl.model_validate(given).check()]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"until": {"kind": "turn-up"}}, []),
        ({"until": {"kind": "truncation", "window": 40}}, ["before batch 41 of rollouts, and"]),
        ({"until": {"kind": "plateau", "window": 20}}, ["until.window: the rule says nothing"]),
        # 16 updates from each batch of rollouts leave 3 batches
        ({"until": {"kind": "turn-up"}, "algorithm": {"kind": "dapo"}}, ["and there are 3, so"]),
        (
            {"until": {"kind": "entropy"}, "temperature": 0.6},
            ["temperature: 0.6, but until entropy compares with what the sampler recorded"],
        ),
        (
            {"reference": "@x", "algorithm": {"kind": "grpo"}},
            ["reference: has no effect: the algorithm has no penalty"],
        ),
        ({"reference": "@x", "lora": {"r": 4}}, ["reference: with lora the penalty compares"]),
        ({"reference": "@x"}, []),
    ],
)
def test_what_could_never_act_is_refused(fields: dict[str, Any], said: list[str]) -> None:
    found = complaints(**fields)
    assert len(found) == len(said) and all(w in f for f, w in zip(found, said, strict=True))


def test_a_killed_run_ends_at_the_same_step_for_the_same_reason(finished: Path, tmp_path: Path):
    """The rule needs five batches: after SIGKILL at step 3 it speaks at 5 only if the checkpoint after 2 kept two."""
    late = Setting(
        overrides=(
            "stages.rl.steps=6",
            "stages.rl.save_every=2",
            "stages.rl.until={kind: truncation, window: 4, below: 1.0}",
        ),
        only=("rl",),
    )
    for name in ("whole", "cut"):
        without(finished, tmp_path / name, "rl")
    assert finish(tmp_path / "whole", late) == "done"
    kill_after_step(tmp_path / "cut", late, 3)
    assert finish(tmp_path / "cut", late) == "done"
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    logs = [lines(tmp_path / name / "rl/health.jsonl") for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [row["cause"] for row in logs[0] if row["rule"] == "ended early"] == [
        "ended after step 5 of 6 by its own rules; until truncation: the average share of cut answers is "
        f"{cut_share(tmp_path / 'whole'):.1%}, below 100.0%"
    ]
    assert len(lines(tmp_path / "whole/rl/metrics.jsonl")) == 5
    (table,) = ended_blocks(tmp_path / "whole/rl")
    assert table.rows[0][:2] == (5.0, 6.0)  # pyright: ignore
    assert "* steps: 5" in (tmp_path / "whole/rl/out/README.md").read_text("utf-8")


def cut_share(folder: Path) -> float:
    """The average of the logged shares, by a loop of its own: window 4 moves by 2 / 5."""
    shares = [row["truncated_share"] for row in lines(folder / "rl/metrics.jsonl")]
    average = shares[0]
    for share in shares[1:]:
        average = 3 / 5 * average + 2 / 5 * share
    return average


def test_epochs_too_few_for_a_rule_are_refused_before_a_draw(finished: Path, tmp_path: Path):
    short = Setting(
        overrides=(
            "stages.rl.steps=null",
            "stages.rl.epochs=1",
            "stages.rl.until={kind: turn-up, window: 60}",
        ),
        only=("rl",),
    )
    without(finished, tmp_path / "run", "rl")
    said = finish(tmp_path / "run", short)
    assert "until.window: the rule says nothing before batch 61 of rollouts" in said
    assert not (tmp_path / "run/rl/rollouts.jsonl").exists()


def test_an_unknown_rule_is_told_with_the_others() -> None:
    with pytest.raises(ValueError, match="turn-up"):
        complaints(until={"kind": "turnup"})
