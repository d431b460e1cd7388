"""Our algorithms inside TRL's GRPO trainer, with rollouts from outside: the only caller of ``Algorithm``.

TRL keeps what it is good at: batching, accumulation, sharding, the reference model and log-probabilities. What a
sample is worth and what a token costs is ours, so the arithmetic that is tested is the one that trains. TRL's own
advantages and losses are still computed or configured on its side, and never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from longstep.losses import Advantages, Algorithm, Groups, Tokens, Whole, carrying
from longstep.losses.bonuses import Earned
from longstep.training.checkpoints import PREFIX, Side
from longstep.training.critic import CriticTrainer, explained_variance
from longstep.training.entropies import Entropies
from longstep.training.forward import Scored, in_parts, narrow
from longstep.training.job import Job, Ours, arguments, run
from longstep.training.ranks import sharded, world

Rollout = Callable[[int, int], Mapping[str, list[Any]]]
"""``(optimiser step, completions wanted) -> columns``, see :func:`train_policy`."""


@dataclass(frozen=True)
class PolicySettings:
    """What reinforcement learning needs beyond a :class:`Job`.

    Attributes:
        algorithm: advantages, loss, and the number of updates that a batch of rollouts is cut into.
        group: completions per prompt.
        max_tokens: longest completion.
        temperature: of the rollouts; log-probabilities are taken at the same temperature.
        iterations: times each row is used.
        reference: folder of the model that a penalty compares with; ``None`` for that of the start.
    """

    algorithm: Algorithm
    group: int
    max_tokens: int
    temperature: float
    iterations: int = 1
    reference: Path | None = None

    @property
    def updates(self) -> int:
        """Optimiser steps from one batch of rollouts to the next."""
        return self.algorithm.minibatches * self.iterations


class _Policy(Ours, GRPOTrainer):
    settings: PolicySettings
    bonus: Earned
    critic: CriticTrainer | None = None
    _rewards: Tensor
    _entropies: Entropies
    _value_loss: float = 0.0
    #: Of the rows just drawn, where some are not all the policy's own.
    weights: list[str] | None = None
    #: Of the rows just drawn, where somebody says.
    correctness: list[float | None] | None = None
    given: list[float | None] | None = None

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*args, **kwargs)  # of all processes, in order
        return self._rewards

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """TRL's batch of rollouts with our advantages, taken over the groups of all processes."""
        made = super()._generate_and_score_completions(inputs)
        algorithm, shape = self.settings.algorithm, (-1, self.settings.group)
        lengths: Any = self.accelerator.gather(made["completion_mask"].sum(-1))
        drift: Any = self._drift(made) if "drift" in algorithm.needs() else None
        values_BT = self._values(made)
        groups = Groups(
            rewards_PG=self._rewards.sum(-1).view(shape),  # one column
            lengths_PG=lengths.view(shape),
            drift_PG=None if drift is None else drift.view(shape),
            values_PGT=None if values_BT is None else values_BT.unflatten(0, shape),
            sampled_PGT=None if values_BT is None else _sampled(made).unflatten(0, shape),
        )
        groups = algorithm.penalty.charged(groups)
        found = self._with_given(algorithm.advantages(groups))
        mine = slice(
            self.accelerator.process_index * len(inputs),
            (self.accelerator.process_index + 1) * len(inputs),
        )
        made["advantages"] = found.values_PG.flatten(0, 1)[mine]
        made["trains"] = found.trains_PG.flatten()[mine]
        if values_BT is not None:
            made["values"], made["targets"] = values_BT, algorithm.targets(groups).flatten(0, 1)
            explained = explained_variance(values_BT, made["targets"], _mask(made))
            self._tell({} if explained is None else {"explained_variance": explained})
        self._tell(carrying(found))
        device = made["advantages"].device
        if self.correctness is not None:
            made["right"] = _numbers(self.correctness, device)
        if self.weights is not None:
            for name, weight in (("by_record", "behaviour"), ("by_shape", "shaped")):
                made[name] = torch.tensor([each == weight for each in self.weights], device=device)
        return made

    def _with_given(self, found: Advantages) -> Advantages:
        """Advantages that a guide has named in place of the algorithm's."""
        if self.given is None:
            return found
        values_PG, trains_PG = found
        gathered: Any = self.accelerator.gather(_numbers(self.given, values_PG.device))
        given = _like(gathered.view(trains_PG.shape), values_PG).to(values_PG.dtype)
        return Advantages(values_PG.where(given.isnan(), given), trains_PG)

    def _values(self, made: Mapping[str, Any]) -> Tensor | None:
        """What the critic expects of the answers just drawn."""
        if self.critic is None:
            return None
        with self.accelerator.autocast():
            return self.critic.values(*_sequences(made), self.args.per_device_train_batch_size)

    def _tell(self, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._metrics["train"][name].append(value)

    def _drift(self, made: Mapping[str, Any]) -> Any:
        """How far each answer, of all processes, is from the reference under the policy that drew it."""
        old = made.get("old_per_token_logps")
        if old is None:  # TRL takes them only where a later update will need them
            with torch.no_grad():
                old, _, _ = self._get_per_token_logps_and_entropies(
                    self.model, *_sequences(made), batch_size=self.args.per_device_train_batch_size
                )
        mask_BT = _sampled(made).bool()
        drift_BT = (old - made["ref_per_token_logps"]).where(mask_BT, 0.0)
        return self.accelerator.gather(drift_BT.sum(-1))

    def _get_per_token_logps_and_entropies(
        self, model: Any, ids: Tensor, attended: Tensor, places: int, **asked: Any
    ) -> Any:
        """As TRL's, without what only fills rows up; ``live`` names the rows that a gradient is wanted of."""
        ask = super()._get_per_token_logps_and_entropies
        live, whole = asked.pop("live", None), asked.get("compute_aux_loss", False)

        def forward(ids: Tensor, attended: Tensor, places: int) -> Scored:
            return Scored(*ask(model, ids, attended, places, **asked))

        if whole or world() > 1:  # the balance of experts is one of the batch; processes go in step
            return narrow(forward, ids, attended, places)
        return in_parts(forward, ids, attended, places, live)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's next rows; when a batch of rollouts was just drawn and cut, each update learns what it divides by."""
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        parts = self._buffered_inputs
        if parts is not None and parts is not before:
            # TRL itself would take the mean count of tokens of all updates, which is none's own.
            each = self.args.gradient_accumulation_steps
            for start in range(0, len(parts), each):
                self._divide(parts[start : start + each])
        return inputs

    def _divide(self, parts: list[dict[str, Any]]) -> None:
        """Give the micro-batches of one optimiser step, over all processes, their common divisor."""
        counted = torch.stack([torch.stack([p["trains"].sum(), _mask(p).sum()]) for p in parts])
        sequences, tokens = self.reduced(counted.sum(0), "sum").tolist()
        whole = Whole(sequences, tokens, self.settings.max_tokens)
        # Gradients are averaged over processes where the parts' losses should be added.
        total = (self.settings.algorithm.divisor(whole) or 1.0) / world()  # 0: none can be scored
        for part in parts:
            part["total"], part["tokens"] = total, tokens

    def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
        algorithm, mask_BT = self.settings.algorithm, _mask(inputs)
        if self.critic is not None:
            self._criticise(self.critic, inputs, mask_BT)
            if self.critic.warming(self.state.global_step):
                return (
                    next(model.parameters()).sum() * 0.0
                )  # a step that moves nothing; see training_step
        logps, entropy, aux = self._get_per_token_logps_and_entropies(
            model,
            *_sequences(inputs),
            compute_entropy=True,
            compute_aux_loss=self.aux_loss_enabled,
            live=_live(inputs, mask_BT) if algorithm.idles() else None,
        )
        needs = algorithm.needs()
        tokens = Tokens(
            logps_BT=logps,
            old_BT=_old(inputs, logps),
            advantages_BT=_columns(inputs["advantages"]),
            mask_BT=mask_BT,
            ref_BT=inputs["ref_per_token_logps"] if "reference" in needs else None,
            behaviour_BT=inputs["sampling_per_token_logps"] if "behaviour" in needs else None,
            entropy_BT=entropy if "entropy" in needs else None,
            entropy_weight=self.bonus.weight,
            shaped_B1=inputs["by_shape"].unsqueeze(-1) if "by_shape" in inputs else None,
        )
        out = algorithm.loss(tokens, inputs["total"])
        self._tell({n: self.reduced(v.float(), "mean").item() for n, v in out.metrics.items()})
        self._entropies.add(entropy, mask_BT, inputs.get("right"))
        if self.accelerator.sync_gradients:  # the last micro-batch of the step
            self._observe(self._entropies.told(lambda sums: self.reduced(sums, "sum")))
        if aux is None:
            return out.loss
        # Experts are kept in balance whatever the algorithm is: a property of the model.
        share = self.router_aux_loss_coef / self.current_gradient_accumulation_steps
        return out.loss + share * aux

    def _observe(self, entropies: Mapping[str, float]) -> None:
        """Log where the entropy of a step is, and let the bonus of the next one follow it."""
        self._tell({**entropies, **self.bonus.metrics()})
        if "entropy" in entropies:
            self.bonus.observe(entropies["entropy"])

    def _criticise(self, critic: CriticTrainer, inputs: Any, mask_BT: Tensor) -> None:
        with self.accelerator.autocast():
            loss = critic.loss(_sequences(inputs), inputs, mask_BT)
        loss.backward()
        self._value_loss += loss.item()
        if self.accelerator.sync_gradients:
            critic.step()
            self._tell({"value_loss": self._value_loss})
            self._value_loss = 0.0

    def _warming(self) -> bool:
        return self.critic is not None and self.critic.warming(self.state.global_step)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """As ever; while the critic alone learns, the optimiser then finds no gradient, and not even decays."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._warming():
            model.zero_grad(set_to_none=True)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        return None if self._warming() else super()._get_grad_norm(model, grad_norm)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.critic is not None:
            self.critic.save(Path(str(self.args.output_dir)) / f"{PREFIX}{self.state.global_step}")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if self.critic is not None and checkpoint is not None:
            self.critic.load(Path(checkpoint))


def _like(each_PG: Tensor, values: Tensor) -> Tensor:
    """Something of answers, ready to meet values of answers or of their tokens."""
    return each_PG if each_PG.ndim == values.ndim else each_PG.unsqueeze(-1)


def _numbers(known: Sequence[float | None], device: Any) -> Tensor:
    return torch.tensor([float("nan") if each is None else each for each in known], device=device)


def _sequences(rows: Mapping[str, Any]) -> tuple[Tensor, Tensor, int]:
    """Ids and attention of prompts with their completions, and how many places the completions take."""
    ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], dim=1)
    attended = torch.cat([rows["prompt_mask"], rows["completion_mask"]], dim=1)
    return ids, attended, rows["completion_ids"].size(1)


def _columns(values: Tensor) -> Tensor:
    """One column for each answer, unless there is one for each token."""
    return values if values.ndim == 2 else values.unsqueeze(-1)


def _sampled(rows: Mapping[str, Any]) -> Tensor:
    """1 where a token of the completion may be seen by a loss."""
    mask_BT = rows["completion_mask"]
    # There only where some row has tokens that no loss may see: given ones, or a filler's.
    return mask_BT * rows["tool_mask"] if "tool_mask" in rows else mask_BT


def _mask(rows: Mapping[str, Any]) -> Tensor:
    """1 where a token trains: an unscorable sample trains nowhere, not even towards the reference."""
    return _sampled(rows) * rows["trains"].unsqueeze(-1)


def _live(rows: Mapping[str, Any], mask_BT: Tensor) -> Tensor:
    """Answers that are worth something and train somewhere."""
    return ((_columns(rows["advantages"]) != 0) & mask_BT.bool()).any(-1)


def _old(rows: Mapping[str, Any], logps_BT: Tensor) -> Tensor:
    """What ratios are taken against: the policy that drew, by our own arithmetic, or what the sampler recorded."""
    old_BT = rows.get("old_per_token_logps")
    if old_BT is None:
        old_BT = logps_BT.detach()
    if "by_record" not in rows:
        return old_BT
    recorded_BT = rows["sampling_per_token_logps"].to(old_BT.dtype)
    return recorded_BT.where(rows["by_record"].unsqueeze(-1), old_BT)


def train_policy(job: Job, settings: PolicySettings, rollout: Rollout) -> dict[str, float]:
    """Reinforcement learning with rollouts from ``rollout``.

    ``rollout(step, count)`` returns this process's columns, of equal length ``count``, group after group:
    ``prompt_ids``, ``completion_ids``, ``logprobs`` and ``shaped``, the reward or ``None`` for a completion that
    cannot be scored (it takes no part in its group). Where some row is not all the policy's own there are also
    ``loss_mask``, 0 for tokens that no loss sees, and ``weight``, what each row's ratio is taken against: ``own``,
    ``behaviour`` (its ``logprobs``) or ``shaped``; and where it is known ``correctness``, 0 or 1, of the policy's own
    answers and ``None`` of others, which only metrics read; and ``advantage``, what some rows are worth whatever the
    algorithm says. TRL's dataset carries no prompts; it only counts steps.
    """

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        columns = dict(rollout(trainer.state.global_step, len(prompts)))
        trainer.weights = columns.pop("weight", None)
        trainer.correctness = columns.pop("correctness", None)
        trainer.given = columns.pop("advantage", None)
        if "loss_mask" in columns:
            columns["env_mask"] = columns.pop("loss_mask")  # TRL's name for it
        return columns

    def shaped_reward(shaped: list[float | None], **_: Any) -> list[float | None]:
        return shaped

    critic = critic_of(job, settings.algorithm)
    bonus = settings.algorithm.bonus.build()
    job = replace(job, side={**job.side, "bonus.json": Side(bonus.state, bonus.restore)})
    batch, minibatches = job.training.batch, settings.algorithm.minibatches
    # Each row stands for a group and is used ``updates`` times: enough for every step, and for one draw at least.
    counted = max(job.steps * batch, batch * minibatches // settings.group)
    with _referring(job.model, settings.reference):
        trainer = _Policy(
            model=job.model,
            reward_funcs=[shaped_reward],
            args=_config(job, settings),
            train_dataset=Dataset.from_list([{"prompt": "curriculum"}] * counted),
            processing_class=job.tokenizer,
            rollout_func=roll,
        )
    trainer.settings, trainer.bonus, trainer.critic = settings, bonus, critic
    trainer._entropies = Entropies()
    if critic is not None:
        critic.to(trainer.accelerator.device, bool(trainer.args.gradient_checkpointing))
    return run(trainer, job)


@contextmanager
def _referring(model: Any, reference: Path | None) -> Iterator[None]:
    """While TRL makes its trainer: it loads the reference from where the model says that it came from."""
    start = model.config.name_or_path
    model.config.name_or_path = start if reference is None else str(reference)
    yield
    model.config.name_or_path = start


def critic_of(job: Job, algorithm: Algorithm) -> CriticTrainer | None:
    """The critic that the algorithm needs, made of the policy before that is wrapped."""
    learner = algorithm.learner()
    return None if learner is None else CriticTrainer(learner, job.model, job.training.clip)


def _config(job: Job, settings: PolicySettings) -> GRPOConfig:
    given = arguments(job)
    # Between two updates on the same rollouts there is nothing to resume from: they live in memory only.
    given["save_steps"] = whole_rollouts(job.training.save_every, settings.updates)
    if sharded():  # TRL would lay the reference model over all devices of the machine
        given["model_init_kwargs"] = {"device_map": None}
    return GRPOConfig(
        num_generations=settings.group,
        max_completion_length=settings.max_tokens,
        temperature=settings.temperature,
        num_iterations=settings.iterations,
        steps_per_generation=given["gradient_accumulation_steps"] * settings.algorithm.minibatches,
        shuffle_dataset=False,
        # A switch here, not a weight: whether TRL keeps a reference model and asks it.
        beta=float("reference" in settings.algorithm.needs()),
        **given,
    )


def whole_rollouts(every: int, updates: int) -> int:
    """``every`` steps, raised to the next end of a batch of rollouts."""
    return -(-every // updates) * updates
