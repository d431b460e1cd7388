"""Supervised fine-tuning over TRL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.utils.data import SequentialSampler
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from longstep.config import UserError
from longstep.models.account import is_whole, refill
from longstep.training.checkpoints import PREFIX, verified
from longstep.training.job import Job, Ours, arguments, in_order, run
from longstep.training.ranks import barrier, sharded
from longstep.training.rows import SftRow


class _Sft(Ours, SFTTrainer):
    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return in_order(self, train_dataset)

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
        if is_whole(self.model) and not self.is_fsdp_enabled:
            refill(self.model, best)
        else:
            super()._load_best_model()


def train_sft(
    job: Job, rows: Sequence[SftRow], dev: Sequence[SftRow] = (), packing: bool = False
) -> dict[str, float]:
    """Supervised fine-tuning on ``rows`` in the order given (already repeated over epochs).

    Args:
        job: the run.
        rows: repetitions included; the last batch may be short.
        dev: when given, the checkpoint with the lowest loss on these rows is the result.
        packing: lay the rows of a micro-batch end to end in one sequence, attention kept inside each row; no padding,
            and every step still sees exactly its ``batch`` rows (TRL's ``packing`` would count sequences instead).
    """
    given = arguments(job)
    if dev:
        given |= {
            "eval_strategy": "steps",
            "eval_steps": job.training.save_every,
            "per_device_eval_batch_size": given["per_device_train_batch_size"],
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
    config = SFTConfig(
        padding_free=packing,
        shuffle_dataset=False,
        max_length=None,  # longer rows were dropped, and counted, before
        dataset_kwargs={"skip_prepare_dataset": True},
        **given,
    )
    trainer = _Sft(
        model=job.model,
        args=config,
        train_dataset=Dataset.from_list([row.columns() for row in rows]),
        eval_dataset=Dataset.from_list([row.columns() for row in dev]) if dev else None,
        processing_class=job.tokenizer,
    )
    trainer.row_names = [row.name for row in rows]
    return run(trainer, job)
