"""Group-relative policy optimisation over TRL, with rollouts from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from longstep.config import UserError
from longstep.training.job import Job, Ours, arguments, run
from longstep.training.ranks import sharded

Rollout = Callable[[int, int], Mapping[str, list[Any]]]
"""``(optimiser step, completions wanted) -> columns``, see :func:`train_grpo`."""


class _Grpo(Ours, GRPOTrainer):
    pass


@dataclass(frozen=True)
class GrpoSettings:
    """What GRPO needs beyond a :class:`Job`.

    Attributes:
        group: completions per prompt.
        max_tokens: longest completion.
        temperature: of the rollouts; log-probabilities are taken at the same temperature.
        loss: TRL's arguments for the loss, from the algorithm config's ``trl()``.
        iterations: optimiser steps per batch of rollouts.
    """

    group: int
    max_tokens: int
    temperature: float
    loss: Mapping[str, Any]
    iterations: int = 1


def train_grpo(job: Job, settings: GrpoSettings, rollout: Rollout) -> dict[str, float]:
    """Group-relative policy optimisation with rollouts from ``rollout``.

    ``rollout(step, count)`` returns this process's columns, of equal length ``count``, group after group:
    ``prompt_ids``, ``completion_ids``, ``logprobs`` and ``shaped``, the reward or ``None`` for a completion that
    cannot be scored (it takes no part in its group). Where some row is not all the policy's own there are also
    ``loss_mask``, 0 for tokens that no loss sees, and ``weight``, what each row's ratio is taken against. TRL's dataset
    carries no prompts; it only counts steps.
    """
    if settings.iterations > 1 and job.training.save_every % settings.iterations:
        raise UserError(
            f"save_every {job.training.save_every} must be a multiple of iterations {settings.iterations}: "
            "a checkpoint between two updates on the same rollouts could not be resumed exactly"
        )

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        columns = dict(rollout(trainer.state.global_step, len(prompts)))
        if others := set(columns.pop("weight", ())) - {"own"}:
            raise UserError(
                f"guide: rows weighted by {', '.join(sorted(others))} cannot be trained yet"
            )
        if "loss_mask" in columns:
            columns["env_mask"] = columns.pop("loss_mask")  # TRL's name for it
        return columns

    def shaped_reward(shaped: list[float | None], **_: Any) -> list[float | None]:
        return shaped

    given = arguments(job)
    if sharded():  # TRL would lay the reference model over all devices of the machine
        given["model_init_kwargs"] = {"device_map": None}
    config = GRPOConfig(
        num_generations=settings.group,
        max_completion_length=settings.max_tokens,
        temperature=settings.temperature,
        num_iterations=settings.iterations,
        shuffle_dataset=False,
        **settings.loss,
        **given,
    )
    trainer = _Grpo(
        model=job.model,
        reward_funcs=[shaped_reward],
        args=config,
        train_dataset=Dataset.from_list(
            [{"prompt": "curriculum"}] * (job.steps * job.training.batch)
        ),
        processing_class=job.tokenizer,
        rollout_func=roll,
    )
    return run(trainer, job)
