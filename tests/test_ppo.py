"""PPO's critic: advantages and value losses by hand, what must hold for any critic, and a run that learns and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from longstep.config import TypeAdapter
from longstep.costs.arithmetic import HALF, TRAINED_BYTES, Holding, state_bytes
from longstep.costs.decoder import Shape
from longstep.losses import (
    Advantages,
    AnyAlgorithm,
    Groups,
    Ppo,
    Reinforce,
    at_the_end,
    carrying,
    gae,
)
from longstep.losses.values import ClippedSquared, Squared
from longstep.models.tiny import build_model
from longstep.optimizers import AdamW
from longstep.stages.rl import Rl
from longstep.training.critic import Critic, explained_variance
from test_algorithms import expected
from test_policy import SPEC, Script, metrics, train

approx = pytest.approx
ONE = torch.ones(1, 3, dtype=torch.long)
REWARDS, VALUES = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.2, 0.5, 0.4]])


def row(*numbers: float) -> Tensor:
    return torch.tensor([numbers])


@pytest.mark.parametrize(
    ("gamma", "lam", "want"),
    [
        # deltas .5 - .2, .4 - .5 and 1 - .4; then -.1 + .95 * .6 and .3 + .95 * .47
        (1.0, 0.95, (0.7465, 0.47, 0.6)),
        (1.0, 1.0, (0.8, 0.5, 0.6)),  # the return less the value
        (1.0, 0.0, (0.3, -0.1, 0.6)),  # the deltas
        # .9 * .5 - .2, .9 * .4 - .5, .6; then -.14 + .45 * .6 and .25 + .45 * .13
        (0.9, 0.5, (0.3085, 0.13, 0.6)),
    ],
)
def test_gae_by_hand(gamma: float, lam: float, want: tuple[float, ...]):
    assert gae(REWARDS, VALUES, ONE, gamma, lam)[0].tolist() == approx(want)
    # A given beginning, a given middle and padding are no steps: whatever stands there is not looked at.
    mask = torch.tensor([[0, 1, 0, 1, 1, 0]])
    rewards, values = row(9, 0, 9, 0, 1, 9), row(7, 0.2, 7, 0.5, 0.4, 7)
    found = gae(rewards, values, mask, gamma, lam)[0].tolist()
    assert found == approx([0, want[0], 0, *want[1:], 0])


def test_the_reward_stands_on_the_last_token_of_the_policy():
    mask = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    placed = at_the_end(torch.tensor([2.0, 3.0, 4.0]), mask)
    assert placed.tolist() == [[0, 0, 2, 0], [0, 0, 0, 3], [0, 0, 0, 0]]


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_a_critic_that_knows_leaves_nothing_and_one_that_says_nothing_leaves_the_return(lam: float):
    make = torch.Generator().manual_seed(0)
    mask = (torch.arange(5) < torch.tensor([[5], [2], [3]])).long()
    rewards = torch.randn(3, generator=make)
    knows = rewards.unsqueeze(1).expand(3, 5)
    at_end = at_the_end(rewards, mask)
    assert gae(at_end, knows, mask, 1.0, lam).abs().max() < 1e-6
    silent = gae(at_end, torch.zeros(3, 5), mask, 1.0, 1.0)
    torch.testing.assert_close(silent, knows * mask)


def valued(rewards: list[list[float]], values: Tensor, sampled: Tensor) -> Groups:
    known = torch.tensor(rewards)
    return Groups(
        rewards_PG=known,
        lengths_PG=torch.ones_like(known, dtype=torch.long),
        values_PGT=values,
        sampled_PGT=sampled,
    )


def test_advantages_and_targets_of_a_batch():
    """Two answers of two tokens and one, a third that cannot be scored; lambdas 1 for the critic and 0 for the policy."""
    values = torch.tensor([[[0.5, 0.25], [0.1, 9.0], [0.3, 0.3]]])
    sampled = torch.tensor([[[1, 1], [1, 0], [1, 1]]])
    given = valued([[1.0, 0.0, float("nan")]], values, sampled)
    plain = Ppo(lam=0.0, critic={"lam": 1.0}, normalise="none")
    found, trains = plain.advantages(given)
    assert found[0, 0].tolist() == approx([-0.25, 0.75]) and found[0, 1].tolist() == approx(
        [-0.1, 0]
    )
    assert found[0, 2].tolist() == [0, 0] and trains.tolist() == [[True, True, False]]
    targets = plain.targets(given)
    assert targets[0, 0].tolist() == approx([1, 1]) and targets[0, 1, 0] == approx(0)
    # Of -.25, .75 and -.1: mean .1333, deviation .5392 with divisor 2
    scaled = Ppo(lam=0.0).advantages(given).values_PG
    assert scaled[0, 0].tolist() == approx([-0.7109, 1.1436], abs=1e-3)
    assert scaled[0, 1].tolist() == approx([-0.4327, 0], abs=1e-3) and scaled[0, 2].sum() == 0


def test_what_a_critic_says_takes_nothing_from_the_expected_gradient():
    """With lambda 1 a value is a baseline that the token does not move: the gradient is REINFORCE's, with less noise."""
    logits = torch.tensor([0.3, -1.5, 0.9]).double().requires_grad_()
    reward = torch.tensor([0.0, 1.0, 0.5]).double()
    want = expected(Reinforce(baseline="none"), logits, reward, 2)

    class Believing(Ppo):
        """PPO whose critic always says 0.7."""

        def advantages(self, groups: Groups):
            shape = (*groups.rewards_PG.shape, 1)
            believed = torch.full(shape, 0.7).double()
            rewards = groups.rewards_PG.tolist()
            return super().advantages(valued(rewards, believed, torch.ones(shape).long()))

    found = expected(Believing(lam=1.0, normalise="none"), logits, reward, 2)
    torch.testing.assert_close(found, want)


def test_value_losses_by_hand():
    values, old, targets = row(0.5, 0.9, 0.1), row(0.4, 0.4, 0.4), row(1.0, 1.0, 1.0)
    assert Squared().each(values, old, targets)[0].tolist() == approx([0.125, 0.005, 0.405])
    # within .2 of the old one; held at .6, so .16 / 2; held at .2, but .1 is farther from the target
    found = ClippedSquared().each(values.requires_grad_(), old, targets)
    assert found[0].tolist() == approx([0.125, 0.08, 0.405])
    (slope,) = torch.autograd.grad(found.sum(), values)
    assert slope[0].tolist() == approx([-0.5, 0.0, -0.9])  # beyond the bound nothing pulls on


def test_explained_variance():
    targets, mask = row(0.0, 1.0, 5.0), torch.tensor([[1, 1, 0]])
    assert explained_variance(targets, targets, mask) == 1.0
    assert explained_variance(row(0.3, 0.3, 9.0), targets, mask) == approx(0.0)
    assert explained_variance(row(1.0, 0.0, 0.0), targets, mask) == approx(-3.0)
    assert explained_variance(row(0.1, 0.2, 0.0), row(1.0, 1.0, 0.0), mask) is None


def test_how_many_answers_carry_the_gradient():
    def share(values: Any, trains: Any) -> dict[str, float]:
        return carrying(Advantages(torch.tensor(values), torch.tensor(trains)))

    everyone = [[True, True], [True, True]]
    assert share([[1.0, -1.0], [1.0, -1.0]], everyone)["effective_answers"] == 4
    # (3 + 1)^2 / (9 + 1), and an answer that cannot be scored is none of those
    assert share([[3.0, -1.0], [0.0, 0.0]], everyone)["effective_answer_share"] == approx(0.4)
    assert share([[3.0, 0.0]], [[True, False]]) == {
        "effective_answers": 1,
        "effective_answer_share": 1,
    }
    assert share([[0.0, 0.0]], [[True, True]])["effective_answers"] == 0
    # with a value for each token an answer weighs their sum: 2 and 2
    assert share([[[1.0, -1.0], [2.0, 0.0]]], [[True, True]])["effective_answers"] == 2


def test_a_critic_reads_what_is_before_a_token_and_nothing_after():
    model = build_model(SPEC, 0)
    critic = Critic(model)
    ids, attended = torch.tensor([[8, 9, 10, 11, 12]]), torch.ones(1, 5, dtype=torch.long)
    assert critic(ids, attended, 3).tolist() == [[0, 0, 0]]
    torch.nn.init.normal_(critic.head.weight)
    before = critic(ids, attended, 3)
    later = critic(torch.tensor([[8, 9, 10, 11, 20]]), attended, 3)
    assert before.shape == (1, 3) and torch.equal(before, later)  # the last token has no say
    other = critic(torch.tensor([[8, 9, 10, 20, 12]]), attended, 3)
    assert torch.equal(before[:, :2], other[:, :2]) and not torch.equal(before[:, 2], other[:, 2])
    last = model.base_model(ids).last_hidden_state[:, 3]
    torch.testing.assert_close(before[:, 2], critic.head(last).squeeze(-1))
    with torch.no_grad():  # it is a copy
        next(critic.trunk.parameters()).add_(1.0)
    assert not torch.equal(next(critic.trunk.parameters()), next(model.base_model.parameters()))


LEARNING: dict[str, Any] = {
    "kind": "ppo",
    "minibatches": 1,
    "critic": {"optimizer": {"kind": "adamw", "lr": 0.02}, "loss": {"kind": "squared"}, "lam": 1.0},
}


def ppo(**critic: Any) -> Any:
    given = {**LEARNING, "critic": {**LEARNING["critic"], **critic}}
    return TypeAdapter(AnyAlgorithm).validate_python(given)


def test_ten_steps_are_six_and_four_more_with_a_critic_that_learns_first(tmp_path: Path):
    """The critic alone learns in the first four steps: the policy is not even decayed, and then it moves."""
    settings: dict[str, Any] = {"save_every": 2, "optimizer": AdamW(lr=1e-2, weight_decay=0.1)}
    want = train(tmp_path / "a", ppo(warmup=4), Script(), 10, **settings)
    rows = metrics(tmp_path / "a")
    assert rows[-1]["value_loss"] < 0.5 * rows[0]["value_loss"]
    assert abs(rows[0]["explained_variance"]) < 1e-6 < rows[3]["explained_variance"]
    assert not any("grad_norm" in each for each in rows[:4])
    assert all(each["grad_norm"] > 0 for each in rows[4:])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", ppo(warmup=4), Script(broken_at=6), 10, **settings)
    assert torch.equal(train(tmp_path / "b", ppo(warmup=4), Script(), 10, **settings), want)
    told = [[each["value_loss"] for each in metrics(tmp_path / name)] for name in "ab"]
    assert told[0] == told[1]
    start = torch.cat([p.detach().flatten() for p in build_model(SPEC, 0).parameters()])
    still = train(tmp_path / "c", ppo(warmup=4), Script(), 4, **settings)
    assert torch.equal(still, start) and not torch.equal(want, start)


def test_parts_of_a_batch_teach_the_critic_what_the_whole_does(tmp_path: Path):
    train(tmp_path / "whole", ppo(), Script(frozenset({5})), 2)
    train(tmp_path / "parts", ppo(), Script(frozenset({5})), 2, micro_batch=2)
    for one, other in zip(metrics(tmp_path / "whole"), metrics(tmp_path / "parts"), strict=True):
        assert one["value_loss"] == approx(other["value_loss"], rel=1e-4)
        assert one["entropy"] == approx(other["entropy"], rel=1e-4)
    # Before its first update it says 0, so its loss is half the mean of squared rewards, each as often as it has tokens.
    drawn = Script(frozenset({5}))(0, 8)
    pairs = zip(drawn["shaped"], drawn["completion_ids"], strict=True)
    known = [(reward, len(ids)) for reward, ids in pairs if reward is not None]
    want = sum(r * r * n for r, n in known) / sum(n for _, n in known) / 2
    assert metrics(tmp_path / "whole")[0]["value_loss"] == approx(want, rel=1e-5)


def test_a_plan_counts_the_critic():
    shape = Shape(layers=2, width=8, inner=16, heads=2, kv_heads=1, vocab=10, tied=True)
    alone, both = (state_bytes(shape, Holding(1, 1.0, False, critic=has)) for has in (False, True))
    assert both - alone == shape.parameters * TRAINED_BYTES + HALF * shape.held_matrices


def test_the_stage_says_in_words_what_a_critic_cannot_do():
    given = {"model": "m", "data": "d", "steps": 1, "batch": 8, "max_length": 64, "max_tokens": 8}
    stage = Rl(**given, algorithm={"kind": "ppo"})
    assert [*stage.check()] == [] and [*stage.refusals(1, False)] == []
    for processes, sharded in ((2, False), (1, True)):
        (said,) = (each for each in stage.refusals(processes, sharded) if "critic" in each)
        assert said == "algorithm ppo trains its critic in one process; start one, without shards"
    critic = {"kind": "ppo", "critic": {"warmup": 1}}
    (said,) = Rl(**given, algorithm=critic).check()
    assert said.startswith("algorithm.critic.warmup: in the first 1 steps the critic alone learns")
    assert [*Rl(**{**given, "steps": 2}, algorithm=critic).check()] == []
    (lacking,) = Ppo(penalty={"kind": "k1-in-reward"}).lacks()
    assert "charged at its end" in lacking and Ppo().lacks() == ()
    adapters = Rl(**given, algorithm={"kind": "ppo"}, lora={"r": 2})
    assert [*adapters.check()] == [
        "lora: ppo trains a whole critic beside the model; leave lora out"
    ]
    hinted = Rl(
        **given, unthinking=0.5, guide={"kind": "expert"}, by={"kind": "model", "model": "m"}
    )
    said = [each for each in hinted.check() if each.startswith("unthinking")]
    assert said == [
        "unthinking: who draws asks in one mode; leave by out, or set by.thinking",
        "unthinking: guide expert gives its help as a thought; leave one of them out",
    ]
