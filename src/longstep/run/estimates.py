"""What each stage of a recipe takes; rows flow through the stages as artifacts do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from longstep.costs import arithmetic as costs
from longstep.costs import flow as rows
from longstep.costs.arithmetic import Decoding, Holding
from longstep.costs.flow import Flow
from longstep.costs.shapes import Shape, shape_of
from longstep.draw.samplers import ByEndpoint, ByModel, ByServer
from longstep.evaluate import resolve
from longstep.models.tiny import ADDED, CHARACTERS, SPECIAL, TinySpec
from longstep.run.recipe import Recipe
from longstep.stages import (
    Checkpoint,
    Contrast,
    Curate,
    Evaluate,
    Merge,
    Prefer,
    Pretrain,
    Rl,
    Sample,
    Select,
    Sft,
    SoftSft,
)
from longstep.training.config import Training

#: Share of problems with both a right trace and a wrong answer of the model's own.
PAIRED = 0.5
#: Share of positions that pass LightReasoner's KL gate (paper, appendix: about a fifth exceed 0.4).
KEPT = 0.2


@dataclass(frozen=True)
class StagePlan:
    """One stage's estimate; ``memory`` in bytes per device, ``None`` where the stage needs none."""

    stage: str
    kind: str
    parameters: int = 0
    rows: float = 0.0
    tokens_generated: float = 0.0
    tokens_trained: float = 0.0
    memory: float | None = None
    hours: float = 0.0
    dollars: float = 0.0


Made = tuple[Flow, StagePlan]


class Planner:
    """Walks the stages: ``flows`` is what each hands on, ``remarks`` what the user should know."""

    def __init__(self, recipe: Recipe, devices: int) -> None:
        self.recipe = recipe
        self.plan = recipe.plan
        self.devices = devices
        self.flows: dict[str, Flow] = {}
        self.remarks: list[str] = []

    def estimate(self, name: str) -> StagePlan:
        """Plan one stage whose inputs are planned already."""
        self.flows[name], planned = self._made(name)
        usable = self.plan.hardware.memory * costs.USABLE
        if planned.memory is not None and planned.memory > usable:
            self._remark(
                f"{name} needs {planned.memory / 1e9:.0f} GB of the {usable / 1e9:.0f} GB usable on "
                f"each {self.plan.device}: {self._advice(name)}"
            )
        return planned

    def _made(self, name: str) -> Made:
        match self.recipe.stages[name]:
            case Checkpoint() as stage:
                shape = self._model(stage.path)
                return Flow(shape=shape), StagePlan(name, stage.kind, shape.parameters)
            case Curate() as stage:
                return self._curate(name, stage)
            case Sample() as stage:
                return self._sample(name, stage)
            case Select() as stage:
                given = self._given(stage.data)
                kept = self.plan.rows.get(name, given.problems)
                if stage.rules and name not in self.plan.rows:
                    self._remark(f"{name}: rules are not estimated; set plan.rows.{name}")
                flow = replace(given, problems=kept)
                return flow, StagePlan(name, stage.kind, rows=kept)
            case Contrast() as stage:
                return self._contrast(name, stage)
            case Sft() | Pretrain() as stage:
                return self._sft(name, stage)
            case SoftSft() as stage:
                return self._soft_sft(name, stage)
            case Prefer() as stage:
                return self._prefer(name, stage)
            case Merge() as stage:
                shape = self._model(stage.parents[0])
                return Flow(shape=shape), StagePlan(name, stage.kind, shape.parameters)
            case Rl() as stage:
                return self._rl(name, stage)
            case Evaluate() as stage:
                return Flow(), self._evaluate(name, stage)
            case other:
                self._remark(f"{name}: stages of kind {other.kind} are not estimated")
                return Flow(), StagePlan(name, other.kind)

    # -- problems and completions ---------------------------------------------------------------

    def _curate(self, name: str, stage: Curate) -> Made:
        collected = sum(self._counted(rows.of_source(each, self.plan)) for each in stage.sources)
        kept = self.plan.rows.get(name, collected * self.plan.clean)
        return Flow(problems=kept), StagePlan(name, stage.kind, rows=kept)

    def _sample(self, name: str, stage: Sample) -> Made:
        given = self._given(stage.data)
        problems = self.plan.rows.get(name, given.problems * rows.share(stage.where, given))
        adaptive = stage.adaptive
        drawn = problems * (adaptive.expected_samples() if adaptive else stage.sampling.samples)
        mean = self._mean(name, stage.sampling.max_tokens)
        kept = drawn
        if stage.keep == "correct":
            kept *= self.plan.correct
        if stage.per_problem is not None:
            kept = min(kept, problems * stage.per_problem)
        rates = (0.0, 1.0) if stage.rate else rows.inside(stage.where, given.rates)
        flow = Flow(problems, rates, kept, mean)
        planned = StagePlan(name, stage.kind, rows=kept, tokens_generated=drawn * mean)
        if isinstance(stage.by, ByModel):
            work = Decoding(
                drawn,
                self.plan.prompt_tokens,
                mean,
                stage.sampling.max_tokens,
                stage.sampling.batch_size,
            )
            return flow, self._decoded(planned, self._model(stage.by.model), work)
        if isinstance(stage.by, ByServer):
            self._remark(f"{name}: hours of the server started for it are not estimated")
            return flow, planned
        if isinstance(stage.by, ByEndpoint):
            dollars = drawn * mean * self.plan.endpoint_price / 1e6
            self._remark(
                f"{name}: {stage.by.model} draws {drawn * mean / 1e9:.2f} billion tokens elsewhere, at "
                f"${self.plan.endpoint_price} per million; its hours are not estimated"
            )
            return flow, replace(planned, dollars=dollars)
        return flow, replace(planned, tokens_generated=0.0)  # worked solutions are read, not drawn

    def _contrast(self, name: str, stage: Contrast) -> Made:
        given = self._given(stage.data)
        problems = self.plan.rows.get(name, given.problems * rows.share(stage.where, given))
        longest = stage.sampling.max_tokens
        mean = self.plan.tokens.get(name, min(self.plan.trace_tokens, longest))
        drawn = problems * stage.sampling.samples
        work = Decoding(drawn, self.plan.prompt_tokens, mean, longest, stage.sampling.batch_size)
        expert, amateur = self._model(stage.expert), self._model(stage.amateur)
        planned = StagePlan(name, stage.kind, rows=drawn, tokens_generated=drawn * mean)
        planned = self._decoded(planned, expert, work)
        length = self.plan.prompt_tokens + mean
        flops = drawn * length * costs.token_flops(amateur, length, costs.FORWARD)
        # Both output heads are applied to every position, and once more to the kept ones.
        heads = expert.vocab * expert.width + amateur.vocab * amateur.width
        flops += drawn * mean * 2 * heads * (1 + KEPT)
        steps = -(-drawn // stage.sampling.batch_size) * longest
        hours = max(planned.hours, self._launches(steps, costs.DECODE_STEP))
        hours += costs.training_hours(flops, self.devices, self.plan)
        logits = 6 * 4 * stage.entries
        memory = (planned.memory or 0.0) + costs.HALF * amateur.parameters + logits
        flow = Flow(problems, given.rates, drawn, mean)
        return flow, replace(self._priced(planned, hours), memory=memory)

    def _evaluate(self, name: str, stage: Evaluate) -> StagePlan:
        planned = StagePlan(name, stage.kind)
        for reference in stage.models.values():
            shape = self._model(reference)
            for member in stage.benchmarks:
                benchmark = resolve(member)
                drawn = self._counted(rows.of_benchmark(benchmark, self.plan)) * (
                    stage.samples or benchmark.samples
                )
                longest = stage.max_tokens or benchmark.max_tokens
                mean = self._mean(name, longest)
                work = Decoding(drawn, self.plan.prompt_tokens, mean, longest, stage.batch_size)
                part = self._decoded(StagePlan(name, stage.kind), shape, work)
                planned = replace(
                    planned,
                    rows=planned.rows + drawn,
                    tokens_generated=planned.tokens_generated + drawn * mean,
                    memory=max(planned.memory or 0.0, part.memory or 0.0),
                    hours=planned.hours + part.hours,
                    dollars=planned.dollars + part.dollars,
                )
        return planned

    def _decoded(self, planned: StagePlan, shape: Shape, work: Decoding) -> StagePlan:
        hours = costs.decoding_hours(shape, work, self.devices, self.plan)
        memory = costs.decoding_bytes(shape, work, self.devices, self.plan.hardware.memory)
        return replace(self._priced(planned, hours), parameters=shape.parameters, memory=memory)

    # -- training -------------------------------------------------------------------------------

    def _sft(self, name: str, stage: Sft | Pretrain) -> Made:
        given = self._given(stage.data)
        shape = (
            _tiny(stage.architecture) if isinstance(stage, Pretrain) else self._model(stage.model)
        )
        used = self.plan.rows.get(name, given.completions * rows.share(stage.where, given))
        length = min(given.tokens + self.plan.prompt_tokens, stage.max_length)
        seen = (
            used * stage.epochs
            if stage.epochs is not None
            else stage.total_steps(int(used)) * stage.batch
        )
        planned = StagePlan(name, stage.kind, shape.parameters, used, tokens_trained=seen * length)
        flops = seen * length * costs.token_flops(shape, length, _passes(stage))
        return Flow(shape=shape), self._trained(
            planned, stage, shape, flops, self._holding(stage, shape)
        )

    def _soft_sft(self, name: str, stage: SoftSft) -> Made:
        given = self._given(stage.data)
        shape = self._model(stage.model)
        mean = given.tokens + self.plan.prompt_tokens
        used = self.plan.rows.get(name, given.completions)
        if stage.rows != "rollout":  # one row per kept position, ending anywhere in the rollout
            used, mean = used * given.tokens * KEPT, self.plan.prompt_tokens + given.tokens / 2
        length = min(mean, stage.max_length)
        seen = stage.total_steps(int(used)) * stage.batch
        planned = StagePlan(name, stage.kind, shape.parameters, used, tokens_trained=seen * length)
        flops = seen * length * costs.token_flops(shape, length, _passes(stage))
        planned = self._trained(planned, stage, shape, flops, self._holding(stage, shape))
        hours = max(planned.hours, self._launches(seen / stage.batch, costs.TRAIN_STEP))
        return Flow(shape=shape), self._priced(planned, hours)

    def _prefer(self, name: str, stage: Prefer) -> Made:
        chosen, rejected = self._given(stage.chosen), self._given(stage.rejected)
        shape = self._model(stage.model)
        problems = min(chosen.problems, rejected.problems) * rows.share(stage.where, rejected)
        pairs = self.plan.rows.get(name, problems * PAIRED * stage.pairs.per_problem)
        length = min(
            (chosen.tokens + rejected.tokens) / 2 + self.plan.prompt_tokens, stage.max_length
        )
        seen = (
            pairs * stage.epochs
            if stage.epochs is not None
            else stage.total_steps(int(pairs)) * stage.batch
        )
        tokens = 2 * seen * length
        planned = StagePlan(name, stage.kind, shape.parameters, pairs, tokens_trained=tokens)
        flops = tokens * costs.token_flops(shape, length, _passes(stage) + costs.FORWARD)
        holding = self._holding(stage, shape, sides=2, reference=stage.lora is None)
        return Flow(shape=shape), self._trained(planned, stage, shape, flops, holding)

    def _rl(self, name: str, stage: Rl) -> Made:
        given = self._given(stage.data)
        shape = self._model(stage.model)
        problems = self.plan.rows.get(name, given.problems * rows.share(stage.where, given))
        steps = stage.total_steps(int(problems) * stage.group)
        rounds = steps / stage.iterations
        mean = self._mean(name, stage.max_tokens)
        length = mean + self.plan.prompt_tokens
        penalised = stage.algorithm.beta > 0
        passes = stage.iterations * _passes(stage) + costs.FORWARD * penalised
        flops = rounds * stage.batch * length * costs.token_flops(shape, length, passes)
        work = Decoding(stage.batch, self.plan.prompt_tokens, mean, stage.max_tokens, stage.batch)
        decoding = rounds * costs.decoding_hours(shape, work, self.devices, self.plan)
        planned = StagePlan(
            name,
            stage.kind,
            shape.parameters,
            problems,
            tokens_generated=rounds * stage.batch * mean,
            tokens_trained=steps * stage.batch * length,
        )
        holding = self._holding(stage, shape, reference=penalised and stage.lora is None)
        # Rollouts are drawn from a whole copy, and TRL gathers GRPO's reference all at once.
        holding = replace(holding, copies=1 + holding.reference)
        planned = self._trained(planned, stage, shape, flops, holding)
        states = costs.state_bytes(shape, holding)
        rolling = costs.decoding_bytes(shape, work, self.devices, self.plan.hardware.memory)
        memory = max(planned.memory or 0.0, states + rolling)
        share = decoding / (planned.hours + decoding)
        self._remark(
            f"{name}: rollouts take {share:.0%} of its time, set by the longest answer of each step"
        )
        return Flow(shape=shape), replace(
            self._priced(planned, planned.hours + decoding), memory=memory
        )

    def _holding(
        self, stage: Training, shape: Shape, sides: int = 1, reference: bool = False
    ) -> Holding:
        launch = self.recipe.launch
        micro = stage.micro_batch or -(-stage.batch // self.devices)
        on_gpu = self.plan.device != "cpu"
        lora = stage.lora
        return Holding(
            shards=launch.total if launch is not None and launch.sharding == "fsdp2" else 1,
            tokens=sides * micro * stage.max_length,
            checkpointing=bool(stage.trainer.get("gradient_checkpointing", on_gpu)),
            adapters=costs.adapter_parameters(shape, lora.r, lora.projections) if lora else 0,
            reference=reference,
            offload=launch is not None and launch.offload,
        )

    def _trained(
        self, planned: StagePlan, stage: Training, shape: Shape, flops: float, holding: Holding
    ) -> StagePlan:
        busy = costs.busy_share(stage.batch, self.devices)
        if stage.batch % self.devices:
            self._remark(
                f"{planned.stage}: a batch of {stage.batch} rows cannot be split evenly over "
                f"{self.devices} devices, so the stage cannot run like that; if it could, "
                f"{busy:.0%} of the paid time would be used"
            )
        hours = costs.training_hours(flops, self.devices, self.plan) / busy
        memory = costs.state_bytes(shape, holding) + costs.activation_bytes(shape, holding)
        return replace(self._priced(planned, hours), memory=memory)

    # -- small things ---------------------------------------------------------------------------

    def _launches(self, steps: float, seconds: float) -> float:
        """Hours that launching kernels takes at least, on devices where it does."""
        if self.plan.device == "cpu":
            return 0.0
        self._remark(
            f"the built-in engine takes at least {costs.DECODE_STEP} s a decoding step and a trainer at least "
            f"{costs.TRAIN_STEP} s a step, whatever is in it (assumed, not measured)"
        )
        return steps * seconds / 3600

    def _priced(self, planned: StagePlan, hours: float) -> StagePlan:
        return replace(planned, hours=hours, dollars=hours * self.devices * self.plan.price)

    def _model(self, reference: str) -> Shape:
        if reference.startswith("@"):
            shape = self.flows[reference[1:]].shape
            assert shape is not None  # the recipe was checked: this stage makes a model
            return shape
        shape, remark = shape_of(reference)
        self._remark(remark)
        return shape

    def _given(self, reference: str) -> Flow:
        if reference.startswith("@"):
            return self.flows[reference[1:]]
        count = self._counted(rows.of_path(reference, self.plan))
        return Flow(count, (0.0, 1.0), count, self.plan.trace_tokens)

    def _counted(self, found: rows.Counted) -> float:
        self._remark(found[1])
        return found[0]

    def _mean(self, name: str, longest: int) -> float:
        return min(self.plan.tokens.get(name, min(self.plan.trace_tokens, longest / 2)), longest)

    def _remark(self, text: str) -> None:
        if text and text not in self.remarks:
            self.remarks.append(text)

    def _advice(self, name: str) -> str:
        """What to change, cheapest first."""
        stage = self.recipe.stages[name]
        if not isinstance(stage, Training):
            return "lower batch_size or max_tokens, or use a device with more memory"
        advice: list[str] = []
        if self.plan.device != "cpu" and not stage.trainer.get("gradient_checkpointing", True):
            advice.append("trainer.gradient_checkpointing: true")
        if (stage.micro_batch or -(-stage.batch // self.devices)) > 1:
            advice.append("a smaller micro_batch")
        if self.recipe.launch is None or self.recipe.launch.sharding == "none":
            advice.append("launch: {sharding: fsdp2} over more devices")
        elif not self.recipe.launch.offload:
            advice.append("launch.offload: true, or more devices")
        if stage.lora is None:
            advice.append("lora")
        return ", then ".join([*advice, "a shorter max_length"])


def _passes(stage: Training) -> float:
    return costs.TRAIN if stage.lora is None else costs.TRAIN_ADAPTERS


def _tiny(spec: TinySpec) -> Shape:
    vocab = len(SPECIAL) + len(ADDED) + len(CHARACTERS)
    return Shape(spec.layers, spec.width, 2 * spec.width, spec.heads, spec.heads, vocab, spec.tie)
