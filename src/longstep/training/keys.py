"""The names TRL's config classes accept, from a list shipped beside the package.

``plan`` refuses a misspelt ``trainer:`` key of the last stage before the first stage starts, also where TRL is not
installed; where it is, importing it would cost many seconds. TRL is pinned to a minor version, and so are its names:
``tests/test_trl_seams.py`` compares the list with the classes, and writes it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Literal

from longstep.config import nearest

Trainer = Literal["sft", "dpo", "grpo"]

#: Keys longstep sets itself, with the place where a user sets them.
OWNED: dict[str, str] = {
    "output_dir": "the run folder (--out)",
    "seed": "the recipe's seed",
    "data_seed": "the recipe's seed",
    "max_steps": "steps",
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch and micro_batch",
    "gradient_accumulation_steps": "batch and micro_batch",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "optim": "optimizer.kind",
    "lr_scheduler_type": "schedule",
    "warmup_steps": "warmup",
    "warmup_ratio": "warmup",
    "max_grad_norm": "clip",
    "max_length": "max_length",
    "save_steps": "save_every",
    "save_strategy": "save_every",
    "logging_steps": "log_every",
    "packing": "packing",
    "padding_free": "packing",
    "dataset_kwargs": "nothing: rows arrive as token ids",
    "shuffle_dataset": "nothing: the order of rows is longstep's",
    "num_iterations": "iterations",
    "steps_per_generation": "algorithm.minibatches",
    "generation_batch_size": "batch and algorithm.minibatches",
    "save_total_limit": "nothing: two checkpoints are kept, so that one is always whole",
    "load_best_model_at_end": "select",
    "eval_strategy": "select",
    "use_vllm": "nothing: rollouts come from longstep's own engine, which the curriculum needs",
    "model_init_kwargs": "nothing: longstep loads the model",
    "report_to": "trackers at the top of the recipe",
    "remove_unused_columns": "nothing: rows carry what the loss reads",
    "loss_type": "loss.kind or algorithm.kind",
    "beta": "loss.beta or algorithm.penalty",
    "epsilon": "algorithm.epsilon",
    "epsilon_high": "algorithm.epsilon_high",
    "delta": "algorithm.delta",
    "scale_rewards": "algorithm.scale_rewards",
    "importance_sampling_level": "algorithm: {kind: gspo}",
    "sapo_temperature_neg": "algorithm.tau_negative",
    "sapo_temperature_pos": "algorithm.tau_positive",
    "use_bias_correction_kl": "algorithm.penalty: {kind: k3-unbiased}",
    "num_generations": "group",
    "max_completion_length": "max_tokens",
    "temperature": "temperature",
    "top_p": "nothing: reinforcement learning samples from the whole distribution",
    "resume_from_checkpoint": "nothing: the same command continues by itself",
    "push_to_hub": "nothing: longstep never uploads",
    "trust_remote_code": "nothing: remote code is never executed",
    "adam_beta1": "optimizer.betas",
    "adam_beta2": "optimizer.betas",
    "adam_epsilon": "optimizer.eps",
    "optim_args": "optimizer",
    "optim_target_modules": "optimizer",
    "auto_find_batch_size": "micro_batch",
    "ignore_data_skip": "nothing: a resumed run sees the rows that follow",
    "save_only_model": "nothing: a run resumed without its optimiser's state is another run",
    "train_sampling_strategy": "nothing: the order of rows is longstep's",
    **dict.fromkeys(
        (
            "cache_implementation",
            "generation_kwargs",
            "min_p",
            "repetition_penalty",
            "top_k",
            "use_transformers_continuous_batching",
            "use_transformers_paged",
        ),
        "nothing: rollouts come from longstep's own engine, which draws from the policy as it is",
    ),
    **dict.fromkeys(
        (
            "discopop_tau",
            "entropy_coef",
            "entropy_coef_delta",
            "entropy_coef_max",
            "entropy_coef_min",
            "entropy_target",
            "f_alpha_divergence_coef",
            "f_divergence_type",
            "label_smoothing",
            "ld_alpha",
            "loss_weights",
            "multi_objective_aggregation",
            "off_policy_mask_threshold",
            "reward_weights",
            "top_entropy_quantile",
            "use_adaptive_entropy",
            "use_weighting",
            "vespo_k_neg",
            "vespo_k_pos",
            "vespo_lambda_neg",
            "vespo_lambda_pos",
        ),
        "a loss of your own: TRL's losses do not train here",
    ),
}


def elsewhere() -> dict[str, str]:
    """For each key that longstep sets itself: what to do about it, when it is written as a key of the stage."""
    passed = accepted("sft") | accepted("dpo") | accepted("grpo")
    return {key: f"trainer.{key}" for key in passed} | {
        key: place if re.fullmatch(r"[a-z_.]+", place) else _instead(key)
        for key, place in OWNED.items()
        if key != place
    }


def _instead(key: str) -> str:
    place = OWNED[key]
    if place.startswith("nothing: "):
        return f"it cannot be set: {place.removeprefix('nothing: ')}; leave it out"
    return f"set {place} instead"


@cache
def accepted(trainer: Trainer) -> frozenset[str]:
    """Every key the trainer's config class takes."""
    listed = resources.files("longstep") / "data" / "trainer_keys.json"
    return frozenset(json.loads(listed.read_text(encoding="utf-8"))[trainer])


def complaint(trainer: Trainer, key: str) -> str | None:
    """What is wrong with a ``trainer:`` key, or ``None``."""
    known = "use_vllm" if key.startswith("vllm_") else key
    if known in OWNED:
        return f"{key} belongs to longstep; {_instead(known)}"
    names = accepted(trainer)
    if key in names:
        return None
    close = nearest(key, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"TRL's {trainer.upper()} config has no key {key!r}{hint}"
