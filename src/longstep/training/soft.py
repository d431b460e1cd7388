"""Training on sparse soft targets over TRL: every kept position of a row in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import SequentialSampler
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from longstep.losses.soft_target import soft_target_kl
from longstep.training.job import Job, Ours, arguments, in_order, run
from longstep.training.ranks import world
from longstep.training.rows import SoftRow

Side = Literal["left", "right"]
Tensors = dict[str, Tensor]


class _Soft(Ours, SFTTrainer):
    # Already divided by the positions of the whole accumulated batch.
    loss_is_scaled_for_ga = True

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return in_order(self, train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        total = None if num_items_in_batch is None else float(num_items_in_batch) / world()
        loss = soft_loss(model, inputs, total)
        return (loss, None) if return_outputs else loss


def collate(rows: Sequence[SoftRow], pad: int, side: Side = "right") -> Tensors:
    """Pad rows to one batch; N targets of K ids each, laid end to end over the rows.

    ``labels`` only marks where the targets are, so that the trainer counts them; it is never a loss target.
    """
    width = max(len(row.ids) for row in rows)
    kinds = max(len(ids) for row in rows for ids in row.token_ids)
    ids_BT, mask_BT, labels_BT = [], [], []
    where_N2, ids_NK, weights_NK = [], [], []
    for index, row in enumerate(rows):
        filler = width - len(row.ids)
        shift = filler if side == "left" else 0
        ids_BT.append([pad] * shift + list(row.ids) + [pad] * (filler - shift))
        mask_BT.append([0] * shift + [1] * len(row.ids) + [0] * (filler - shift))
        marks = [-100] * (width + 1)
        if len(set(row.places)) < len(row.places):
            raise ValueError(f"{row.name} has two targets at one place")
        for place, token_ids, weights in zip(row.places, row.token_ids, row.weights, strict=True):
            marks[place] = 0
            where_N2.append((index, shift + place - 1))
            ids_NK.append((*token_ids, *[0] * (kinds - len(token_ids))))
            weights_NK.append((*weights, *[0.0] * (kinds - len(weights))))
        labels_BT.append(marks)
    attended_BT = torch.tensor(mask_BT)
    return {
        "input_ids": torch.tensor(ids_BT),
        "attention_mask": attended_BT,
        "position_ids": (attended_BT.cumsum(-1) - 1).clamp(min=0),
        "labels": torch.tensor(labels_BT),
        "where": torch.tensor(where_N2),
        "target_ids": torch.tensor(ids_NK),
        "target_weights": torch.tensor(weights_NK, dtype=torch.float32),
    }


def soft_loss(model: Any, inputs: Tensors, total: float | None) -> Tensor:
    """Mean ``KL(target || model)`` over positions; logits are made only in columns that hold a target.

    Args:
        model: a causal language model.
        inputs: what :func:`collate` gives.
        total: positions of the whole batch, when this is a part of it.
    """
    mask_BT = inputs["attention_mask"]
    rows_N, columns_N = inputs["where"].unbind(-1)
    needed_C, column_N = columns_N.unique(return_inverse=True)
    ids_BT, at_BT = inputs["input_ids"], inputs["position_ids"]
    kept = {"use_cache": False, "logits_to_keep": needed_C}
    out = model(input_ids=ids_BT, attention_mask=mask_BT, position_ids=at_BT, **kept)
    logits_NV = out.logits[rows_N, column_N]
    return soft_target_kl(logits_NV, inputs["target_ids"], inputs["target_weights"], total).loss


def train_soft(
    job: Job,
    rows: Sequence[SoftRow],
    misread: Callable[[Tensors], Tensors] | None = None,
) -> dict[str, float]:
    """Train towards soft targets on ``rows`` in the order given (already repeated over epochs).

    Args:
        job: the run.
        rows: repetitions included; the last batch may be short.
        misread: a control's way of spoiling each batch.
    """
    pad = int(job.tokenizer.pad_token_id or 0)  # pyright: ignore[reportArgumentType]
    config = SFTConfig(
        shuffle_dataset=False,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        **arguments(job),
    )
    trainer = _Soft(
        model=job.model,
        args=config,
        # Only indices travel through the dataset: the rows stay what they are.
        train_dataset=Dataset.from_dict({"row": list(range(len(rows)))}),
        data_collator=_collator(rows, pad, misread or (lambda batch: batch)),
        processing_class=job.tokenizer,
    )
    trainer.row_names = [row.name for row in rows]
    return run(trainer, job)


def _collator(
    rows: Sequence[SoftRow], pad: int, then: Callable[[Tensors], Tensors]
) -> Callable[[Sequence[dict[str, int]]], Tensors]:
    def gather(batch: Sequence[dict[str, int]]) -> Tensors:
        return then(collate([rows[each["row"]] for each in batch], pad))

    return gather
