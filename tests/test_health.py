"""Every health rule fires when it should, and is silent on a healthy run."""

import json
from dataclasses import replace

import pytest

from longstep.rl.health import Health, HealthConfig, StepStats

HEALTHY = StepStats(
    step=0,
    grad_norm=0.8,
    truncated_share=0.1,
    zero_variance_share=0.3,
    unparseable_share=0.05,
    unscorable_share=0.0,
    duplicate_share=0.1,
    entropy=0.6,
    kl=0.01,
    mean_length=200.0,
)


def run(stats: StepStats, steps: int = 3, **config: object) -> list:
    """One healthy step, then the same bad step again and again."""
    health = Health(HealthConfig.model_validate(config))
    notes = health.observe(HEALTHY)
    for step in range(1, steps + 1):
        notes += health.observe(replace(stats, step=step))
    return notes


def test_healthy_run_is_silent():
    assert run(HEALTHY, steps=50, strict=True) == []
    assert run(StepStats(step=0), steps=5, strict=True) == []  # nothing measured, nothing said


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("all-truncated", {"truncated_share": 1.0}),
        ("truncated", {"truncated_share": 0.6}),
        ("no-signal", {"zero_variance_share": 1.0}),
        ("zero-variance", {"zero_variance_share": 0.9}),
        ("small-batch", {"effective_group_share": 0.1}),
        ("few-answers", {"effective_answer_share": 0.01}),
        ("sure-where-right", {"entropy_right": 0.01}),
        ("critic", {"explained_variance": -0.2}),
        ("short-batch", {"short": "1 mixed group in 2 draws"}),
        ("zero-gradient", {"grad_norm": 0.0}),
        ("unparseable", {"unparseable_share": 0.7}),
        ("unscorable", {"unscorable_share": 0.01}),
        ("duplicates", {"duplicate_share": 0.9}),
        ("low-entropy", {"entropy": 0.001}),
        ("high-entropy", {"entropy": 3.0}),
        ("kl", {"kl": 2.0}),
        ("short", {"mean_length": 20.0}),
        ("long", {"mean_length": 1000.0}),
        ("large-gradient", {"grad_norm": 1e4}),
    ],
)
def test_rule_fires_once_at_the_third_step(rule, changes):
    notes = [note for note in run(replace(HEALTHY, **changes), steps=9) if note.rule == rule]
    assert [note.step for note in notes] == [3]
    assert notes[0].cause and notes[0].remedy and notes[0].level != "stop"
    assert not [n for n in run(replace(HEALTHY, **changes), steps=2) if n.rule == rule]


def test_groups_without_signal_are_told_apart():
    hard = replace(HEALTHY, zero_variance_share=0.9, all_right_share=0.15, all_wrong_share=0.7)
    (note,) = run(hard)
    assert note.cause == "90 % of groups teach nothing (15 % all right, 70 % all wrong)"
    # Nothing drawn, so nothing left to train on: said once. No answer carries anything: the groups say so.
    assert run(replace(hard, effective_group_share=0.1, effective_answer_share=0.0)) == [note]


@pytest.mark.parametrize(
    "changes", [{"loss_finite": False}, {"grad_norm": float("nan")}, {"kl": float("inf")}]
)
def test_not_finite_stops_at_once_even_when_not_strict(changes):
    (note,) = (n for n in run(replace(HEALTHY, **changes), steps=1) if n.rule == "finite")
    assert (note.step, note.level) == (1, "stop")


def test_strict_stops_with_the_sentence_of_the_report():
    notes = run(replace(HEALTHY, truncated_share=1.0), strict=True)
    assert any(str(n).startswith("HEALTH stop: 100 % of completions truncated") for n in notes)
    # a note stays a note: only serious rules stop
    assert {n.level for n in run(replace(HEALTHY, truncated_share=0.6), strict=True)} == {"note"}


def test_one_good_step_starts_the_count_again():
    health = Health()
    bad = replace(HEALTHY, grad_norm=0.0)
    pattern = [bad, bad, HEALTHY, bad, bad, bad, HEALTHY, bad, bad, bad]
    told = [bool(health.observe(replace(s, step=i))) for i, s in enumerate(pattern)]
    assert [i for i, t in enumerate(told) if t] == [5, 9]


def test_state_survives_a_checkpoint():
    health, bad = Health(), replace(HEALTHY, mean_length=20.0)
    health.observe(HEALTHY)
    health.observe(bad)
    health.observe(bad)
    again = Health()
    again.restore(json.loads(json.dumps(health.state())))
    assert [note.rule for note in again.observe(bad)] == ["short"]


def test_a_batch_of_rollouts_is_judged_once_however_many_steps_train_on_it():
    health = Health(HealthConfig())
    said = []
    for step in range(12):  # four steps for each of three batches, all of them cut
        stats = replace(HEALTHY, step=step, rollout=step // 4, truncated_share=1.0, kl=2.0)
        said += [(note.step, note.rule) for note in health.observe(stats)]
    # The third batch comes with step 8; KL is of each step, and so counted by steps.
    assert said == [(2, "kl"), (8, "all-truncated"), (8, "truncated")]
