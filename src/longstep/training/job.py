"""What every trainer shares: a job, the arguments it gives TRL, how a step is guarded, how a run is resumed.

What the adapters of this package change in TRL: rows are seen in exactly the order given, a non-finite loss or
gradient stops the run before the optimiser steps, checkpoints are sealed, and GRPO's rollouts come from longstep's
own engine, prompt by prompt from a curriculum, so that nothing adaptive is ever prefetched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler

from longstep.artifacts import read_json
from longstep.config import UserError
from longstep.models.account import is_whole, refill
from longstep.progress import Progress
from longstep.training import carried
from longstep.training.checkpoints import Side, latest, step_of
from longstep.training.config import Training
from longstep.training.journal import (
    STEP_LOGS,
    Ending,
    Facts,
    Journal,
    PrinterCallback,
    TrainerState,
    Watch,
    cut_log,
)
from longstep.training.ranks import from_main, rank, sharded, world
from longstep.training.trackers import Mirror
from longstep.wording import page

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        ends: asked after each step with their number; a reason ends the training there, and the model is saved as it
            is.
        side: states saved inside each checkpoint and restored from it, by file name.
        mirror: gets every metric line, for trackers.
        carried: folder of the model whose optimiser's state is taken over; ``None`` begins with a fresh one.
        keeps: whether the optimiser's state is written into ``folder`` at the end.
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
    ends: Callable[[int], str] = lambda step: ""
    side: Mapping[str, Side] = field(default_factory=dict)
    mirror: Mirror = field(default_factory=Mirror)
    carried: Path | None = None
    keeps: bool = False

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"


def arguments(job: Job) -> dict[str, Any]:
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


class Ours:
    """Steps with the recipe's optimiser, and never on a non-finite loss or gradient: it stops, naming the rows."""

    job: Job
    row_names: Sequence[str] = ()

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's optimiser."""
        # Not given to the constructor: with FSDP the trainer takes no optimiser from outside.
        if self.optimizer is None:  # pyright: ignore
            chosen = self.job.training.optimizer
            self.optimizer = chosen.build(self.job.model)
            if self.job.carried is not None:
                carried.take(self.optimizer, self.job.carried, chosen.kind)
        return self.optimizer

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """One forward and backward pass, refused when the loss is not finite."""
        try:
            loss = super().training_step(model, inputs, num_items_in_batch)  # pyright: ignore
        except torch.OutOfMemoryError:
            rows = self.job.training.micro_batch or self.job.training.batch
            raise UserError(
                f"{self._where()}: out of memory with micro_batch {rows}; lower it, then max_length, and type the same "
                f"command again{page('out-of-memory')}"
            ) from None
        if not torch.isfinite(loss).all():
            raise UserError(
                f"{self._where()}: the loss is {loss.item()}; no step was taken and checkpoints are intact"
            )
        return loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights of a checkpoint, every tensor of them; the trainer's own code skips names it does not know."""
        target = self.model if model is None else model  # pyright: ignore
        if is_whole(target) and not self.is_fsdp_enabled:  # pyright: ignore
            refill(target, Path(resume_from_checkpoint))
        else:  # adapters and shards are named as the model names them
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # pyright: ignore

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)  # pyright: ignore
        if norm is not None and not math.isfinite(float(norm)):
            raise UserError(
                f"{self._where()}: the gradient norm is {float(norm)}; no step was taken"
            )
        return norm

    def reduced(self, value: torch.Tensor, reduction: str) -> torch.Tensor:
        """The ``sum`` or ``mean`` of a value over all processes, given to each."""
        told: Any = self.accelerator.reduce(value, reduction=reduction)  # pyright: ignore
        return told

    def _where(self) -> str:
        step: int = self.state.global_step  # pyright: ignore
        args: Any = self.args  # pyright: ignore
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * world()
        rows = self.row_names[step * batch : (step + 1) * batch]
        names = f" (rows {', '.join(rows[:8])}{', ...' if len(rows) > 8 else ''})" if rows else ""
        return f"training step {step + 1}{names}"


def in_order(trainer: Any, train_dataset: Any) -> SequentialSampler:
    """The rows as they are."""
    return SequentialSampler(train_dataset if train_dataset is not None else trainer.train_dataset)


def run(trainer: Any, job: Job) -> dict[str, float]:
    """Train, or continue from the last sealed checkpoint."""
    if sharded() != trainer.is_fsdp_enabled:
        raise UserError("accelerate shards over GPUs only; start with launch.sharding=none")
    trainer.job = job
    side = {**job.side, "tokens.json": _counter(trainer)}
    trainer.add_callback(
        Journal(job.folder / "metrics.jsonl", job.progress, job.extra, job.watch, side, job.mirror)
    )
    trainer.add_callback(Ending(job.ends))
    trainer.remove_callback(PrinterCallback)
    resumed = from_main(lambda: latest(job.checkpoints))
    if resumed is not None:
        for name, part in side.items():
            part.restore(read_json(resumed / name))
        if step_of(resumed) == job.steps or job.ends(step_of(resumed)):
            return _reload(trainer, job, resumed)
    result = trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    job.progress.finish()
    _keep(job, trainer.optimizer.state_dict)
    return dict(result.metrics)


def _keep(job: Job, state: Callable[[], Mapping[str, Any]]) -> None:
    if job.keeps and rank() == 0:
        carried.keep(state(), job.folder, job.training.optimizer.kind)


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
    _keep(job, lambda: torch.load(checkpoint / "optimizer.pt", weights_only=True))
    return {}
