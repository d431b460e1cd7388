"""Our losses against TRL's own loss code on the same tensors.

TRL's methods are called on a stand-in that holds only the settings they read; its arithmetic is untouched.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from trl import DPOConfig, GRPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.utils import nanstd, selective_log_softmax

import longstep
from longstep.losses import (
    Cispo,
    Dapo,
    Dpo,
    DrGrpo,
    Grpo,
    Gspo,
    LightR1,
    LitePpo,
    Nca,
    ReinforcePlusPlus,
    Rloo,
    Sapo,
    Tokens,
    Whole,
    batch_scaled,
    group_normalised,
    token_logps,
)
from longstep.losses.corrections import Masked, SequenceTruncated, Truncated
from longstep.losses.penalties import K3, K3Unbiased, NoPenalty

pytestmark = pytest.mark.equality
torch.set_num_threads(1)
B, T, LONGEST = 4, 6, 9


#: The same losses in TRL's words: this referee is all that is left of them.
TRL = {
    "grpo": {"loss_type": "grpo"},
    "light-r1": {"loss_type": "grpo"},
    "dapo": {"loss_type": "dapo"},
    "dr-grpo": {"loss_type": "dr_grpo"},
    "lite-ppo": {"loss_type": "dapo"},
    "reinforce++": {"loss_type": "dapo"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "cispo": {"loss_type": "cispo"},
    "sapo": {"loss_type": "sapo"},
    "dpo": {"loss_type": ["sigmoid"]},
    "nca": {"loss_type": ["nca_pair"]},
}


def trl(config):
    """One of our configs as keywords of TRL's config classes."""
    shared = {name: name for name in ("epsilon", "epsilon_high", "delta", "beta", "scale_rewards")}
    shared |= {
        "ceiling": "epsilon_high",
        "tau_positive": "sapo_temperature_pos",
        "tau_negative": "sapo_temperature_neg",
    }
    fields = config.model_dump()
    penalty = fields.pop("penalty", {"kind": "none"})
    words = {shared[name]: value for name, value in fields.items() if name in shared}
    if penalty["kind"] in ("k3", "k3-unbiased"):
        unbiased = penalty["kind"] == "k3-unbiased"
        words |= {"beta": penalty["beta"], "use_bias_correction_kl": unbiased}
    return TRL[config.kind] | words


def same(values):
    return values


ACCELERATOR = SimpleNamespace(
    reduce=lambda values, reduction: values,
    gather=same,
    gather_for_metrics=same,
    num_processes=1,
    device=torch.device("cpu"),
)


class Metrics(dict):
    """TRL appends to whatever name it likes."""

    def __missing__(self, name):
        return self.setdefault(name, [])


def trl_policy_loss(words, tokens, tmp_path, **corrected):
    """TRL's loss with ``words`` as its settings, and what it logs; ``corrected`` are ratios to what a sampler said."""
    logps, mask = tokens.logps_BT, tokens.mask_BT
    args = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **words)
    trainer = SimpleNamespace(
        args=args,
        beta=args.beta,
        epsilon_low=args.epsilon,
        epsilon_high=args.epsilon_high,
        loss_type=args.loss_type,
        max_completion_length=LONGEST,
        model=SimpleNamespace(training=False),
        importance_sampling_level=args.importance_sampling_level,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        use_vllm=bool(corrected),  # its name for "somebody else sampled"
        vllm_importance_sampling_correction=True,
        current_gradient_accumulation_steps=1,
        accelerator=ACCELERATOR,
        _entropy_bonus_enabled=False,
        _metrics={"train": Metrics(), "eval": Metrics()},
        _get_per_token_logps_and_entropies=lambda *_, **__: (logps, torch.zeros(B, T), None),
    )
    inputs = {
        "prompt_ids": torch.zeros(B, 2, dtype=torch.long),
        "prompt_mask": torch.ones(B, 2, dtype=torch.long),
        "completion_ids": torch.zeros(B, T, dtype=torch.long),
        "completion_mask": mask,
        "advantages": tokens.advantages_BT.squeeze(-1),
        "old_per_token_logps": tokens.old_BT,
        "ref_per_token_logps": tokens.ref_BT,
        "num_items_in_batch": mask.sum(),
        **corrected,
    }
    return GRPOTrainer._compute_loss(trainer, trainer.model, inputs), trainer._metrics["eval"]


@pytest.mark.parametrize(
    "config",
    [
        Grpo(),
        Grpo(penalty=K3(beta=0.05), delta=2.5),
        LightR1(),
        Dapo(),
        Dapo(penalty=K3(beta=0.1)),
        Dapo(penalty=K3Unbiased(beta=0.1)),
        DrGrpo(),
        DrGrpo(delta=2.0),
        LitePpo(),
        ReinforcePlusPlus(penalty=NoPenalty()),
        Gspo(),
        Gspo(epsilon=0.5, epsilon_high=0.9),
        Cispo(ceiling=1.5),
        Sapo(),
        Sapo(tau_positive=0.3, tau_negative=4.0, penalty=K3Unbiased(beta=0.2)),
    ],
    ids=lambda config: f"{config.kind}-{config.penalty.kind}",
)
def test_policy_loss_value_and_gradient(config, tmp_path):
    make = torch.Generator().manual_seed(3)
    old, noise, ref = (torch.randn(B, T, generator=make) for _ in range(3))
    logps = (old + noise).requires_grad_()  # ratios from about 0.1 to 10: every clip is reached
    mask = (torch.arange(T) < torch.tensor([[6], [3], [1], [5]])).long()
    advantages = torch.tensor([1.5, -0.7, 0.4, -2.0])
    tokens = Tokens(
        logps_BT=logps,
        old_BT=old,
        advantages_BT=advantages.unsqueeze(-1),
        mask_BT=mask,
        ref_BT=ref,
    )
    theirs, their_metrics = trl_policy_loss(trl(config), tokens, tmp_path)
    ours = config.loss(tokens, config.divisor(Whole(B, int(mask.sum()), LONGEST)))
    torch.testing.assert_close(ours.loss, theirs, atol=1e-6, rtol=1e-5)
    (ours_grad,) = torch.autograd.grad(ours.loss, logps, retain_graph=True)
    (their_grad,) = torch.autograd.grad(theirs, logps)
    torch.testing.assert_close(ours_grad, their_grad, atol=1e-6, rtol=1e-5)
    if "clip_ratio/high_mean" in their_metrics:  # the comparison reached the clip
        assert their_metrics["clip_ratio/high_mean"][0] > 0 or config.kind == "gspo"
    # With delta TRL counts after its own bound, and with gspo answers instead of tokens.
    if config.kind != "gspo" and config.model_dump().get("delta", 0) is None:
        high, low = ours.metrics["clipped_high"].item(), ours.metrics["clipped_low"].item()
        assert high == pytest.approx(their_metrics["clip_ratio/high_mean"][0])
        assert low == pytest.approx(their_metrics["clip_ratio/low_mean"][0])
    if config.penalty.kind == "k3":
        assert ours.metrics["kl"].item() == pytest.approx(their_metrics["kl"][0], rel=1e-5)


@pytest.mark.parametrize("config", [Rloo(), Rloo(epsilon=0.9, epsilon_high=20.0)])
def test_rloo_value_and_gradient(config):
    make = torch.Generator().manual_seed(6)
    old, noise = (torch.randn(B, T, generator=make) for _ in range(2))
    logps = (old + 0.5 * noise).requires_grad_()
    mask = (torch.arange(T) < torch.tensor([[6], [3], [1], [5]])).long()
    advantages = torch.tensor([1.5, -0.7, 0.4, -2.0])
    trainer = SimpleNamespace(
        epsilon_low=config.epsilon,
        epsilon_high=config.epsilon_high,
        model=SimpleNamespace(training=False),
        aux_loss_enabled=False,
        accelerator=ACCELERATOR,
        _metrics={"train": Metrics(), "eval": Metrics()},
        _get_per_token_logps_and_entropies=lambda *_, **__: (logps, torch.zeros(B, T), None),
    )
    inputs = {
        "prompt_ids": torch.zeros(B, 2, dtype=torch.long),
        "prompt_mask": torch.ones(B, 2, dtype=torch.long),
        "completion_ids": torch.zeros(B, T, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_logps": (old * mask).sum(-1),
    }
    theirs = RLOOTrainer._compute_loss(trainer, trainer.model, inputs)
    tokens = Tokens(
        logps_BT=logps, old_BT=old, advantages_BT=advantages.unsqueeze(-1), mask_BT=mask
    )
    ours = config.loss(tokens, config.divisor(Whole(B, int(mask.sum()), LONGEST)))
    torch.testing.assert_close(ours.loss, theirs, atol=1e-6, rtol=1e-5)
    (ours_grad,) = torch.autograd.grad(ours.loss, logps, retain_graph=True)
    (their_grad,) = torch.autograd.grad(theirs, logps)
    torch.testing.assert_close(ours_grad, their_grad, atol=1e-6, rtol=1e-5)
    assert ours_grad.abs().max() > 0


@pytest.mark.parametrize("mode", ["truncated", "masked", "sequence"])
def test_a_correction_weighs_as_trl_does(mode, tmp_path):
    """TRL is handed the ratios, bounded by its own rules, and multiplies them in."""
    make = torch.Generator().manual_seed(7)
    old, noise, off, ref = (torch.randn(B, T, generator=make) for _ in range(4))
    logps = (old + noise).requires_grad_()
    mask = (torch.arange(T) < torch.tensor([[6], [3], [1], [5]])).long()
    tokens = Tokens(
        logps_BT=logps,
        old_BT=old,
        advantages_BT=torch.tensor([[1.5], [-0.7], [0.4], [-2.0]]),
        mask_BT=mask,
        ref_BT=ref,
        behaviour_BT=old - off,
    )
    masked = off * mask
    correction, ratios = {
        "truncated": (Truncated(cap=1.5), masked.exp().clamp(max=1.5)),
        "masked": (Masked(low=0.5, high=2.0), masked.exp()),
        "sequence": (
            SequenceTruncated(cap=3.0),
            masked.sum(-1, keepdim=True).exp().clamp(max=3.0),
        ),
    }[mode]
    if mode == "masked":
        ratios = ratios.masked_fill((ratios < 0.5) | (ratios > 2.0), 0.0)
    config = Grpo(correction=correction, penalty=K3(beta=0.1))
    theirs, _ = trl_policy_loss(trl(config), tokens, tmp_path, importance_sampling_ratio=ratios)
    ours = config.loss(tokens, float(B))
    torch.testing.assert_close(ours.loss, theirs, atol=1e-6, rtol=1e-5)
    (ours_grad,) = torch.autograd.grad(ours.loss, logps, retain_graph=True)
    (their_grad,) = torch.autograd.grad(theirs, logps)
    torch.testing.assert_close(ours_grad, their_grad, atol=1e-6, rtol=1e-5)
    assert ours.metrics["correction_bounded"].item() > 0


def trl_preference_loss(config, logps, ref, mask, tmp_path):
    args = DPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **trl(config))
    zeros = torch.zeros_like(logps)
    outputs = SimpleNamespace(
        log_probs=logps, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
    )
    trainer = SimpleNamespace(
        args=args,
        beta=args.beta,
        loss_types=args.loss_type,
        loss_weights=[1.0],
        ld_alpha=None,
        f_divergence_type="reverse_kl",
        use_weighting=False,
        model=SimpleNamespace(training=False),
        precompute_ref_logps=True,
        aux_loss_enabled=False,
        accelerator=ACCELERATOR,
        _metrics={"train": Metrics(), "eval": Metrics()},
        _total_train_tokens=0,
    )
    reference = (ref * mask).sum(-1)
    half = len(logps) // 2
    inputs = {
        "input_ids": torch.zeros(len(logps), logps.size(1) + 1, dtype=torch.long),
        "attention_mask": torch.ones(len(logps), logps.size(1) + 1, dtype=torch.long),
        "completion_mask": torch.cat([torch.zeros(len(mask), 1, dtype=torch.long), mask], dim=1),
        "ref_chosen_logps": reference[:half],
        "ref_rejected_logps": reference[half:],
    }

    return DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, return_outputs=False)


@pytest.mark.parametrize("config", [Dpo(), Dpo(beta=0.7), Nca(), Nca(beta=0.01)])
def test_preference_loss_value_and_gradient(config, tmp_path):
    make = torch.Generator().manual_seed(4)
    mask = (torch.arange(T) < torch.tensor([[6], [3], [4], [5]])).long()
    ref = torch.randn(4, T, generator=make)
    logps = ((ref + 0.5 * torch.randn(4, T, generator=make)) * mask).requires_grad_()
    # TRL's fused head gives 0 where nothing is supervised
    theirs = trl_preference_loss(config, logps * mask, ref, mask, tmp_path)
    ratios = ((logps - ref) * mask).sum(-1)
    ours = config.loss(ratios[:2], ratios[2:], 2.0).loss
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    (ours_grad,) = torch.autograd.grad(ours, logps, retain_graph=True)
    (their_grad,) = torch.autograd.grad(theirs, logps)
    torch.testing.assert_close(ours_grad, their_grad, atol=1e-6, rtol=1e-5)


def test_advantages_with_unscorable_rewards():
    nan = float("nan")
    rewards = torch.tensor([[1.0, 0, 0, 1], [1, nan, 0, 0], [0.2, -1, nan, 0.3]])
    mean = rewards.nanmean(dim=1, keepdim=True)
    theirs = ((rewards - mean) / (nanstd(rewards, dim=1, keepdim=True) + 1e-4)).nan_to_num(0.0)
    torch.testing.assert_close(group_normalised(rewards).values_PG, theirs, atol=1e-6, rtol=1e-5)
    # Its ``scale_rewards="batch"``: Lite PPO's
    theirs = ((rewards - mean) / (nanstd(rewards) + 1e-4)).nan_to_num(0.0)
    torch.testing.assert_close(batch_scaled(rewards).values_PG, theirs, atol=1e-6, rtol=1e-5)


def test_token_logps():
    make = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 5, 40, generator=make)
    ids = torch.randint(40, (2, 5), generator=make)
    theirs = selective_log_softmax(logits / 0.6, ids)
    torch.testing.assert_close(token_logps(logits, ids, 0.6), theirs, atol=1e-5, rtol=1e-5)


def test_no_code_of_ours_says_a_loss_in_trls_words():
    """A second form of a loss is one that may train while the other is tested."""
    package = Path(longstep.__file__).parent
    assert [p for p in package.rglob("*.py") if "trl(" in p.read_text("utf-8")] == []
