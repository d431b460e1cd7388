"""Our preference losses inside TRL's DPO trainer, which keeps batching, the reference model and log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from torch import Tensor
from torch.utils.data import SequentialSampler
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from longstep.losses import PreferenceLoss
from longstep.losses.out import masked_mean
from longstep.training.job import Job, Ours, arguments, in_order, run
from longstep.training.rows import PreferenceRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Pairs(Ours, DPOTrainer):
    objective: PreferenceLoss

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows carry token ids already; nothing is tokenised again

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return in_order(self, train_dataset)

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False) -> Tensor:
        mask_BT = inputs["completion_mask"][..., 1:]
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        routed = {"output_router_logits": True} if self.aux_loss_enabled else {}
        # The fused head gives 0 where nothing is supervised, and never lays out a batch's logits.
        out = model(**given, **routed, use_cache=False, labels=labels, fused_lm_head=True)
        chosen_B, rejected_B = out.log_probs[:, -mask_BT.size(1) :].sum(1).chunk(2)
        if self.precompute_ref_logps:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            reference = self.compute_ref_log_probs(self.ref_model or self.model, inputs)
        # The difference of two sums, not the sum of differences: TRL's order, which keeps its weights bit for bit.
        ratios = chosen_B - reference[0], rejected_B - reference[1]
        made = self.objective.loss(*ratios, total=self._share())
        facts = {"logps/chosen": chosen_B.mean(), "logps/rejected": rejected_B.mean()}
        facts["entropy"] = masked_mean(out.entropy[:, -mask_BT.size(1) :], mask_BT)
        for name, value in {**made.metrics, **facts}.items():
            mean = self.reduced(value.detach().float(), "mean")
            self._metrics["train"][name].append(mean.item())
        seen = self.reduced(inputs["attention_mask"].sum(), "sum").item()
        self._total_train_tokens += seen
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        if not self.aux_loss_enabled:
            return made.loss
        return made.loss + self.router_aux_loss_coef * out.aux_loss

    def _share(self) -> float:
        """Pairs of a step for each of its micro-batches; the trainer then divides by their number.

        In the short last batch of an epoch the last micro-batch is the smaller one, and its pairs weigh no more.
        """
        args, done = self.args, self.state.global_step * self.job.training.batch
        pairs = min(self.job.training.batch, len(self.row_names) - done)
        return pairs / (self.current_gradient_accumulation_steps * args.world_size)


def train_preference(
    job: Job,
    rows: Sequence[PreferenceRow],
    reference: PreTrainedModel | None,
    loss: PreferenceLoss,
) -> dict[str, float]:
    """Preference training (NCA, DPO) on ``rows`` in the order given.

    Args:
        job: the run.
        rows: repetitions included; the last batch may be short.
        reference: the frozen start model; ``None`` with LoRA, where the adapter is switched off instead.
        loss: what a pair costs.
    """
    trainer = _Pairs(
        model=job.model,
        ref_model=reference,
        args=DPOConfig(max_length=job.training.max_length, **arguments(job)),
        train_dataset=Dataset.from_list([row.columns() for row in rows]),
        processing_class=job.tokenizer,
    )
    trainer.objective = loss
    trainer.row_names = [row.name for row in rows]
    return run(trainer, job)
