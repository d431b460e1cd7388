"""Every way of learning from rollouts: values and gradients by hand, what they have in common, what they estimate."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from longstep.config import TypeAdapter, ValidationError
from longstep.losses import (
    Algorithm,
    AnyAlgorithm,
    Cispo,
    Dapo,
    DrGrpo,
    Groups,
    Grpo,
    Gspo,
    LightR1,
    LitePpo,
    MaxRl,
    Reinforce,
    ReinforcePlusPlus,
    Rloo,
    Sapo,
    Tokens,
    Whole,
    entropy,
)
from longstep.losses.advantages import group_centred
from longstep.losses.bonuses import AdaptiveEntropy, EntropyBonus
from longstep.losses.corrections import Masked, SequenceTruncated, Truncated
from longstep.losses.penalties import K3, NoPenalty

torch.set_num_threads(1)
NAN = float("nan")
approx = pytest.approx
WHOLE = Whole(sequences=2, tokens=4, longest=5)


def groups(rewards: Any) -> Groups:
    rewards = torch.as_tensor(rewards, dtype=torch.float64)
    one_token = torch.ones_like(rewards, dtype=torch.long)
    return Groups(
        rewards_PG=rewards,
        lengths_PG=one_token,
        values_PGT=torch.zeros_like(rewards).unsqueeze(-1),
        sampled_PGT=one_token.unsqueeze(-1),
    )


def two_by_three() -> Tokens:
    """Answer 1 has 3 tokens and A = 1, answer 2 has 1 token and A = -2; old log-probabilities are -1, padding is NaN."""
    ratios = torch.tensor([[1.0, 1.1, 1.5], [0.9, NAN, NAN]], dtype=torch.float64)
    old = torch.full((2, 3), -1.0, dtype=torch.float64)
    return Tokens(
        logps_BT=(old + ratios.log()).requires_grad_(),
        old_BT=old,
        advantages_BT=torch.tensor([[1.0], [-2.0]], dtype=torch.float64),
        mask_BT=torch.tensor([[1, 1, 1], [1, 0, 0]]),
        ref_BT=old,
        behaviour_BT=old,
    )


def random(lengths: tuple[int, ...] = (4, 2, 1, 3), spread: float = 0.0) -> Tokens:
    """Tokens whose ratios are 1, or ``spread`` around it."""
    make = torch.Generator().manual_seed(0)
    old, noise, ref = (torch.randn(len(lengths), 4, generator=make).double() for _ in range(3))
    return Tokens(
        logps_BT=(old + spread * noise).requires_grad_(),
        old_BT=old,
        advantages_BT=torch.tensor([[1.0], [-0.5], [2.0], [-1.0]]).double(),
        mask_BT=(torch.arange(4) < torch.tensor(lengths).unsqueeze(1)).long(),
        ref_BT=ref,
        behaviour_BT=old,
    )


def gradient(config: Algorithm, tokens: Tokens, total: float | None = None) -> Tensor:
    mask = tokens.mask_BT
    whole = Whole(len(mask), int(mask.sum()), 7)
    loss = config.loss(tokens, config.divisor(whole) if total is None else total).loss
    return torch.autograd.grad(loss, tokens.logps_BT)[0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


#: SAPO's value and slope at the ratios of answer 1 (A = 1, tau 1) and of answer 2 (A = -2, tau 1.05)
GATED = [-4 * sigmoid(r - 1) for r in (1.0, 1.1, 1.5)], 8 / 1.05 * sigmoid(-0.105)
SLOPES = (
    [-4 * r * sigmoid(r - 1) * sigmoid(1 - r) for r in (1.0, 1.1, 1.5)],
    8 * 0.9 * sigmoid(-0.105) * sigmoid(0.105),
)
MEAN = 1.65 ** (1 / 3)  # the geometric mean of 1, 1.1 and 1.5


@pytest.mark.parametrize(
    ("config", "total", "value", "wanted"),
    [
        # -r A: -1, -1.1, -1.5 and 1.8, over two answers
        (Reinforce(), 2, -0.9, [[-0.5, -0.55, -0.75], [0.9, 0, 0]]),
        (MaxRl(), 2, -0.9, [[-0.5, -0.55, -0.75], [0.9, 0, 0]]),
        # the clip at 1.2: -1, -1.1, -1.2 and 1.8, over four tokens
        (LitePpo(), 4, -0.375, [[-0.25, -0.275, 0], [0.45, 0, 0]]),
        (
            ReinforcePlusPlus(penalty=NoPenalty()),
            4,
            -0.375,
            [[-0.25, -0.275, 0], [0.45, 0, 0]],
        ),
        # weights 1, 1.1, 1.2 and -1.8 on log-probabilities -1 + ln r
        (
            Cispo(ceiling=1.2),
            4,
            -(
                -1
                + 1.1 * (math.log(1.1) - 1)
                + 1.2 * (math.log(1.5) - 1)
                - 1.8 * (math.log(0.9) - 1)
            )
            / 4,
            [[-0.25, -0.275, -0.3], [0.45, 0, 0]],
        ),
        # answers' ratios 1.65^(1/3) and 0.9, both within the clip: each of three tokens moves a third
        (
            Gspo(epsilon=0.2, epsilon_high=0.2),
            2,
            (-MEAN + 1.8) / 2,
            [[-MEAN / 6] * 3, [0.9, 0, 0]],
        ),
        # and both beyond the published one: 1.0004, and -2 * 0.9997
        (Gspo(), 2, (-1.0004 + 1.9994) / 2, [[0, 0, 0], [0, 0, 0]]),
        # answers' ratios 1.65 and 0.9: the first is clipped at 1.2
        (Rloo(), 2, 0.3, [[0, 0, 0], [0.9, 0, 0]]),
        (Rloo(epsilon_high=1.0), 2, 0.075, [[-0.825] * 3, [0.9, 0, 0]]),
        # each answer's mean, over two answers
        (
            Sapo(),
            2,
            (sum(GATED[0]) / 3 + GATED[1]) / 2,
            [[slope / 6 for slope in SLOPES[0]], [SLOPES[1] / 2, 0, 0]],
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Algorithm) else "",
)
def test_losses_by_hand(config: Algorithm, total: float, value: float, wanted: list[list[float]]):
    tokens = two_by_three()
    assert config.divisor(WHOLE) == total
    out = config.loss(tokens, total)
    assert out.loss.item() == approx(value)
    assert all(metric.isfinite() for metric in out.metrics.values())
    (found,) = torch.autograd.grad(out.loss, tokens.logps_BT)
    for row, want in zip(found.tolist(), wanted, strict=True):
        assert row == approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("config", "rewards", "want"),
    [
        # mean 3/4 of the batch
        (Reinforce(), [[1, 0], [1, 1]], [[0.25, -0.75], [0.25, 0.25]]),
        (Reinforce(baseline="none"), [[1, 0], [1, NAN]], [[1, 0], [1, 0]]),
        # less the mean of the others: 1 - 4, 2 - 3.5, 6 - 1.5
        (Rloo(), [[1, 2, 6]], [[-3, -1.5, 4.5]]),
        # mean 1/4: 3/4 and -1/4 in units of it; a group without a right answer, and one without a wrong one
        (MaxRl(), [[1, 0, 0, 0], [0] * 4, [1] * 4], [[3, -1, -1, -1], [0] * 4, [0] * 4]),
        (MaxRl(), [[1, 0, NAN]], [[1, -1, 0]]),
        # group means 1/2 and 1; the batch's deviation: sqrt((3/16 + 9/16) / 3) = 1/2
        (LitePpo(), [[1, 0], [1, 1]], [[1, -1], [0, 0]]),
        # all of 1, 0, 1 train, the lonely 1 does not: deviation sqrt(1/2) of the two
        (LitePpo(), [[1, 0], [1, NAN]], [[math.sqrt(0.5), -math.sqrt(0.5)], [0, 0]]),
        # (r - 3/4) / (1/2)
        (ReinforcePlusPlus(), [[1, 0], [1, 1]], [[0.5, -1.5], [0.5, 0.5]]),
        # centred: 1/2, -1/2, 0, 0; deviation sqrt(1/6)
        (
            ReinforcePlusPlus(baseline="group"),
            [[1, 0], [1, 1]],
            [[math.sqrt(1.5), -math.sqrt(1.5)], [0, 0]],
        ),
        (Cispo(), [[1, 0]], [[math.sqrt(0.5), -math.sqrt(0.5)]]),
        (Gspo(), [[1, 0]], [[math.sqrt(0.5), -math.sqrt(0.5)]]),
        (Sapo(), [[1, 0]], [[math.sqrt(0.5), -math.sqrt(0.5)]]),
    ],
)
def test_advantages_by_hand(config: Algorithm, rewards: list[list[float]], want: list[list[float]]):
    values, trains = config.advantages(groups(rewards))
    assert not trains[torch.tensor(rewards).isnan()].any()
    for row, wanted in zip(values.tolist(), want, strict=True):
        assert row == approx(wanted, abs=1e-12, rel=5e-4)  # deviations have 1e-4 added


def kinds() -> list[str]:
    return sorted(TypeAdapter(AnyAlgorithm).json_schema()["discriminator"]["mapping"])


@pytest.mark.parametrize("kind", kinds())
def test_every_member_knows_nothing_and_all_equal(kind: str):
    """No reward at all, or the same for all: no advantage that is not finite, and none but reinforce's that moves."""
    config = TypeAdapter(AnyAlgorithm).validate_python({"kind": kind})
    values, trains = config.advantages(groups([[NAN] * 3, [0.1] * 3, [0.1, NAN, NAN]]))
    assert values.isfinite().all() and not trains[0].any()
    assert (values[~trains] == 0).all() and (values == 0).all()


def test_a_bonus_pulls_towards_even_odds():
    """``dH/dz = -p (log p + H)`` of a softmax, which the loss takes ``weight`` times, over the token mean's divisor."""
    logits = torch.tensor([[[1.0, 0.5, -2.0]], [[0.0, 0.0, 0.0]]]).double().requires_grad_()
    logps = logits.log_softmax(-1)
    tokens = Tokens(
        logps_BT=logps[..., 0],
        old_BT=logps[..., 0].detach(),
        advantages_BT=torch.zeros(2, 1),
        mask_BT=torch.ones(2, 1),
        entropy_BT=entropy(logits),
        entropy_weight=0.3,
    )
    config = Dapo(bonus={"kind": "entropy", "weight": 0.3})
    assert "entropy" in config.needs()
    (found,) = torch.autograd.grad(config.loss(tokens, 2.0).loss, logits)
    h = -(logps.exp() * logps).sum(-1, keepdim=True)
    torch.testing.assert_close(found.float(), (0.3 * logps.exp() * (logps + h) / 2).float())
    assert found[0, 0, 0] > 0 > found[0, 0, 2] and found[1].abs().max() < 1e-7  # even already
    hidden = replace(tokens, mask_BT=torch.tensor([[0], [1]]))
    assert config.loss(hidden, 1.0).loss.item() == approx(-0.3 * math.log(3))


def test_adaptive_entropy_by_hand():
    """Below the target up, above it down, from 0 and never below; what it is then acts in the next step if that is low."""
    config = AdaptiveEntropy(target=0.2, rise=0.25, most=0.5)
    bonus, told = config.build(), []
    for seen in (0.1, 0.1, 0.1, 0.3, 0.1, 0.2, 0.4, 0.4, 0.1):
        bonus.observe(seen)
        told.append((bonus.weight, bonus.metrics()["entropy_coefficient"]))
        again = config.build()
        again.restore(json.loads(json.dumps(bonus.state())))
        assert again == bonus
    assert told == [
        *((0.25, 0.25), (0.5, 0.5), (0.5, 0.5)),
        *((0.0, 0.25), (0.5, 0.5), (0.0, 0.25)),  # at the target is not below it
        *((0.0, 0.0), (0.0, 0.0), (0.25, 0.25)),
    ]
    assert (config.build().weight, EntropyBonus(weight=0.7).build().weight) == (0.0, 0.7)
    found = AdaptiveEntropy()
    assert (found.target, found.rise, found.most, found.start) == (0.2, 1e-4, 0.005, 0.0)


@pytest.mark.parametrize("kind", kinds())
def test_gradients_against_finite_differences(kind: str):
    penalised = {"kind": "k3-unbiased", "beta": 0.3}
    given = {"kind": kind, "penalty": penalised, "correction": {"kind": "truncated"}}
    config = TypeAdapter(AnyAlgorithm).validate_python(given)
    tokens = random(spread=0.3)
    if kind == "cispo":  # its weights have no gradient, so its value is no antiderivative of it
        config = config.model_copy(update={"ceiling": 0.05})

    def loss(logps: Tensor) -> Tensor:
        return config.loss(replace(tokens, logps_BT=logps), 3.0).loss

    assert torch.autograd.gradcheck(loss, tokens.logps_BT)


# -- what they have in common -----------------------------------------------------------------------


def test_gspo_of_one_token_answers_is_grpo():
    tokens = random(lengths=(1, 1, 1, 1), spread=0.5)
    bounds = {"epsilon": 0.1, "epsilon_high": 0.2}
    found = gradient(Gspo(**bounds), tokens)
    torch.testing.assert_close(found, gradient(Grpo(**bounds), tokens))
    assert 0 < (found[:, 0] == 0).sum() < 4  # some are clipped
    torch.testing.assert_close(found, gradient(Rloo(**bounds), tokens))


def test_on_policy_they_differ_by_their_divisors_alone():
    """At ratio 1 the gradient is the sum of A times score, over what each divides by."""
    tokens = random()
    want = -(tokens.advantages_BT * tokens.mask_BT)
    for config, divided in (
        (Dapo(), 10),
        (LitePpo(), 10),
        (ReinforcePlusPlus(penalty=NoPenalty()), 10),
        (Cispo(), 10),
        (DrGrpo(), 4 * 7),
        (Reinforce(), 4),
        (MaxRl(), 4),
        (Rloo(), 4),
    ):
        torch.testing.assert_close(gradient(config, tokens), want / divided)
    each = want / tokens.mask_BT.sum(-1, keepdim=True) / 4
    for config in (Grpo(), LightR1(penalty=NoPenalty()), Gspo(), Sapo()):
        torch.testing.assert_close(gradient(config, tokens), each)


def test_rloo_is_dr_grpo_but_for_one_over_the_others():
    rewards = [[1.0, 0.0, 0.5, 0.0], [1.0, 1.0, NAN, 0.0]]
    rloo = Rloo().advantages(groups(rewards)).values_PG
    centred = DrGrpo().advantages(groups(rewards)).values_PG
    torch.testing.assert_close(rloo[0], centred[0] * 4 / 3)
    torch.testing.assert_close(rloo[1], centred[1] * 3 / 2)


def test_sapo_between_the_plain_ratio_and_nothing():
    tokens = random(spread=0.7)
    ratios = (tokens.logps_BT - tokens.old_BT).detach().exp()
    plain = -(ratios * tokens.advantages_BT * tokens.mask_BT) / (
        4 * tokens.mask_BT.sum(-1, keepdim=True)
    )
    open_wide = Sapo(tau_positive=1e-4, tau_negative=1e-4)
    torch.testing.assert_close(gradient(open_wide, tokens), plain, rtol=1e-6, atol=1e-9)
    shut = Sapo(tau_positive=1e4, tau_negative=1e4)
    assert gradient(shut, tokens).abs().max() < 1e-9
    torch.testing.assert_close(gradient(shut, random()), gradient(Sapo(), random()))  # at ratio 1
    tighter = gradient(Sapo(tau_negative=2.0), tokens).abs() / gradient(Sapo(), tokens).abs()
    wrong = tokens.advantages_BT.expand(4, 4) < 0
    seen = tokens.mask_BT.bool()
    assert (tighter[seen & wrong] < 1).all() and (tighter[seen & ~wrong] == 1).all()


def test_cispo_without_a_ceiling_is_the_unbounded_ratio():
    tokens = random(spread=0.7)
    found = gradient(Cispo(ceiling=1e9), tokens, 4.0)
    torch.testing.assert_close(found, gradient(Reinforce(), tokens, 4.0))
    bounded = gradient(Cispo(ceiling=1.0), tokens, 4.0)
    assert (bounded != 0).equal(tokens.mask_BT.bool())  # no token is cut
    assert (gradient(Dapo(), tokens, 4.0) == 0).sum() > (tokens.mask_BT == 0).sum()


# -- what they estimate -----------------------------------------------------------------------------


def expected(config: Algorithm, logits: Tensor, solved: Tensor, group: int) -> Tensor:
    """Ascent direction of ``config`` over every group of one-token answers, each as often as the policy draws it."""
    logps = logits.log_softmax(-1)
    total = torch.zeros_like(logits)
    for drawn in itertools.product(range(len(logits)), repeat=group):
        picked = torch.tensor(drawn)
        values = config.advantages(groups(solved[picked].unsqueeze(0))).values_PG
        own = logps[picked].unsqueeze(-1)
        tokens = Tokens(
            logps_BT=own,
            old_BT=own.detach(),
            advantages_BT=values.reshape(group, -1),
            mask_BT=torch.ones(group, 1),
        )
        loss = config.loss(tokens, config.divisor(Whole(group, group, 1))).loss
        (down,) = torch.autograd.grad(loss, logits, retain_graph=True)
        total -= logps[picked].sum().exp().detach() * down
    return total


def test_what_the_baselines_leave_of_the_gradient_of_the_expected_reward():
    make = torch.Generator().manual_seed(1)
    logits = torch.randn(3, generator=make).double().requires_grad_()
    reward = torch.tensor([0.0, 1.0, 0.5]).double()
    (want,) = torch.autograd.grad((logits.softmax(-1) * reward).sum(), logits)
    torch.testing.assert_close(expected(Rloo(), logits, reward, 3), want)
    torch.testing.assert_close(expected(Reinforce(baseline="none"), logits, reward, 3), want)
    # A mean that the answer is part of: 1 - 1/3
    torch.testing.assert_close(expected(Reinforce(), logits, reward, 3), want * 2 / 3)
    torch.testing.assert_close(expected(DrGrpo(), logits, reward, 3), want * 2 / 3)


def test_maxrl_follows_the_series_of_the_log_likelihood():
    """``log p = -sum_k (1 - p)^k / k``: groups of N give the gradient of its first N - 1 terms, however small p is."""
    logits = torch.tensor([0.3, -1.5, 0.9]).double().requires_grad_()
    solved = torch.tensor([0.0, 1.0, 0.0]).double()
    for group in (2, 3, 4):
        p = logits.softmax(-1)[1]
        series = sum((-((1 - p) ** k) / k for k in range(1, group)), torch.zeros(()))
        (want,) = torch.autograd.grad(series, logits)
        torch.testing.assert_close(expected(MaxRl(), logits, solved, group), want)


def test_maxrl_refuses_what_would_turn_its_sign():
    any_ = TypeAdapter(AnyAlgorithm)
    with pytest.raises(ValidationError, match=r"as low as -1.*\{kind: correctness\}"):
        any_.validate_python({"kind": "maxrl", "rewards": [{"kind": "correctness", "wrong": -1.0}]})
    with pytest.raises(ValidationError, match="as low as -1"):
        any_.validate_python(
            {"kind": "maxrl", "rewards": [{"kind": "correctness"}, {"kind": "soft-overlong"}]}
        )
    with pytest.raises(ValidationError, match="k1-in-reward makes rewards negative"):
        any_.validate_python({"kind": "maxrl", "penalty": {"kind": "k1-in-reward"}})


def test_published_defaults():
    assert (Gspo().epsilon, Gspo().epsilon_high, Gspo().minibatches) == (3e-4, 4e-4, 4)
    assert (Sapo().tau_positive, Sapo().tau_negative) == (1.0, 1.05)
    assert (Cispo().ceiling, Cispo().minibatches) == (5.0, 16)
    assert (LitePpo().scale_rewards, LitePpo().epsilon_high) == ("batch", 0.2)
    assert (Truncated().cap, Masked().low, Masked().high, SequenceTruncated().cap) == (2, 0.5, 5, 2)
    assert ReinforcePlusPlus().needs() == {"reference", "drift"}
    assert LightR1(correction=Masked()).needs() == {"reference", "behaviour"}
    assert (Dapo().needs(), Dapo(penalty=K3()).needs()) == (set(), {"reference"})
    assert group_centred(torch.tensor([[1.0, 0.0]])).values_PG.tolist() == [[0.5, -0.5]]


def test_reinforce_pp_says_how_its_charge_differs_where_it_charges():
    make = TypeAdapter(AnyAlgorithm).validate_python
    (said,) = make({"kind": "reinforce++"}).lacks()
    assert "KL of all of its tokens" in said
    assert make({"kind": "reinforce++", "penalty": {"kind": "none"}}).lacks() == ()
