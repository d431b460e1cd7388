"""Penalties and corrections: the gradient that each one has in expectation, and weights by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from longstep.config import TypeAdapter
from longstep.losses import Algorithm, AnyAlgorithm, Groups, Grpo, Reinforce, Tokens, Whole
from longstep.losses.corrections import Correction, Masked, SequenceTruncated, Truncated
from longstep.losses.penalties import K2, K3, AnyPenalty, K1InReward, K3Unbiased, Penalty

torch.set_num_threads(1)
NAN = float("nan")
#: How often each of three one-token answers comes in a batch of eight: exactly what the sampler's policy expects.
COUNTS = (1, 2, 5)
DRAWN = [answer for answer, count in enumerate(COUNTS) for _ in range(count)]
OLD = (torch.tensor(COUNTS).double() / 8).log()
REF = torch.tensor([0.5, 0.3, 0.2]).double().log()


def batch(config: Algorithm, logits: Tensor) -> Tensor:
    """The loss of one batch, in which every answer is worth nothing but what the penalty takes."""
    own = logits.log_softmax(-1)[DRAWN].unsqueeze(-1)
    old, ref = OLD[DRAWN].unsqueeze(-1), REF[DRAWN].unsqueeze(-1)
    zero = torch.zeros(2, 4).double()
    groups = Groups(rewards_PG=zero, lengths_PG=torch.ones(2, 4), drift_PG=(old - ref).view(2, 4))
    values = config.advantages(config.penalty.charged(groups)).values_PG
    tokens = Tokens(
        logps_BT=own,
        old_BT=old,
        advantages_BT=values.view(8, 1),
        mask_BT=torch.ones(8, 1),
        ref_BT=ref,
    )
    return config.loss(tokens, config.divisor(Whole(8, 8, 1))).loss


def slope(config: Algorithm, at: Tensor) -> Tensor:
    logits = at.clone().requires_grad_()
    return torch.autograd.grad(batch(config, logits), logits)[0]


def reverse_kl(logits: Tensor) -> Tensor:
    """KL(policy || reference)."""
    logps = logits.log_softmax(-1)
    return (logps.exp() * (logps - REF)).sum()


def forward_kl(logits: Tensor) -> Tensor:
    """KL(reference || policy)."""
    return (REF.exp() * (REF - logits.log_softmax(-1))).sum()


def differences(of: Any, at: Tensor) -> Tensor:
    """The gradient by central differences."""
    step = 1e-5
    return torch.stack(
        [(of(at + d) - of(at - d)) / (2 * step) for d in step * torch.eye(3).double()]
    )


@pytest.mark.parametrize(
    ("penalty", "divergence"),
    [
        (K1InReward(beta=1.0), reverse_kl),
        (K2(beta=1.0), reverse_kl),
        (K3(beta=1.0), forward_kl),
        (K3Unbiased(beta=1.0), reverse_kl),
    ],
    ids=lambda value: value.kind if isinstance(value, Penalty) else "",
)
def test_the_gradient_of_a_penalty_is_that_of_its_divergence(penalty: Any, divergence: Any):
    config = Reinforce(penalty=penalty, baseline="none")
    torch.testing.assert_close(slope(config, OLD), differences(divergence, OLD), atol=1e-8, rtol=0)
    # By hand: p (log(p / q) - KL) for the reverse one, p - q for the forward one
    p, q = OLD.exp(), REF.exp()
    by_hand = p * (OLD - REF - reverse_kl(OLD)) if divergence is reverse_kl else p - q
    torch.testing.assert_close(slope(config, OLD), by_hand)
    # The baseline of the batch shrinks what passes through the reward, and nothing else.
    shrunk = 7 / 8 if isinstance(penalty, K1InReward) else 1
    if shrunk == 1:
        torch.testing.assert_close(slope(Reinforce(penalty=penalty), OLD), by_hand)


def test_only_k3_unbiased_and_the_reward_keep_their_divergence_off_policy():
    """Answers of the policy ``OLD``, and a policy that has moved on."""
    moved = torch.tensor([0.4, -0.2, 0.1]).double()
    want = differences(reverse_kl, moved)
    found = slope(Reinforce(penalty=K3Unbiased(beta=1.0)), moved)
    torch.testing.assert_close(found, want, atol=1e-8, rtol=0)
    for penalty, kl in ((K2(beta=1.0), reverse_kl), (K3(beta=1.0), forward_kl)):
        off = slope(Reinforce(penalty=penalty), moved) - differences(kl, moved)
        assert off.abs().max() > 0.05


def test_k1_in_reward_by_hand():
    groups = Groups(
        rewards_PG=torch.tensor([[1.0, 0.0, NAN]]),
        lengths_PG=torch.ones(1, 3),
        drift_PG=torch.tensor([[2.0, -1.0, 5.0]]),
    )
    penalty = K1InReward(beta=0.1)
    charged = penalty.charged(groups).rewards_PG
    assert charged[0, :2].tolist() == pytest.approx([0.8, 0.1]) and charged[0, 2].isnan()
    assert penalty.needs() == {"reference", "drift"} and K2().needs() == {"reference"}
    assert K3().charged(groups) is groups
    with pytest.raises(ValueError, match="drift_PG"):
        penalty.charged(Groups(rewards_PG=groups.rewards_PG, lengths_PG=groups.lengths_PG))


@pytest.mark.parametrize(
    "kind", sorted(TypeAdapter(AnyPenalty).json_schema()["discriminator"]["mapping"])
)
def test_every_penalty_logs_the_same_kl(kind: str):
    given = {"kind": kind} if kind == "none" else {"kind": kind, "beta": 0.5}
    config = Grpo(penalty=TypeAdapter(AnyPenalty).validate_python(given))
    one = torch.ones(1, 1)
    tokens = Tokens(
        logps_BT=torch.tensor([[-2.0]]),
        old_BT=torch.tensor([[-2.0]]),
        advantages_BT=one,
        mask_BT=one,
        ref_BT=torch.tensor([[-1.0]]),
    )
    out = config.loss(tokens, 1.0)
    # log(ref / policy) = 1: k3 = e - 2, k2 = 1/2; the surrogate costs -1
    added = {"k2": 0.25, "k3": 0.5 * (torch.e - 2), "k3-unbiased": 0.5 * (torch.e - 2)}
    assert out.loss.item() == pytest.approx(-1 + added.get(kind, 0.0), abs=1e-6)
    if kind == "none":
        assert "kl" not in out.metrics
    else:
        assert out.metrics["kl"].item() == pytest.approx(torch.e - 2)


# -- corrections ------------------------------------------------------------------------------------


def corrected(correction: Correction) -> tuple[float, dict[str, Tensor]]:
    """Trainer over sampler 1, 3, 1/4 in one answer and 6 in another; advantages 1 and 10; tokens padded with NaN."""
    ratios = torch.tensor([[1.0, 3.0, 0.25], [6.0, NAN, NAN]]).double()
    old = torch.full((2, 3), -1.0).double()
    config = Reinforce(correction=correction)  # type: ignore[arg-type]
    tokens = Tokens(
        logps_BT=old,
        old_BT=old,
        advantages_BT=torch.tensor([[1.0], [10.0]]).double(),
        mask_BT=torch.tensor([[1, 1, 1], [1, 0, 0]]),
        behaviour_BT=old - ratios.log(),
    )
    out = config.loss(tokens, 1.0)
    return -out.loss.item(), out.metrics


@pytest.mark.parametrize(
    ("correction", "worth", "mean", "bounded"),
    [
        (Truncated(), 1 + 2 + 0.25 + 10 * 2, 5.25 / 4, 2 / 4),
        (Truncated(cap=10), 1 + 3 + 0.25 + 60, 10.25 / 4, 0),
        (Masked(), 1 + 3 + 0 + 0, 4 / 4, 2 / 4),
        (Masked(low=0.2, high=6.5), 1 + 3 + 0.25 + 60, 10.25 / 4, 0),
        # the first answer's ratio is 3/4, for each of its tokens; the second's is capped
        (SequenceTruncated(), 3 * 0.75 + 20, 4.25 / 4, 1 / 4),
    ],
)
def test_corrections_by_hand(correction: Any, worth: float, mean: float, bounded: float):
    found, metrics = corrected(correction)
    assert found == pytest.approx(worth)
    assert metrics["correction_mean"].item() == pytest.approx(mean)
    assert metrics["correction_bounded"].item() == pytest.approx(bounded)


@pytest.mark.parametrize("kind", ["none", "truncated", "masked", "sequence"])
def test_where_sampler_and_trainer_agree_nothing_is_corrected(kind: str):
    make = torch.Generator().manual_seed(0)
    logps, old, ref = (torch.randn(2, 3, generator=make) for _ in range(3))
    unknown = torch.where(torch.tensor([[True, False, True]]), old, torch.tensor(NAN))
    for member in ("grpo", "gspo", "cispo", "rloo"):
        plain = TypeAdapter(AnyAlgorithm).validate_python(
            {"kind": member, "penalty": {"kind": "k3", "beta": 0.1}}
        )
        config = plain.model_copy(
            update={
                "correction": type(plain)
                .model_validate({"kind": member, "correction": {"kind": kind}})
                .correction
            }
        )
        for recorded in (old, unknown):  # what nobody sampled is left as it is
            tokens = Tokens(
                logps_BT=logps,
                old_BT=old,
                advantages_BT=torch.tensor([[1.0], [-1.0]]),
                mask_BT=torch.tensor([[1, 1, 1], [1, 1, 0]]),
                ref_BT=ref,
                behaviour_BT=recorded,
            )
            assert torch.equal(config.loss(tokens, 2.0).loss, plain.loss(tokens, 2.0).loss)


def test_a_correction_needs_what_the_sampler_recorded():
    assert Grpo(correction=Truncated()).needs() == {"behaviour"}
    assert Grpo(correction=Masked(), penalty=K3()).needs() == {"behaviour", "reference"}
    one = torch.zeros(1, 1)
    tokens = Tokens(logps_BT=one, old_BT=one, advantages_BT=one, mask_BT=one + 1)
    with pytest.raises(ValueError, match="behaviour_BT"):
        Grpo(correction=Truncated()).loss(tokens, 1.0)


def test_a_weight_for_the_whole_answer_is_unbiased_and_one_for_each_token_is_not():
    """All answers of two binary tokens, each as often as the sampler draws it, against the trainer's own expectation."""
    trainer = torch.tensor([[0.2, -0.5], [0.7, 0.1], [-0.3, 0.4]]).double().requires_grad_()
    sampler = torch.tensor([[0.0, 0.3], [-0.4, 0.2], [0.5, 0.0]]).double().log_softmax(-1)
    reward = torch.tensor([1.0, 0.0, 0.3, 2.0]).double()  # of 00, 01, 10, 11
    answers = list(itertools.product((0, 1), repeat=2))

    def rows(table: Tensor) -> Tensor:
        return torch.stack(
            [torch.stack([table[0, first], table[1 + first, second]]) for first, second in answers]
        )

    own, drawn = rows(trainer.log_softmax(-1)), rows(sampler)
    (want,) = torch.autograd.grad((own.sum(-1).exp() * reward).sum(), trainer, retain_graph=True)
    often = drawn.sum(-1).exp()

    def found(correction: Any) -> Tensor:
        config = Reinforce(correction=correction, baseline="none")
        tokens = Tokens(
            logps_BT=own,
            old_BT=own.detach(),
            # how often an answer comes, multiplied in
            advantages_BT=(reward * often).unsqueeze(-1),
            mask_BT=torch.ones(4, 2),
            behaviour_BT=drawn,
        )
        return -torch.autograd.grad(config.loss(tokens, 1.0).loss, trainer, retain_graph=True)[0]

    torch.testing.assert_close(found(SequenceTruncated(cap=1e9)), want)
    assert (found(Truncated(cap=1e9)) - want).abs().max() > 0.01
