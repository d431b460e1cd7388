"""Stage ``rl``: GRPO on a pass-rate band with a length reward, as Light-R1 trained its 14B model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from longstep.artifacts import read_rows, write_rows
from longstep.checkpoints import Side
from longstep.config import Field, UserError
from longstep.curate import key_audit
from longstep.curriculum import AnyCurriculum, Shuffle
from longstep.health import Health, HealthConfig
from longstep.losses import AnyPolicyLoss, LightR1
from longstep.ranks import sharded
from longstep.rewards import AnyReward, ClippedCosine
from longstep.stages.base import Artifact, Context, Stage, Where
from longstep.stages.finish import finish_model
from longstep.stages.rollouts import Rollouts, observe_health
from longstep.stages.sample import chosen_problems
from longstep.stages.sampling import engine, prompts_for
from longstep.training import Training
from longstep.trl_keys import complaint
from longstep.types import Completion, Problem


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
    temperature: float = Field(default=1.0, gt=0)
    iterations: int = Field(default=1, ge=1)
    health: HealthConfig = HealthConfig()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and the problems."""
        yield self.model, "model"
        yield self.data, "rows"

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys, and a batch that does not hold whole groups."""
        for key in self.trainer:
            if problem := complaint("grpo", key):
                yield f"trainer.{key}: {problem}"
        if self.batch % self.group:
            yield f"batch: {self.batch} completions cannot hold whole groups of {self.group}"

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
        from longstep.models.load import copy_weights, load_model, load_tokenizer
        from longstep.models.lora import wrap
        from longstep.trainers import GrpoSettings, Job, train_grpo

        folder = context.model(self.model)
        tokenizer, model = load_tokenizer(folder), load_model(folder, "float32", sharded())
        if self.lora is not None:
            model = wrap(model, self.lora)
        problems = self._pool(context)
        steps = self.total_steps(len(problems) * self.group)
        rollouts = self._rollouts(context, problems, model, tokenizer)
        if sharded():  # every process draws from a whole copy, in the precision of sampling
            copy = load_model(folder)
            rollouts.generator = engine(copy, tokenizer)
            rollouts.refresh = lambda: copy_weights(model, copy)
        health = Health(self.health)
        notes = context.log("health.jsonl")
        job = Job(
            model,
            tokenizer,
            self,
            steps,
            context.seed % 2**31,
            context.folder,
            context.progress(context.name, steps, "step"),
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
        finish_model(context, self, job.model, tokenizer, [self.model], problems, facts)

    def _pool(self, context: Context) -> list[Problem]:
        """Problems of the band, without those whose key looks wrong; those are kept aside for a person."""
        problems = chosen_problems(context, self.data, self.where)
        if self.key_audit == "off":
            return problems
        completions = read_rows(context.rows(self.data, "completions.jsonl"), Completion)
        suspects = key_audit(problems, completions)
        write_rows(
            context.folder / "suspect_keys.jsonl",
            ({"id": p.id, "answer": p.answer, "reason": r} for p, r in suspects),
        )
        dropped = {problem.id for problem, _ in suspects}
        kept = [problem for problem in problems if problem.id not in dropped]
        if not kept:
            raise UserError(
                f"{context.name}: all {len(problems)} problems have a suspect key; look at suspect_keys.jsonl"
            )
        return kept

    def _rollouts(
        self, context: Context, problems: list[Problem], model: Any, tokenizer: Any
    ) -> Rollouts:
        return Rollouts(
            problems=problems,
            prompts=prompts_for(tokenizer, problems),
            curriculum=self.curriculum.build(problems, context.seed),
            generator=engine(model, tokenizer),
            rewards=self.rewards,
            group=self.group,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
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
