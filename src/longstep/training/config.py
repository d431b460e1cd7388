"""What every training stage can set, whatever it trains: one config shared by sft, prefer and rl."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from longstep.config import Field, Strict, UserError, model_validator
from longstep.foresight import Ahead, Foreseen
from longstep.models.lora import Lora
from longstep.optimizers import AdamW, AnyOptimizer
from longstep.training.keys import OWNED, Trainer, complaint, elsewhere
from longstep.wording import within

FRESH = (
    "every stage, and so every phase, begins with a fresh optimiser, warm-up and schedule; a stage of kind rl alone "
    "may say optimizer_state: carried"
)


class Training(Strict):
    """Length, batch, optimiser and precision of one training stage.

    Attributes:
        steps: optimiser steps; or give ``epochs``.
        epochs: passes over the rows, each seen equally often, if need be in a short last batch; or give ``steps``.
        batch: rows per optimiser step over all devices (the method's batch, not the hardware's).
        micro_batch: rows per device and forward pass; ``None`` takes the whole batch at once.
        length_window: batches whose rows are sorted by length together: more saves padding, but makes the rows of a
            batch alike; 1 draws every batch at random.
        optimizer: kind and hyperparameters.
        schedule: learning rate after the warm-up.
        warmup: share of the steps when below 1, else a number of steps.
        clip: largest gradient norm.
        max_length: longest row in tokens; longer rows are dropped and counted.
        save_every: steps between checkpoints.
        log_every: steps between metric lines.
        lora: train adapters instead of all weights.
        trainer: passed through to TRL's own config class, keys checked before the first stage starts.
    """

    together: ClassVar[bool] = True
    elsewhere: ClassVar[Mapping[str, str]] = elsewhere() | {
        "phases": "a stage of a recipe may have them; this is a stage by itself, so write a recipe",
        **dict.fromkeys(
            ("optimizer_state", "keep_optimizer", "reset_optimizer", "carry_optimizer"), FRESH
        ),
    }
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch: int = Field(32, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    length_window: int = Field(default=1, ge=1)
    optimizer: AnyOptimizer = AdamW()
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    max_length: int = Field(4096, ge=8)
    save_every: int = Field(100, ge=1)
    log_every: int = Field(10, ge=1)
    lora: Lora | None = None
    trainer: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            given = "neither is given" if self.steps is None else "both are given"
            raise ValueError(f"give exactly one of steps and epochs ({given})")
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide batch {self.batch}")
        if self.steps is not None and self.warmup_steps(self.steps) >= self.steps:
            raise ValueError(
                f"warmup {self.warmup:g} is {self.warmup_steps(self.steps)} of {self.steps} steps, so that the "
                "learning rate is never reached; lower it, or set more steps"
            )
        return self

    def libraries(self) -> frozenset[str]:
        """The trainer and what it stands on."""
        return frozenset({"torch", "transformers", "trl", "accelerate", "datasets"})

    def made_of(self, model: str, ahead: Ahead) -> Foreseen:
        """The artifact of a stage that trains this model."""
        start = ahead.start(model)
        return Foreseen(None if start is None else start.after(ahead.name))

    def training_misfits(self, model: str, ahead: Ahead, reasons: bool = False) -> Iterator[str]:
        """Why this model cannot be trained with these settings.

        Args:
            model: the start.
            ahead: what is known before the run.
            reasons: rows hold thoughts, so that its think tags have to be tokens.
        """
        yield from ahead.model("model", model, reasons)
        yield from ahead.room("max_length", model, 0)
        if self.lora is not None:
            yield from ahead.adapters("lora", model, self.lora)
        if ahead.known(model) is not None:  # a plan of models that are not here stays light
            yield from self._optimizer_faults()

    def _optimizer_faults(self) -> Iterator[str]:
        """Settings that the optimiser itself refuses, tried on a model of one layer."""
        import torch

        try:
            self.optimizer.build(torch.nn.Sequential(torch.nn.Linear(2, 2)))
        except (UserError, ValueError, TypeError) as error:
            yield f"optimizer: {self.optimizer.kind} refuses its settings: {error}"

    def free_fields(self) -> frozenset[str]:
        """When checkpoints are taken and metric lines written."""
        return frozenset({"save_every", "log_every"})

    def rounding_fields(self) -> frozenset[str]:
        """How many rows are added up at once."""
        return frozenset({"micro_batch"})

    def trainer_complaints(self, trainer: Trainer) -> Iterator[str]:
        """What is wrong with the ``trainer:`` keys."""
        for key in self.trainer:
            if problem := complaint(trainer, key):
                home = within(key, [type(self)])
                known = home and key not in OWNED
                yield f"trainer.{key}: {f'is no key of the trainer; set {home} of the stage' if known else problem}"

    def refusals(self, processes: int, sharded: bool) -> Iterator[str]:
        """Why this stage cannot run on so many processes, or with weights sharded over them; said before it starts."""
        micro = self.micro_batch or 1
        if self.batch % (micro * processes):
            yield (
                f"batch {self.batch} is not a multiple of micro_batch {micro} x {processes} processes; "
                "start fewer processes, or change micro_batch"
            )
        if sharded and self.lora is not None:
            yield "adapters are not merged from shards; set launch.sharding=none, which LoRA's memory allows"
        if sharded and not self.optimizer.shardable:
            yield f"optimizer {self.optimizer.kind} needs whole matrices; set launch.sharding=none or adamw"

    def rows_seen(self, rows: int, processes: int = 1) -> int:
        """How many rows the optimiser is shown, repetitions counted; with ``epochs`` every row equally often.

        The last batch may be a short one. Several processes can only share whole micro-batches, so theirs is filled up
        with rows that are seen once more.
        """
        if self.steps is not None:
            return self.steps * self.batch
        assert self.epochs is not None
        seen = max(1, round(rows * self.epochs))
        shared = processes * (self.micro_batch or self.batch // processes) if processes > 1 else 1
        return math.ceil(seen / shared) * shared

    def total_steps(self, rows: int) -> int:
        """Optimiser steps for this many rows."""
        return math.ceil(self.rows_seen(rows) / self.batch)

    def warmup_steps(self, steps: int) -> int:
        """Warm-up as a number of steps."""
        return round(self.warmup * steps) if self.warmup < 1 else int(self.warmup)
