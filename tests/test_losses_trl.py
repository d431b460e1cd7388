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
from trl.trainer.utils import nanstd, selective_log_softmax

import longstep
from longstep.losses import (
    Dapo,
    Dpo,
    DrGrpo,
    Grpo,
    LightR1,
    Nca,
    Tokens,
    Whole,
    group_normalised,
    token_logps,
)

pytestmark = pytest.mark.equality
torch.set_num_threads(1)
B, T, LONGEST = 4, 6, 9


#: The same losses in TRL's words: this referee is all that is left of them.
TRL = {
    "grpo": {"loss_type": "grpo"},
    "light-r1": {"loss_type": "grpo"},
    "dapo": {"loss_type": "dapo"},
    "dr-grpo": {"loss_type": "dr_grpo"},
    "dpo": {"loss_type": ["sigmoid"]},
    "nca": {"loss_type": ["nca_pair"]},
}


def trl(config):
    """One of our configs as keywords of TRL's config classes."""
    shared = ("epsilon", "epsilon_high", "delta", "beta", "scale_rewards")
    return TRL[config.kind] | {
        name: value for name, value in config.model_dump().items() if name in shared
    }


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


def trl_policy_loss(words, tokens, tmp_path):
    """TRL's loss with ``words`` as its settings, and what it logs."""
    logps, mask = tokens.logps_BT, tokens.mask_BT
    # TRL would multiply k3 by the ratio, which turns its gradient into the reverse KL's.
    words = {"use_bias_correction_kl": False, **words}
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
        use_vllm=False,
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
    }
    return GRPOTrainer._compute_loss(trainer, trainer.model, inputs), trainer._metrics["eval"]


@pytest.mark.parametrize(
    "config",
    [
        Grpo(),
        Grpo(beta=0.05, delta=2.5),
        LightR1(),
        Dapo(),
        Dapo(beta=0.1),
        DrGrpo(),
        DrGrpo(delta=2.0),
    ],
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
    assert their_metrics["clip_ratio/high_mean"][0] > 0  # the comparison reached the clip
    if config.delta is None:  # with delta TRL counts after its own bound
        high, low = ours.metrics["clipped_high"].item(), ours.metrics["clipped_low"].item()
        assert high == pytest.approx(their_metrics["clip_ratio/high_mean"][0])
        assert low == pytest.approx(their_metrics["clip_ratio/low_mean"][0])
    if config.beta:
        assert ours.metrics["kl"].item() == pytest.approx(their_metrics["kl"][0], rel=1e-5)


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
