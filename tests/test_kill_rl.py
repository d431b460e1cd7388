"""SIGKILL in reinforcement learning with members of every family that keep something: the run goes on to equal bytes.

Each member's own round trip through JSON is in ``test_curriculum``, ``test_rollouts`` and ``test_until``, which go
through the lists; ``test_kill`` has the plainest combination, the curriculum alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstep.training.checkpoints import latest, step_of
from short_recipe import Setting, contents, finish, kill_after_step, lines, without

TIMES = ("seconds", "step_time")
#: Ten steps are five batches of rollouts, if the rule lets it. Killed after step 5, a run has the checkpoint after step 4.
COMBINATIONS = {
    # Ratings, a surplus that waits, hints at their own weight, a rule with a memory, several updates of each row.
    "adcl, mixed, egsr, plateau, dapo": {
        "curriculum": "{kind: adcl, batches: 9, samples: 2}",
        "gate": "{kind: mixed, refill: whole, hopeless: keep}",
        "guide": '{kind: egsr, template: "{answer}{solution}{prompt}", copies: take}',
        "until": "{kind: plateau, window: 2}",
        "algorithm": "{kind: dapo, minibatches: 2, penalty: {kind: k3}, correction: {kind: truncated}, "
        "bonus: {kind: adaptive-entropy, target: 5.0}}",
    },
    # Posteriors, two rounds, given answers, a critic with an optimiser of its own and its moving target.
    "mopps, screen, expert, truncation, ppo": {
        "curriculum": "{kind: mopps}",
        "gate": "{kind: screen, first: 2, limit: 3, refill: whole, trains: later}",
        "guide": "{kind: expert, when: always}",
        "until": "{kind: truncation, window: 2, below: 0.0001}",
        "algorithm": "{kind: ppo, minibatches: 2, critic: {warmup: 1}}",
    },
}
FILES = {"curriculum.json", "gate.json", "guide.json", "until.json", "rollouts.json", "health.json"}


def setting(members: dict[str, str]) -> Setting:
    given = {**members, "steps": "10", "save_every": "2", "group": "4", "batch": "8"}
    return Setting(tuple(f"stages.rl.{key}={each}" for key, each in given.items()), ("rl",))


@pytest.mark.parametrize("named", COMBINATIONS)
def test_a_kill_changes_no_byte(finished: Path, tmp_path: Path, named: str) -> None:
    ours = setting(COMBINATIONS[named])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        without(finished, folder, "rl")
    assert finish(whole, ours) == "done"
    kill_after_step(cut, ours, 5)
    checkpoint = latest(cut / "rl/checkpoints")
    assert checkpoint is not None and step_of(checkpoint) == 4
    states = {path.name: json.loads(path.read_text()) for path in checkpoint.glob("*.json")}
    assert states.keys() >= FILES and all(states[name] for name in FILES)
    assert finish(cut, ours) == "done"

    assert contents(cut) == contents(whole)
    for log in ("metrics", "rollouts", "health"):  # no line lost, none doubled
        rows = [
            [
                {key: each for key, each in row.items() if key not in TIMES}
                for row in lines(folder / f"rl/{log}.jsonl")
            ]
            for folder in (whole, cut)
        ]
        assert rows[0] == rows[1] and rows[0]
    last = lines(whole / "rl/metrics.jsonl")[-1]
    assert last["step"] > 5 and last["tokens/guided"] + last["guide/taken"] > 0
