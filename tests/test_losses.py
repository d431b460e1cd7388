"""Losses and advantages against values and gradients worked out by hand."""

import math
import subprocess
import sys

import pytest
import torch

from longstep.config import TypeAdapter, ValidationError
from longstep.losses import (
    AnyAlgorithm,
    AnyPreferenceLoss,
    Dapo,
    Dpo,
    DrGrpo,
    Groups,
    Grpo,
    LightR1,
    Nca,
    Tokens,
    Whole,
    batch_centred,
    clipped_surrogate,
    entropy,
    group_centred,
    group_normalised,
    k1,
    k2,
    k3,
    leave_one_out,
    next_token,
    soft_target_kl,
    token_logps,
)
from longstep.losses.penalties import K3
from longstep.losses.rewards import Graded, shaped_reward
from patience import PATIENCE

torch.set_num_threads(1)
NAN = float("nan")
approx = pytest.approx


def tokens(logps, old, advantages, mask, ref=None):
    """One advantage per sequence."""
    return Tokens(
        logps_BT=logps,
        old_BT=old,
        advantages_BT=advantages.unsqueeze(-1),
        mask_BT=mask,
        ref_BT=ref,
    )


def groups(rewards):
    return Groups(rewards_PG=rewards, lengths_PG=torch.ones_like(rewards, dtype=torch.long))


# -- advantages -------------------------------------------------------------------------------------


def test_group_normalised_by_hand():
    # rewards 1 0 0 0: mean 1/4, unbiased variance (9/16 + 3/16) / 3 = 1/4, sd 1/2: 3/2 and -1/2
    values = group_normalised(torch.tensor([[1.0, 0, 0, 0]]), eps=0.0).values_PG
    assert values.tolist()[0] == approx([1.5, -0.5, -0.5, -0.5])
    # with eps 1/2 the divisor is 1
    assert group_normalised(torch.tensor([[1.0, 0, 0, 0]]), eps=0.5).values_PG[0, 0].item() == 0.75


def test_unscorable_samples_leave_the_group():
    rewards = torch.tensor([[1.0, NAN, 0.0, NAN], [1.0, NAN, NAN, NAN], [NAN] * 4])
    for method in (group_centred, group_normalised, leave_one_out):
        values, trains = method(rewards)
        assert trains.tolist() == [[True, False, True, False], [False] * 4, [False] * 4]
        assert (values[~trains] == 0).all() and values.isfinite().all()
    # of 1 and 0: mean 1/2, sd sqrt(1/2): +-0.7071
    pair = group_normalised(rewards, eps=0.0).values_PG[0, [0, 2]]
    assert pair.tolist() == approx([math.sqrt(0.5), -math.sqrt(0.5)])


def test_equal_rewards_give_exactly_zero():
    rewards = torch.full((1, 7), 0.1)  # the rounded mean of seven 0.1 is not 0.1
    for method in (group_centred, group_normalised, leave_one_out):
        assert (method(rewards).values_PG == 0).all()


def test_leave_one_out_is_the_reward_minus_the_mean_of_the_others():
    rewards = torch.tensor([[1.0, 2.0, 6.0]])
    # 1 - 4, 2 - 3.5, 6 - 1.5
    assert leave_one_out(rewards).values_PG.tolist()[0] == approx([-3.0, -1.5, 4.5])
    centred = group_centred(rewards).values_PG
    assert leave_one_out(rewards).values_PG.tolist()[0] == approx((centred * 3 / 2).tolist()[0])


def test_batch_mean_baseline():
    # the mean of 1, 0, 1, 1 over both groups is 3/4
    values = batch_centred(torch.tensor([[1.0, 0.0], [1.0, 1.0]])).values_PG
    assert values.tolist() == [[0.25, -0.75], [0.25, 0.25]]


# -- policy losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "delta", "want"),
    [
        (10.0, -1.0, None, 10.0),  # min(-10, -1.2) = -10
        (10.0, -1.0, 3.0, 3.0),  # min(-3, -1.2)
        (1.5, 1.0, None, -1.2),  # min(1.5, 1.2)
        (1.5, 1.0, 3.0, -1.2),
        (0.5, -1.0, None, 0.8),  # min(-0.5, -0.8)
        (0.5, -1.0, 3.0, 0.8),
        (0.5, 1.0, 3.0, -0.5),  # min(0.5, 0.8): no clip helps a probability back up
    ],
)
def test_surrogate_by_hand(ratio, advantage, delta, want):
    config = Grpo(delta=delta)
    loss = clipped_surrogate(torch.tensor([[ratio]]), torch.tensor([advantage]), config)
    assert loss.item() == approx(want)


def test_clip_higher():
    ratios = torch.tensor([[1.25, 1.5]])
    assert clipped_surrogate(ratios, torch.ones(1), Grpo()).tolist()[0] == approx([-1.2, -1.2])
    assert clipped_surrogate(ratios, torch.ones(1), Dapo()).tolist()[0] == approx([-1.25, -1.28])


def two_by_three():
    """Sequence 1 has 3 tokens and A = 1, sequence 2 has 1 token and A = -2; padding is NaN."""
    ratios = torch.tensor([[1.0, 1.1, 1.5], [0.9, NAN, NAN]], dtype=torch.float64)
    old = torch.full((2, 3), -1.0, dtype=torch.float64)
    logps = (old + ratios.log()).requires_grad_()
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    return logps, old, torch.tensor([1.0, -2.0], dtype=torch.float64), mask


# Token losses: -1, -1.1, -1.2 (clipped) and 1.8. d loss / d logp = -ratio A where not clipped: -1, -1.1, 0, 1.8.
@pytest.mark.parametrize(
    ("config", "total", "value", "gradient"),
    [
        # mean of (-3.3 / 3) and 1.8: 0.35; gradients / 3 / 2 and / 1 / 2
        (Grpo(), 2, 0.35, [[-1 / 6, -1.1 / 6, 0], [0.9, 0, 0]]),
        # (-3.3 + 1.8) / 4 with the clip at 1.2; all gradients / 4
        (Dapo(epsilon_high=0.2), 4, -0.375, [[-0.25, -0.275, 0], [0.45, 0, 0]]),
        # the same sum over 2 sequences x 5 tokens
        (DrGrpo(), 10, -0.15, [[-0.1, -0.11, 0], [0.18, 0, 0]]),
    ],
)
def test_policy_losses_by_hand(config, total, value, gradient):
    logps, old, advantages, mask = two_by_three()
    assert config.divisor(Whole(sequences=2, tokens=4, longest=5)) == total
    out = config.loss(tokens(logps, old, advantages, mask), total)
    out.loss.backward()
    assert out.loss.item() == approx(value)
    for row, want in zip(logps.grad.tolist(), gradient, strict=True):
        assert row == approx(want)
    assert out.metrics["clipped_high"].item() == approx(1 / 4)
    assert out.metrics["clipped_low"].item() == 0
    assert out.metrics["ratio_max"].item() == approx(1.5)


@pytest.mark.parametrize(
    "config", [LightR1(), Dapo(penalty=K3(beta=0.1)), DrGrpo(penalty=K3(beta=0.3), delta=2.0)]
)
def test_gradients_against_finite_differences(config):
    make = torch.Generator().manual_seed(0)
    old, logps, ref = (torch.randn(3, 4, generator=make).double() for _ in range(3))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])

    def loss(x):
        advantages = torch.tensor([1.0, -2.0, 3.0]).double()
        return config.loss(tokens(x, old, advantages, mask, ref), 12.0).loss

    assert torch.autograd.gradcheck(loss, logps.requires_grad_())


def test_kl_term_by_hand():
    # ref / policy = 2: k3 = 2 - 1 - ln 2 = 0.30685; ratio 1 and A = 1 give -1; loss -1 + 0.5 * k3
    logps = torch.tensor([[math.log(0.3)]])
    ref = torch.tensor([[math.log(0.6)]])
    out = Grpo(penalty=K3(beta=0.5)).loss(
        tokens(logps, logps, torch.ones(1), torch.ones(1, 1), ref), 1.0
    )
    assert out.loss.item() == approx(-1 + 0.5 * (1 - math.log(2)))
    assert out.metrics["kl"].item() == approx(1 - math.log(2))
    with pytest.raises(ValueError, match="ref_BT"):
        Grpo(penalty=K3(beta=0.5)).loss(tokens(logps, logps, torch.ones(1), torch.ones(1, 1)), 1.0)


def test_on_policy_grpo_is_reinforce_with_a_group_baseline():
    make = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 3, 5, generator=make).double().requires_grad_()
    ids = torch.randint(5, (4, 3), generator=make)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]]).double()
    config = DrGrpo()
    advantages = config.advantages(groups(rewards)).values_PG.flatten()
    logps = logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    got = torch.autograd.grad(
        config.loss(tokens(logps, logps.detach(), advantages, mask), 4.0).loss,
        logits,
        retain_graph=True,
    )[0]
    # REINFORCE: the score of each sequence times (reward - group mean), averaged over the 4 sequences
    want = torch.autograd.grad(
        -((logps * mask).sum(-1) * (rewards[0] - rewards.mean())).mean(), logits
    )[0]
    torch.testing.assert_close(got, want)


def test_kl_estimators_on_a_categorical():
    """The table of ``losses/kl.py`` by exact expectation over five outcomes."""
    make = torch.Generator().manual_seed(2)
    logits = torch.randn(5, generator=make).double().requires_grad_()
    ref = torch.randn(5, generator=make).double().log_softmax(-1)
    logps = logits.log_softmax(-1)
    probs = logps.detach().exp()
    reverse = (logps.exp() * (logps - ref)).sum()
    forward = (ref.exp() * (ref - logps)).sum()

    def gradient(value):
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    def expected(estimator):  # sampled from the policy, the sampling detached
        return gradient((probs * estimator(logps, ref)).sum())

    torch.testing.assert_close(expected(k1), torch.zeros(5).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(expected(k2), gradient(reverse))
    torch.testing.assert_close(expected(k3), gradient(forward))
    assert not torch.allclose(gradient(forward), gradient(reverse), atol=1e-2)
    for estimator in (k1, k3):  # both are unbiased in value
        assert (probs * estimator(logps, ref)).sum().item() == approx(reverse.item())


def test_settings_are_the_vetted_ones():
    policy = TypeAdapter(AnyAlgorithm)
    dapo = policy.validate_python({"kind": "dapo"})
    assert (dapo.epsilon, dapo.epsilon_high, dapo.minibatches) == (0.2, 0.28, 16)
    assert (dapo.penalty.kind, dapo.correction.kind) == ("none", "none")
    # right and within 80 % of the longest: 1; wrong and cut: -1 - 1
    score = lambda right, length: shaped_reward(dapo.rewards, Graded(right, length, 20480))  # noqa: E731
    assert (score(1.0, 16384), score(0.0, 20480), score(1.0, 18432)) == (1.0, -2.0, 0.5)
    assert (dapo.gate.kind, dapo.gate.limit, dapo.lacks()) == ("mixed", 10, ())
    light = policy.validate_python({"kind": "light-r1"})
    assert (light.delta, light.penalty, light.minibatches, light.lacks()) == (3.0, K3(), 1, ())
    assert light.gate.kind == "all"
    assert light.penalty.beta == 0.001
    assert [each.kind for each in light.rewards] == ["clipped-cosine"]
    assert (light.needs(), dapo.needs()) == ({"reference"}, set())
    assert policy.validate_python({"kind": "dr-grpo"}).scale_rewards == "none"
    assert TypeAdapter(AnyPreferenceLoss).validate_python({"kind": "nca"}).beta == 0.3
    with pytest.raises(ValidationError, match="must exceed 1"):
        Grpo(delta=1.1)
    with pytest.raises(ValidationError, match=r"penalty: \{kind: k3, beta: 0.04\}"):
        policy.validate_python({"kind": "grpo", "beta": 0.04})


def test_importing_the_configs_does_not_import_torch():
    names = "longstep.losses, longstep.losses.rewards, longstep.merge, longstep.rl.health"
    code = f"import sys, {names}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


# -- offline losses ---------------------------------------------------------------------------------


def test_next_token_is_a_mean_over_tokens():
    logps = torch.tensor([[-1.0, -2.0, -3.0], [-8.0, NAN, NAN]], requires_grad=True)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    loss = next_token(logps, mask).loss
    assert loss.item() == 3.5  # (1 + 2 + 3 + 8) / 4, and not (2 + 8) / 2
    loss.backward()
    assert logps.grad.tolist() == [[-0.25] * 3, [-0.25, 0, 0]]


def test_dpo_by_hand():
    # beta 0.5: rewards 1 and -1, -log sigmoid(2) = log(1 + e^-2) = 0.126928; slope -beta sigmoid(-2)
    chosen, rejected = (torch.tensor([x], requires_grad=True) for x in (2.0, -2.0))
    out = Dpo(beta=0.5).loss(chosen, rejected, 1.0)
    out.loss.backward()
    assert out.loss.item() == approx(0.126928, abs=1e-6)
    assert chosen.grad.item() == approx(-0.5 / (1 + math.e**2))
    assert rejected.grad.item() == approx(0.5 / (1 + math.e**2))
    assert [v.item() for v in out.metrics.values()] == [1.0, -1.0, 1.0, 2.0]
    assert Dpo().loss(torch.zeros(3), torch.zeros(3), 3.0).loss.item() == approx(math.log(2))


def test_nca_at_zero_and_at_its_optimum():
    chosen, rejected = (torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    out = Nca(beta=1.0).loss(chosen, rejected, 1.0)
    out.loss.backward()
    assert out.loss.item() == approx(2 * math.log(2))
    assert (chosen.grad.item(), rejected.grad.item()) == (approx(-0.25), approx(0.25))

    def slope(reward):  # 1.5 sigmoid(reward) - 1, zero at ln 2
        point = torch.tensor([reward / 0.3], dtype=torch.float64, requires_grad=True)
        loss = Nca().loss(point, torch.zeros(1, dtype=torch.float64), 1.0).loss
        return torch.autograd.grad(loss, point)[0].item() / 0.3

    assert slope(math.log(2)) == approx(0, abs=1e-12)
    assert slope(0.5) < 0 < slope(0.9)
    assert slope(3.0) == approx(1.5 / (1 + math.exp(-3)) - 1)


def test_soft_target_kl_by_hand():
    # policy (1/2, 1/4, 1/4); target 1/2 on token 0 and 1/2 on token 2: 1/2 ln 1 + 1/2 ln 2
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().requires_grad_()
    ids, weights = torch.tensor([[0, 2, 0]]), torch.tensor([[0.5, 0.5, 0.0]])
    loss = soft_target_kl(logits, ids, weights).loss
    loss.backward()
    assert loss.item() == approx(0.5 * math.log(2))
    # d / d logits = policy - target
    assert logits.grad.tolist()[0] == approx([0.0, 0.25, -0.25])
    same = soft_target_kl(
        logits.detach(), torch.tensor([[0, 1, 2]]), torch.tensor([[0.5, 0.25, 0.25]])
    )
    assert same.loss.item() == approx(0, abs=1e-7)


def test_token_logps_and_entropy():
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0], [float("-inf"), 5.0]]])
    ids = torch.tensor([[1, 0, 1]])
    # temperature 1: 3/4, 1/2, 1; temperature 1/2 squares the odds: 9/10
    assert token_logps(logits, ids).exp().tolist()[0] == approx([0.75, 0.5, 1.0])
    assert token_logps(logits, ids, temperature=0.5)[0, 0].exp().item() == approx(0.9)
    want = [-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), math.log(2), 0.0]
    assert entropy(logits).tolist()[0] == approx(want)
    big = torch.randn(2, 7, 11, dtype=torch.bfloat16)
    picks = torch.randint(11, (2, 7))
    assert torch.equal(token_logps(big, picks, chunk=3), token_logps(big, picks))
    assert torch.equal(entropy(big, chunk=2), entropy(big))
