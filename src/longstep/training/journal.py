"""What longstep adds to a running trainer: metric lines, progress, sealed checkpoints, a stop on non-finite numbers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from longstep.artifacts import AppendLog, write_json
from longstep.config import UserError
from longstep.models.account import is_whole, prove_saved
from longstep.progress import Progress
from longstep.training.checkpoints import PREFIX, Side, seal
from longstep.training.ranks import barrier, rank, sharded
from longstep.training.trackers import Mirror

__all__ = [
    "STEP_LOGS",
    "Ending",
    "Facts",
    "Journal",
    "PrinterCallback",
    "TrainerState",
    "Watch",
    "cut_log",
]

STEP_LOGS = ("metrics.jsonl", "rollouts.jsonl", "health.jsonl", "exam.jsonl")

Facts = Callable[[], Mapping[str, object]]
Watch = Callable[[Mapping[str, Any]], list[str]]
"""Looks at a metric line; returns the reasons to stop the run."""


def cut_log(path: Path, step: int) -> None:
    """Keep the lines of steps 1 to ``step``, so that a resumed stage doubles none; step 0 means "after the last one".

    The file is shortened in place: no kill can halve that, and a log that is open for appending goes on.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = 0
        for line in file:
            if not 0 < _step(line) <= step:
                break
            end += len(line)
        file.truncate(end)


def _step(line: bytes) -> int:
    try:
        return int(json.loads(line)["step"]) if line.endswith(b"\n") else 0
    except (ValueError, KeyError):
        return 0


class Journal(TrainerCallback):
    """Writes metrics, shows progress and seals checkpoints."""

    def __init__(
        self,
        path: Path,
        progress: Progress,
        extra: Facts,
        watch: Watch,
        side: Mapping[str, Side],
        mirror: Mirror,
    ) -> None:
        """Take where things go and what to add.

        Args:
            path: of ``metrics.jsonl``.
            progress: advanced at every step.
            extra: further numbers for every metric line.
            watch: sees every metric line and may stop the run.
            side: written into every checkpoint, by file name, before it is sealed.
            mirror: gets every metric line after the log has it.
        """
        self._mirror = mirror
        self._path, self._progress, self._side = path, progress, side
        self._extra, self._watch = extra, watch
        self._last: dict[str, float] = {}
        self._proven = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the log where the run (re)starts; every log that counts steps is cut there."""
        # A checkpoint brings back the intervals it was taken with; those of this run may be others.
        state.compute_steps(args, state.max_steps)
        for name in STEP_LOGS:
            cut_log(self._path.with_name(name), state.global_step)
        self._log = AppendLog(self._path)
        if rank() == 0:
            self._mirror.open(state.global_step)
        self._progress.total = state.max_steps
        self._progress.start_at(state.global_step)
        self._started = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Advance the progress line."""
        self._progress.advance(1, self._last)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one metric line."""
        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
        if "train_runtime" in numbers:
            return  # the trainer's closing summary, not a step
        row: dict[str, object] = {
            "step": state.global_step,
            "seconds": round(time.monotonic() - self._started, 3),
            **numbers,
            **self._extra(),
        }
        self._log.append(
            {
                k: None if isinstance(v, float) and not math.isfinite(v) else v
                for k, v in row.items()
            }
        )  # JSON has no NaN
        self._mirror.log(row)
        if reasons := self._watch(row):
            raise UserError(
                f"step {state.global_step}: stopped by a health rule: {'; '.join(reasons)}"
            )
        self._last = {
            k: numbers[k] for k in ("loss", "eval_loss", "reward", "kl") if k in numbers
        } or self._last

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the trackers send what is left."""
        self._mirror.close()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add our own state and seal the checkpoint, when every process has written its part."""
        barrier()
        if rank() == 0:
            checkpoint = Path(str(args.output_dir)) / f"{PREFIX}{state.global_step}"
            for name, side in self._side.items():
                write_json(checkpoint / name, side.state())
            if not self._proven and not sharded() and is_whole(kwargs["model"]):
                # Once: whether an architecture's tensors come back does not depend on their values.
                prove_saved(kwargs["model"], checkpoint)
            self._proven = True
            seal(checkpoint)
        barrier()


class Ending(TrainerCallback):
    """Ends a training before its last step, when somebody has a reason."""

    def __init__(self, ends: Callable[[int], str]) -> None:
        """Take whom to ask after each step."""
        self._ends = ends

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask."""
        if self._ends(state.global_step):
            control.should_training_stop = True
