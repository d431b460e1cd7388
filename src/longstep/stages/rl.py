"""Stage ``rl``: GRPO on a pass-rate band with a length reward, as Light-R1 trained its 14B model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

from longstep.artifacts import read_rows, write_rows
from longstep.config import Field, UserError
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.curate import KeyAudit, audit_keys, votes_of
from longstep.curriculum import AnyCurriculum, Shuffle
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Generator, Prompt
from longstep.losses import AnyPolicyLoss, LightR1
from longstep.losses.rewards import AnyReward, ClippedCosine
from longstep.rl.health import Health, HealthConfig
from longstep.rl.rollouts import Rollouts
from longstep.rl.stats import observe_health
from longstep.stages.base import Stage
from longstep.training.checkpoints import Side
from longstep.training.config import Training
from longstep.training.finish import finish_model
from longstep.training.ranks import sharded
from longstep.training.start import open_job, open_policy
from longstep.types import Completion, Problem
from longstep.verify.keys import same_answer


class Rl(Stage, Training):
    """Reinforcement learning of ``model`` with verified rewards; ``batch`` counts completions.

    Attributes:
        model: the start and, when the loss has a KL term, the frozen reference.
        data: rated problems; with their completions when the key audit is on.
        where: the band, e.g. pass rate 0.25 to 0.625 (Light-R1, section 4).
        key_audit: ``majority`` drops never-solved problems whose wrong answers agree; ``off`` trusts every key.
        algorithm: the loss; naming it is the whole setting.
        rewards: summed; computed from correctness and length.
        curriculum: the order of problems.
        group: completions per problem.
        max_tokens: longest completion.
        rollout_batch: completions decoded together; ``null`` decodes all of a step at once.
        temperature: of the rollouts.
        iterations: optimiser steps per batch of rollouts; 1 is strictly on-policy.
        health: rules that warn, and stop the run when strict.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["rl"] = "rl"
    model: str
    data: str
    where: Where = Where()
    key_audit: Literal["majority", "off"] = "majority"
    algorithm: AnyPolicyLoss = LightR1()
    rewards: tuple[AnyReward, ...] = Field(default=(ClippedCosine(),), min_length=1)
    curriculum: AnyCurriculum = Shuffle()
    group: int = Field(default=8, ge=2)
    max_tokens: int = Field(default=4096, ge=1)
    rollout_batch: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    iterations: int = Field(default=1, ge=1)
    health: HealthConfig = HealthConfig()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and the problems."""
        yield self.model, "model"
        yield self.data, "rows"

    def check(self) -> Iterator[str]:
        """Wrong ``trainer:`` keys, a batch that does not hold whole groups, options without effect."""
        yield from self.trainer_complaints("grpo")
        if self.batch % self.group:
            yield f"batch: {self.batch} completions cannot hold whole groups of {self.group}"
        if self.length_window != 1:
            yield "length_window: has no effect: the curriculum orders the problems"

    def refusals(self, processes: int, sharded: bool) -> Iterator[str]:
        """As for every training; besides, each process draws whole groups."""
        yield from super().refusals(processes, sharded)
        if self.batch % (self.group * processes):
            yield (
                f"batch {self.batch} is not a multiple of group {self.group} x {processes} processes, each of which "
                "draws whole groups; start fewer processes"
            )

    def run(self, context: Context) -> None:
        """Select, roll out and train, save."""
        from longstep.models.load import copy_weights, load_model
        from longstep.training.policy import GrpoSettings, train_grpo

        folder = context.model(self.model)
        tokenizer, model = open_policy(folder, self.lora, context.seed)
        problems, prompts = self._pool(context, tokenizer)
        steps = self.total_steps(len(problems) * self.group)
        rollouts = self._rollouts(context, problems, prompts, engine(model, tokenizer))
        if sharded():  # every process draws from a whole copy, in the precision of sampling
            copy = load_model(folder)
            rollouts.generator = engine(copy, tokenizer)
            rollouts.refresh = lambda: copy_weights(model, copy)
        health = Health(self.health)
        notes = context.log("health.jsonl")
        job = replace(
            open_job(context, self, tokenizer, model, steps),
            extra=lambda: rollouts.stats,
            watch=lambda row: observe_health(health, notes, row),
            side=_side(rollouts, health),
        )
        settings = GrpoSettings(
            self.group, self.max_tokens, self.temperature, self.algorithm.trl(), self.iterations
        )
        train_grpo(job, settings, rollouts)
        context.cost.tokens_generated += rollouts.tokens
        context.cost.tokens_trained += rollouts.tokens * self.iterations
        facts = {
            "problems": len(problems),
            "steps": steps,
            "rollouts": steps * self.batch // self.iterations,
        }
        finish_model(
            context, self, job.model, tokenizer, [self.model], problems, facts, [self.data]
        )

    def _pool(self, context: Context, tokenizer: Any) -> tuple[list[Problem], list[Prompt]]:
        """The band of problems whose key is trusted and whose prompt leaves room, with their rendered prompts."""
        trusted = None if self.key_audit == "off" else self._trusted(context)
        chosen = chosen_problems(context, self.data, self.where, trusted)
        longest = self.max_length - self.max_tokens
        rendered = zip(chosen, prompts_for(tokenizer, chosen), strict=True)
        fitting = [(p, prompt) for p, prompt in rendered if len(prompt.prompt_ids) <= longest]
        if not fitting:
            raise UserError(
                f"{context.name}: no prompt fits: max_length {self.max_length} less max_tokens {self.max_tokens} "
                f"leaves {longest} tokens; raise max_length"
            )
        return [p for p, _ in fitting], [prompt for _, prompt in fitting]

    def _trusted(self, context: Context) -> set[str]:
        """Ids of all problems whose key looks right.

        The suspects are never-solved ones, so most bands exclude them anyway; they are written down for a person.
        """
        everything = chosen_problems(context, self.data, Where())
        completions = read_rows(context.rows(self.data, "completions.jsonl"), Completion)
        votes = votes_of(completions, same_answer)
        suspects = audit_keys(everything, votes, KeyAudit(), same_answer)
        write_rows(
            context.folder / "suspect_keys.jsonl",
            (
                {"id": s.problem.id, "answer": s.problem.answer, "reason": s.reason}
                for s in suspects
            ),
        )
        return {p.id for p in everything} - {s.problem.id for s in suspects}

    def _rollouts(
        self,
        context: Context,
        problems: list[Problem],
        prompts: list[Prompt],
        generator: Generator,
    ) -> Rollouts:
        return Rollouts(
            problems=problems,
            prompts=prompts,
            curriculum=self.curriculum.build(problems, context.seed),
            generator=generator,
            rewards=self.rewards,
            group=self.group,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            together=self.rollout_batch,
            seed=context.seed,
            record=context.log("rollouts.jsonl"),
        )


def _side(rollouts: Rollouts, health: Health) -> dict[str, Side]:
    """What a checkpoint must carry beside the trainer's own state."""
    return {
        "curriculum.json": Side(rollouts.curriculum.state, rollouts.curriculum.restore),
        "health.json": Side(health.state, health.restore),
        "rollouts.json": Side(rollouts.state, rollouts.restore),
    }
