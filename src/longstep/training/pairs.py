"""Preference training (NCA, DPO) over TRL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from torch.utils.data import SequentialSampler
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from longstep.training.job import Job, Ours, arguments, in_order, run
from longstep.training.rows import PreferenceRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Dpo(Ours, DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows carry token ids already; nothing is tokenised again

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return in_order(self, train_dataset)


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
    config = DPOConfig(max_length=job.training.max_length, **loss, **arguments(job))
    trainer = _Dpo(
        model=job.model,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list([row.columns() for row in rows]),
        processing_class=job.tokenizer,
    )
    trainer.row_names = [row.name for row in rows]
    return run(trainer, job)
