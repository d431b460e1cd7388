"""Stage ``rl``: GRPO on a pass-rate band with a length reward, as Light-R1 trained its 14B model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from longstep.config import Field, UserError, model_validator
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import Flow, share
from longstep.curriculum import AnyCurriculum, Horizon, Shuffle
from longstep.curriculum.gates import AnyGate
from longstep.curriculum.guides import AnyGuide, NoGuide
from longstep.curriculum.until import AnyUntil, Steps, Watched
from longstep.draw.engines import Opened, desk_of
from longstep.draw.prompts import engine
from longstep.draw.samplers import AnyEngine
from longstep.foresight import Ahead, Foreseen
from longstep.generate import Generator, Sampling
from longstep.losses import AnyAlgorithm, LightR1
from longstep.report.blocks import Block
from longstep.rl.drawing import Drawer
from longstep.rl.ending import (
    confess,
    ended_blocks,
    ending,
    reference_complaints,
    reference_misfits,
)
from longstep.rl.exam import Exam, exam_blocks
from longstep.rl.fitting import Ensemble, engine_complaints
from longstep.rl.guiding import Hints, refuse_helpless
from longstep.rl.health import Health, HealthConfig
from longstep.rl.memory import Moments
from longstep.rl.pool import Pool, pooled
from longstep.rl.rollouts import Rollouts, sides
from longstep.rl.stats import observe_health
from longstep.rl.toggle import toggled
from longstep.stages.base import Stage
from longstep.training import carried
from longstep.training.config import Training
from longstep.training.estimate import holding, passes, trained, ways
from longstep.training.finish import Ended, finish_model
from longstep.training.ranks import sharded, world
from longstep.training.start import open_job, open_policy


class Rl(Training, Stage):
    """Reinforcement learning of ``model`` with verified rewards.

    ``batch`` counts completions per optimiser step. A batch of rollouts is ``algorithm.minibatches`` of them, drawn at
    once; checkpoints are taken where one is used up, so ``save_every`` is raised to whole batches of rollouts.

    Attributes:
        model: the start and, with a penalty, the frozen reference.
        reference: another model for the penalty to compare with; ``null`` compares with the start.
        by: who draws the rollouts: ``null`` the model in training itself; a ``model`` of the same name a copy that
            takes over its weights before each step.
        data: rated problems. Keys that look wrong are set aside by a ``select`` stage before this one.
        where: the band, e.g. pass rate 0.25 to 0.625 (Light-R1, section 4).
        algorithm: the method with its rewards and updates per batch of rollouts; naming it is the whole setting.
        curriculum: the order of problems.
        gate: which of the drawn groups are trained on; ``null`` takes the algorithm's own gate.
        guide: help for groups without a right answer.
        until: a rule that may end the stage before its last step, by how the rollouts went.
        exam: held-out problems that are answered during the training, for a curve that no curriculum bends.
        unthinking: share of the problems that are asked for an answer without a thought (the template's toggle); for
            rewards of the form, and to train both modes.
        group: completions per problem.
        max_tokens: longest completion.
        rollout_batch: completions decoded together; ``null`` decodes as many as one optimiser step trains on.
        temperature: of the rollouts.
        iterations: times each row is used; with 1, and one update per batch of rollouts, training is strictly
            on-policy.
        health: rules that warn, and stop the run when strict.
        optimizer_state: ``fresh``, or ``carried``: begins with what the optimiser of the stage that made ``model`` had
            gathered, as if phases were one training. A critic and the schedule always begin anew.
        keep_optimizer: stores that beside the weights, for a stage that carries it on; phases set it themselves.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["rl"] = "rl"
    model: str
    reference: str | None = None
    by: AnyEngine | None = None
    data: str
    where: Where = Where()
    algorithm: AnyAlgorithm = LightR1()
    curriculum: AnyCurriculum = Shuffle()
    gate: AnyGate | None = None
    guide: AnyGuide = NoGuide()
    until: AnyUntil = Steps()
    exam: Exam | None = None
    unthinking: float = Field(default=0.0, ge=0, le=1)
    group: int = Field(default=8, ge=2)
    max_tokens: int = Field(default=4096, ge=1)
    rollout_batch: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    iterations: int = Field(default=1, ge=1)
    health: HealthConfig = HealthConfig()
    optimizer_state: Literal["fresh", "carried"] = "fresh"
    keep_optimizer: bool = False

    def rounding_fields(self) -> frozenset[str]:
        """Also how many completions are decoded at once."""
        return super().rounding_fields() | {"rollout_batch"}

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, given: Any) -> Any:
        if isinstance(given, dict) and "rewards" in given:
            raise ValueError(
                "rewards belong to the method now: write algorithm: {kind: ..., rewards: [...]}"
            )
        if isinstance(given, dict) and "key_audit" in given:
            raise ValueError(
                "key_audit: is no setting of rl; put a stage `kind: select` (it drops suspect keys) before it and name "
                "that as data"
            )
        return given

    @property
    def updates(self) -> int:
        """Optimiser steps from one batch of rollouts to the next."""
        return self.algorithm.minibatches * self.iterations

    @property
    def groups(self) -> int:
        """Groups that a batch of rollouts is trained on."""
        return self.batch * self.algorithm.minibatches // self.group

    @property
    def selection(self) -> AnyGate:
        """The gate: its own, or the algorithm's."""
        return self.algorithm.gate if self.gate is None else self.gate

    def total_steps(self, rows: int) -> int:
        """Whole draws, so that with ``epochs`` every problem is asked at least so often; ``rows`` are completions."""
        if self.epochs is None:
            return super().total_steps(rows)
        return (
            math.ceil(rows * self.epochs / (self.batch * self.algorithm.minibatches)) * self.updates
        )

    @property
    def _other_reference(self) -> str | None:
        """The model that a penalty compares with, where it is not the start."""
        return None if self.reference == self.model else self.reference

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and the problems."""
        yield self.model, "model"
        yield self.data, "rows"
        if (other := self._other_reference) is not None:
            yield other, "model"
        if self.exam is not None:
            yield self.exam.data, "rows"
        if self.by is not None:
            yield from self.by.references()

    def check(self) -> Iterator[str]:
        """Wrong ``trainer:`` keys, a batch that does not hold whole groups, options without effect."""
        yield from self.trainer_complaints("grpo")
        if self.batch % self.group:
            yield f"batch: {self.batch} completions cannot hold whole groups of {self.group}"
        if self.max_tokens >= self.max_length:
            yield (
                f"max_tokens: {self.max_tokens} leaves no room for a prompt within max_length {self.max_length}; raise "
                "max_length"
            )
        yield from engine_complaints(self.by, self.model, self.unthinking, self.lora)
        if self.length_window != 1:
            yield "length_window: has no effect: the curriculum orders the problems"
        if "values" in self.algorithm.needs() and self.lora is not None:
            yield f"lora: {self.algorithm.kind} trains a whole critic beside the model; leave lora out"
        if self.lora is not None and (self.keep_optimizer or self.optimizer_state == "carried"):
            yield "lora: adapters are new in each stage, so there is no state to carry; leave one of them out"
        yield from self._member_complaints()
        yield from reference_complaints(self.reference, self.model, self.algorithm, self.lora)
        if self.steps is not None:
            yield from self._step_complaints(self.steps)

    def _step_complaints(self, steps: int) -> Iterator[str]:
        draws = -(-steps // self.updates)
        yield from (f"until.{complaint}" for complaint in self.until.fits(draws))
        yield from (f"algorithm.{complaint}" for complaint in self.algorithm.fits(steps))
        yield from (f"gate.{complaint}" for complaint in self.selection.lasts(steps))
        if self.exam is not None:
            yield from (f"exam.{complaint}" for complaint in self.exam.fits(draws))

    def _wasted(self, steps: int) -> Iterator[tuple[str, str]]:
        """Cause and remedy, when the last batch of rollouts is drawn for more updates than there are."""
        if left := -steps % self.updates:
            yield (
                f"the last batch of rollouts makes {self.updates} updates and the stage ends {left} before, so that "
                "much of what it draws is not trained on",
                f"set steps: {steps + left}, or fewer minibatches",
            )

    def _member_complaints(self) -> Iterator[str]:
        place = "algorithm.gate" if self.gate is None else "gate"
        ensemble = Ensemble(self.algorithm, self.selection, place, self.guide, self.until)
        if self.gate is not None and "gate" in self.algorithm.model_fields_set:
            yield "gate: is set here and in algorithm; set it in one place"
        yield from ensemble.sizes(self.group)
        if self.unthinking and self.guide.helps():
            yield f"unthinking: guide {self.guide.kind} gives its help as a thought; leave one of them out"
        yield from ensemble.idle(self.updates)
        yield from ensemble.records(self.temperature)

    def refusals(self, processes: int, sharded: bool) -> Iterator[str]:
        """As for every training; besides, each process draws whole groups."""
        yield from super().refusals(processes, sharded)
        if "values" in self.algorithm.needs() and (processes > 1 or sharded):
            yield f"algorithm {self.algorithm.kind} trains its critic in one process; start one, without shards"
        if sharded and (self.keep_optimizer or self.optimizer_state == "carried"):
            yield "optimizer_state: cannot be carried from shards; set launch.sharding=none"
        if self.batch % (self.group * processes):
            yield (
                f"batch {self.batch} is not a multiple of group {self.group} x {processes} processes, each of which "
                "draws whole groups; start fewer processes"
            )

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Its start, trained."""
        kept = frozenset({carried.FILE}) if self.keep_optimizer else None
        return replace(self.made_of(self.model, ahead), files=kept)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """A model that cannot be trained so, or problems without what the curriculum orders by."""
        yield from self.training_misfits(self.model, ahead)
        yield from reference_misfits(ahead, self.model, self.reference)
        yield from ahead.room("max_tokens", self.model, self.max_tokens)
        yield from ahead.files("data", self.data, "problems.jsonl")
        yield from ahead.fields(self, self.data)
        yield from ahead.where(self.where, self.data)
        if self.exam is not None:
            yield from self.exam.misfits(ahead, self.data)
        if self.optimizer_state == "carried" and not ahead.keeps(self.model, carried.FILE):
            yield f"optimizer_state: {carried.absent(self.model)}"

    def run(self, context: Context) -> None:
        """Select, roll out and train, save."""
        from longstep.training.policy import PolicySettings, train_policy

        tokenizer, model = open_policy(context.model(self.model), self.lora, context.seed)
        opened = self._opened(context, model, tokenizer)
        chosen = chosen_problems(context, self.data, self.where)
        pool = pooled(context.name, chosen, opened, self.max_length, self.max_tokens)
        steps = self.total_steps(len(pool.problems) * self.group)
        for complaint in self._step_complaints(steps):
            raise UserError(f"{context.name}: {complaint}")
        hints = Hints(tokenizer, pool.longest, self.max_tokens)
        drawer = self._drawer(context, opened.generator)
        drawer.refresh = lambda step: opened.generator.sync(model, step)
        rollouts = self._rollouts(context, pool, steps, drawer, hints)
        if self.guide.helps():
            refuse_helpless(rollouts.guide, pool.problems, hints, context.name)
        if self.exam is not None:
            sat = self.exam.sitting(context, opened, drawer, pool.longest, self.updates)
            sat.refuse_trained(context.name, pool.problems)
            rollouts.exam = sat
        health, notes = Health(self.health), context.log("health.jsonl")
        job = replace(
            open_job(context, self, tokenizer, model, steps),
            extra=lambda: rollouts.stats,
            watch=lambda row: observe_health(health, notes, row, self.updates),
            ends=lambda step: "" if step % self.updates else rollouts.ended,
            side=sides(rollouts, health),
            carried=None if self.optimizer_state == "fresh" else context.model(self.model),
            keeps=self.keep_optimizer,
        )
        settings = PolicySettings(
            self.algorithm,
            self.group,
            self.max_tokens,
            self.temperature,
            self.iterations,
            None if (other := self._other_reference) is None else context.model(other),
        )
        train_policy(job, settings, rollouts)
        rollouts.spent.charge(context.cost, self.iterations)
        done = min(steps, rollouts.until.history[-1].step + self.updates)
        facts: dict[str, object] = {
            **pool.facts(),
            **ending(context, rollouts, notes, steps, self.updates),
            **confess(notes, self.algorithm, [*pool.warnings(self.groups), *self._wasted(done)]),
        }
        names = [self.model], [self.data]
        ended = Ended(job.model, tokenizer, *names, pool.problems, facts, self.unthinking < 1)
        finish_model(context, self, ended)
        if self.keep_optimizer:
            carried.place(context.folder)

    def _opened(self, context: Context, model: Any, tokenizer: Any) -> Opened:
        """Who draws: the model in training or, with shards or when ``by`` says so, a whole copy in each process."""
        if self.by is not None:
            return self.by.open(desk_of(context, ()))
        from longstep.models.bounds import context_length
        from longstep.models.load import load_model

        if sharded():  # in the precision of sampling
            model = load_model(context.model(self.model))
        return Opened(
            engine(model, tokenizer),
            lambda problems: toggled(tokenizer, problems, self.unthinking, context.seed),
            context_length(model),
        )

    def _drawer(self, context: Context, generator: Generator) -> Drawer:
        # No top-p: the update is only right for samples of the policy itself.
        sampling = Sampling(
            temperature=self.temperature,
            top_p=1.0,
            max_tokens=self.max_tokens,
            seed=context.seed,
            logprobs=True,
        )
        return Drawer(generator, sampling, self.rollout_batch or self.batch // world())

    def _rollouts(
        self,
        context: Context,
        pool: Pool,
        steps: int,
        drawer: Drawer,
        hints: Hints,
    ) -> Rollouts:
        problems = pool.problems
        horizon = Horizon(steps, self.groups, context.seed, self.updates)
        return Rollouts(
            problems=problems,
            prompts=pool.prompts,
            curriculum=self.curriculum.build(problems, horizon),
            gate=self.selection.build(self.group, horizon),
            guide=self.guide.build(problems, horizon),
            drawer=drawer,
            hints=hints,
            rewards=self.algorithm.rewards,
            group=self.group,
            record=context.log("rollouts.jsonl"),
            until=Watched(self.until),
        )

    def estimate(self, given: Estimator) -> Estimate:
        """Rounds of rollouts, each waiting for its longest answer, and the updates on them."""
        data, shape = given.input(self.data), given.model(self.model)
        problems = given.rows(data.problems * share(self.where, data))
        steps = self.total_steps(int(problems) * self.group)
        kept = self.batch * self.algorithm.minibatches
        rounds = math.ceil(steps / self.updates)
        drawn = kept // self.group * self.selection.answers(self.group)
        prompt, mean = given.plan.prompt_tokens, given.mean(self.max_tokens)
        length = mean + prompt
        needs = self.algorithm.needs()
        penalised, critic = "reference" in needs, "values" in needs
        # The log-probabilities of the draw are taken anew where several updates follow it, or a reward needs them.
        reread = costs.FORWARD * (penalised + (self.updates > 1 or "drift" in needs))
        through = self.iterations * passes(self) * (1 + critic) + reread + costs.FORWARD * critic
        flops = rounds * kept * length * costs.token_flops(shape, length, through)
        together = self.rollout_batch or max(1, self.batch // given.fleet.devices)
        work = Decoding(drawn, prompt, mean, self.max_tokens, together)
        # Each process draws its own part, from a whole model.
        decoding = rounds * costs.decoding_hours(shape, work, given.fleet.devices, given.plan)
        held = holding(self, given, shape, reference=penalised and self.lora is None)
        held = replace(held, copies=int(self.by is not None), critic=critic)
        moments = Moments(shape, work, given.fleet.devices, given.usable)
        spent = trained(self, given, shape, flops, held)
        given.remark(
            f"{given.name}: rollouts take {decoding / (spent.hours + decoding):.0%} of its time, set by the longest "
            "answer of each step"
        )
        foretold = (self.selection.foretold(), self.guide.foretold(), self.until.foretold())
        wasted = [f"{cause}; {remedy}" for cause, remedy in self._wasted(steps)]
        for sentence in (*self.algorithm.lacks(), *wasted, *filter(None, foretold)):
            given.remark(f"{given.name}: {sentence}")
        sat = Spent() if self.exam is None else self.exam.spends(given, shape, work, rounds)
        hours = spent.hours + decoding + sat.hours
        spent = replace(
            spent,
            tokens=rounds * drawn * mean + sat.tokens,
            memory=moments.peak(held),
            hours=hours,
            dollars=given.price(hours),
        )
        planned = given.planned(spent, rows=problems, trained=steps * self.batch * length)
        relief = moments.relief(held, [*ways(self, given, shape)])
        return Estimate(Flow(shape=shape), planned, relief)

    def blocks(self, out: Path) -> Iterator[Block]:
        """When it ended, and why; the exams."""
        yield from ended_blocks(out.parent)
        yield from exam_blocks(out.parent)
