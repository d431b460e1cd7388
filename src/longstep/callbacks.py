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
from longstep.checkpoints import PREFIX, Side, seal
from longstep.config import UserError
from longstep.progress import Progress

__all__ = ["Facts", "Journal", "PrinterCallback", "StepLog", "Watch"]

Facts = Callable[[], Mapping[str, object]]
Watch = Callable[[Mapping[str, Any]], list[str]]
"""Looks at a metric line; returns the reasons to stop the run."""


class StepLog:
    """``metrics.jsonl`` of a stage. Lines after the step a stage resumes from are cut, so none is ever doubled."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Open the log; keep only lines up to ``resumed_step``."""
        if path.exists():
            kept = [line for line in path.read_bytes().split(b"\n") if _step(line) <= resumed_step]
            path.write_bytes(b"".join(line + b"\n" for line in kept))
        self._log = AppendLog(path)

    def write(self, row: Mapping[str, object]) -> None:
        """Append one line; a value JSON cannot carry becomes null."""
        clean = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()
        }
        self._log.append(clean)


def _step(line: bytes) -> float:
    try:
        return json.loads(line)["step"] if line.strip() else math.inf
    except (json.JSONDecodeError, KeyError):
        return math.inf


class Journal(TrainerCallback):
    """Writes metrics, shows progress and seals checkpoints."""

    def __init__(
        self, path: Path, progress: Progress, extra: Facts, watch: Watch, side: Mapping[str, Side]
    ) -> None:
        """Take where things go and what to add.

        Args:
            path: of ``metrics.jsonl``.
            progress: advanced at every step.
            extra: further numbers for every metric line.
            watch: sees every metric line and may stop the run.
            side: written into every checkpoint, by file name, before it is sealed.
        """
        self._path, self._progress, self._side = path, progress, side
        self._extra, self._watch = extra, watch
        self._last: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the log where the run (re)starts."""
        self._log = StepLog(self._path, state.global_step)
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
        row: dict[str, object] = {
            "step": state.global_step,
            "seconds": round(time.monotonic() - self._started, 3),
        }
        row.update(numbers)
        if "train_runtime" in numbers:
            return  # the trainer's closing summary, not a step
        row.update(self._extra())
        self._log.write(row)
        if reasons := self._watch(row):
            raise UserError(
                f"step {state.global_step}: stopped by a health rule: {'; '.join(reasons)}"
            )
        self._last = {
            k: numbers[k] for k in ("loss", "eval_loss", "reward", "kl") if k in numbers
        } or self._last

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add our own state and seal the checkpoint."""
        checkpoint = Path(str(args.output_dir)) / f"{PREFIX}{state.global_step}"
        for name, side in self._side.items():
            write_json(checkpoint / name, side.state())
        seal(checkpoint)
