"""Thin SFT, DPO and GRPO adapters over TRL's hooks; the only file that imports trl.

What the adapters change: rows are seen in exactly the order given, a non-finite loss or gradient stops the run
before the optimiser steps, checkpoints are sealed, and GRPO's rollouts come from longstep's own engine, prompt by
prompt from a curriculum, so that nothing adaptive is ever prefetched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from longstep.artifacts import read_json
from longstep.batches import PreferenceRow, SftRow
from longstep.callbacks import (
    STEP_LOGS,
    Facts,
    Journal,
    PrinterCallback,
    TrainerState,
    Watch,
    cut_log,
)
from longstep.checkpoints import PREFIX, Side, latest, step_of, verified
from longstep.config import UserError
from longstep.optimizers import build_optimizer
from longstep.progress import Progress
from longstep.ranks import barrier, from_main, sharded, world
from longstep.training import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Rollout = Callable[[int, int], Mapping[str, list[Any]]]
"""``(optimiser step, completions wanted) -> columns``, see :func:`train_grpo`."""


@dataclass(frozen=True)
class Job:
    """One training run: model, tokenizer, settings and where things go.

    Attributes:
        training: the stage's settings.
        steps: optimiser steps.
        seed: of everything random in the trainer.
        folder: the stage's folder; checkpoints go below it.
        progress: shown while training.
        extra: further numbers for each metric line.
        watch: sees each metric line and may stop the run.
        side: states saved inside each checkpoint and restored from it, by file name.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    training: Training
    steps: int
    seed: int
    folder: Path
    progress: Progress
    extra: Facts = dict
    watch: Watch = lambda row: []
    side: Mapping[str, Side] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"


def _arguments(job: Job) -> dict[str, Any]:
    """The arguments common to TRL's config classes; the user's ``trainer:`` keys come last."""
    training = job.training
    on_gpu = torch.cuda.is_available()
    for complaint in training.refusals(world(), sharded()):
        raise UserError(complaint)
    micro = training.micro_batch or training.batch // world()
    return {
        # The other processes have a folder of their own to write to, but add their part to the same checkpoints.
        "output_dir": from_main(lambda: str(job.checkpoints)),
        "max_steps": job.steps,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": training.batch // (micro * world()),
        "learning_rate": training.optimizer.lr,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(
            training.schedule, training.schedule
        ),
        "warmup_steps": training.warmup_steps(job.steps),
        "max_grad_norm": training.clip,
        "save_strategy": "steps",
        "save_steps": training.save_every,
        # Two, because the trainer deletes the older checkpoint before the newer one is sealed.
        "save_total_limit": 2,
        "logging_steps": training.log_every,
        "logging_nan_inf_filter": False,
        "seed": job.seed,
        "report_to": [],
        "disable_tqdm": True,
        "bf16": on_gpu and os.environ.get("ACCELERATE_MIXED_PRECISION") != "no",
        "gradient_checkpointing": on_gpu,
        "use_cpu": not on_gpu,
        "dataloader_num_workers": 0,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": on_gpu,
        **training.trainer,
    }


class _Ours:
    """Steps with the recipe's optimiser, and never on a non-finite loss or gradient: it stops, naming the rows."""

    job: Job
    row_names: Sequence[str] = ()

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        # Not given to the constructor: with FSDP the trainer takes no optimiser from outside.
        if self.optimizer is None:  # pyright: ignore
            self.optimizer = build_optimizer(self.job.training.optimizer, self.job.model)
        return self.optimizer

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)  # pyright: ignore
        if not torch.isfinite(loss).all():
            raise UserError(
                f"{self._where()}: the loss is {loss.item()}; no step was taken and checkpoints are intact"
            )
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)  # pyright: ignore
        if norm is not None and not math.isfinite(float(norm)):
            raise UserError(
                f"{self._where()}: the gradient norm is {float(norm)}; no step was taken"
            )
        return norm

    def _where(self) -> str:
        step: int = self.state.global_step  # pyright: ignore
        args: Any = self.args  # pyright: ignore
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * world()
        rows = self.row_names[step * batch : (step + 1) * batch]
        names = f" (rows {', '.join(rows[:8])}{', ...' if len(rows) > 8 else ''})" if rows else ""
        return f"training step {step + 1}{names}"


def _in_order(trainer: Any, train_dataset: Any) -> SequentialSampler:
    return SequentialSampler(train_dataset if train_dataset is not None else trainer.train_dataset)


class _Sft(_Ours, SFTTrainer):
    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return _in_order(self, train_dataset)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        if sharded():
            # The trainer notes the best checkpoint only if its folder exists, and with shards no one has made it yet:
            # each process would find it there or not, as it happens, and later they would wait forever.
            (Path(str(self.args.output_dir)) / f"{PREFIX}{self.state.global_step}").mkdir(
                exist_ok=True
            )
            barrier()
        super()._save_checkpoint(*args, **kwargs)

    def _load_best_model(self) -> None:
        best = Path(str(self.state.best_model_checkpoint))
        if not verified(best):  # it may be older than the checkpoint a run resumed from
            raise UserError(
                f"{best}: this checkpoint has the lowest held-out loss, but its files changed since it was written; "
                f"delete {best.parent.parent} to redo the stage"
            )
        super()._load_best_model()


class _Dpo(_Ours, DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows carry token ids already; nothing is tokenised again

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return _in_order(self, train_dataset)


class _Grpo(_Ours, GRPOTrainer):
    pass


def _run(trainer: Any, job: Job) -> dict[str, float]:
    if sharded() != trainer.is_fsdp_enabled:
        raise UserError("accelerate shards over GPUs only; start with launch.sharding=none")
    trainer.job = job
    side = {**job.side, "tokens.json": _counter(trainer)}
    trainer.add_callback(
        Journal(job.folder / "metrics.jsonl", job.progress, job.extra, job.watch, side)
    )
    trainer.remove_callback(PrinterCallback)
    resumed = from_main(lambda: latest(job.checkpoints))
    if resumed is not None:
        for name, part in side.items():
            part.restore(read_json(resumed / name))
        if step_of(resumed) == job.steps:
            return _reload(trainer, job, resumed)
    result = trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    job.progress.finish()
    return dict(result.metrics)


def _counter(trainer: Any) -> Side:
    """TRL's count of the tokens it saw, which it would start from zero in a resumed run."""

    def restore(state: dict[str, Any]) -> None:
        trainer._total_train_tokens = int(state["seen"])

    return Side(lambda: {"seen": int(trainer._total_train_tokens)}, restore)


def _reload(trainer: Any, job: Job, checkpoint: Path) -> dict[str, float]:
    """Take the weights of a training that had ended; asked to go on, the trainer could take a step too many."""
    for name in STEP_LOGS:
        cut_log(job.folder / name, job.steps)
    if trainer.is_fsdp_enabled:  # its model and optimiser are sharded together or not at all
        trainer.model, _ = trainer.accelerator.prepare(trainer.model, trainer.create_optimizer())
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if trainer.args.load_best_model_at_end:
        trainer._load_best_model()
    else:
        trainer._load_from_checkpoint(str(checkpoint))
    return {}


def train_sft(
    job: Job, rows: Sequence[SftRow], dev: Sequence[SftRow] = (), packing: bool = False
) -> dict[str, float]:
    """Supervised fine-tuning on ``rows`` in the order given (already repeated over epochs).

    Args:
        job: the run.
        rows: ``steps * batch`` rows.
        dev: when given, the checkpoint with the lowest loss on these rows is the result.
        packing: lay the rows of a micro-batch end to end in one sequence, attention kept inside each row; no padding,
            and every step still sees exactly its ``batch`` rows (TRL's ``packing`` would count sequences instead).
    """
    arguments = _arguments(job)
    if dev:
        arguments |= {
            "eval_strategy": "steps",
            "eval_steps": job.training.save_every,
            "per_device_eval_batch_size": arguments["per_device_train_batch_size"],
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
    config = SFTConfig(
        padding_free=packing,
        shuffle_dataset=False,
        max_length=None,  # longer rows were dropped, and counted, before
        dataset_kwargs={"skip_prepare_dataset": True},
        **arguments,
    )
    trainer = _Sft(
        model=job.model,
        args=config,
        train_dataset=Dataset.from_list([row.columns() for row in rows]),
        eval_dataset=Dataset.from_list([row.columns() for row in dev]) if dev else None,
        processing_class=job.tokenizer,
    )
    trainer.row_names = [row.name for row in rows]
    return _run(trainer, job)


def train_preference(
    job: Job,
    rows: Sequence[PreferenceRow],
    reference: PreTrainedModel | None,
    loss: Mapping[str, Any],
) -> dict[str, float]:
    """Preference training (NCA, DPO) on ``rows`` in the order given.

    Args:
        job: the run.
        rows: ``steps * batch`` pairs.
        reference: the frozen start model; ``None`` with LoRA, where the adapter is switched off instead.
        loss: TRL's arguments for the loss, from the loss config's ``trl()``.
    """
    config = DPOConfig(max_length=job.training.max_length, **loss, **_arguments(job))
    trainer = _Dpo(
        model=job.model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list([row.columns() for row in rows]),
        processing_class=job.tokenizer,
    )
    trainer.row_names = [row.name for row in rows]
    return _run(trainer, job)


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
    cannot be scored (it takes no part in its group). TRL's dataset carries no prompts; it only counts steps.
    """
    if settings.iterations > 1 and job.training.save_every % settings.iterations:
        raise UserError(
            f"save_every {job.training.save_every} must be a multiple of iterations {settings.iterations}: "
            "a checkpoint between two updates on the same rollouts could not be resumed exactly"
        )

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        return dict(rollout(trainer.state.global_step, len(prompts)))

    def shaped_reward(shaped: list[float | None], **_: Any) -> list[float | None]:
        return shaped

    arguments = _arguments(job)
    if sharded():  # TRL would lay the reference model over all devices of the machine
        arguments["model_init_kwargs"] = {"device_map": None}
    config = GRPOConfig(
        num_generations=settings.group,
        max_completion_length=settings.max_tokens,
        temperature=settings.temperature,
        num_iterations=settings.iterations,
        shuffle_dataset=False,
        **settings.loss,
        **arguments,
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
    return _run(trainer, job)
