"""``longstep plan``: tokens, memory, hours and dollars of a recipe, estimated without running it.

Each stage answers for itself (``Stage.estimate``) with what its inputs hand on; the package ``costs`` has the
arithmetic, the shapes of models and the assumptions that a recipe can change.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from longstep.config import Located, UserError, dump
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimator, Fleet, StagePlan, Unknown
from longstep.costs.flow import Flow
from longstep.costs.planning import Planning
from longstep.run.early import refuse_early
from longstep.run.launch.accelerate import Launch, launch_command
from longstep.run.recipe import Recipe

COLUMNS = ("stage", "model", "rows", "drawn", "trained", "GB", "hours", "$")


@dataclass(frozen=True)
class Plan:
    """The estimate of a recipe, and every assumption it rests on.

    Attributes:
        name: of the recipe.
        device: name of the accelerator.
        devices: how many.
        memory_per_device: bytes each of them has.
        stages: the estimates, in order.
        assumptions: sentences for the user.
        launch: the command that starts it on one machine; empty without ``launch:``.
    """

    name: str
    device: str
    devices: int
    memory_per_device: float
    stages: list[StagePlan]
    assumptions: list[str]
    launch: list[str]

    @property
    def hours(self) -> float:
        """Hours of all stages that could be estimated, one after the other."""
        return sum(stage.hours or 0.0 for stage in self.stages)

    @property
    def dollars(self) -> float:
        """Dollars of all stages."""
        return sum(stage.dollars for stage in self.stages)

    def stage(self, name: str) -> StagePlan:
        """The estimate of one stage."""
        return next(stage for stage in self.stages if stage.stage == name)

    def as_json(self) -> dict[str, Any]:
        """The plan for a machine."""
        return {**asdict(self), "hours": self.hours, "dollars": self.dollars}


def make_plan(
    recipe: Recipe, arguments: Sequence[str] = (), located: Located | None = None
) -> Plan:
    """Estimate every stage in order.

    Args:
        recipe: the loaded recipe.
        arguments: of ``longstep`` as the user would give them, for the launch line.
        located: where the recipe's values were written, for complaints.

    Raises:
        UserError: a stage could not run, as far as that shows now; a model's size is unknown, or two numbers of devices
            contradict each other.
    """
    nowhere = Located({"stages": dict.fromkeys(recipe.stages)})
    refuse_early(recipe, located or nowhere, recipe.order())
    devices = _devices(recipe.plan, recipe.launch)
    stages, remarks = estimated(recipe, _fleet(recipe.launch, devices))
    command: list[str] = []
    lines = [*_basis(recipe, devices), *remarks]
    if recipe.launch is not None:
        command = launch_command(recipe.launch, list(arguments) or ["run", recipe.name])
        lines.extend(_refused(recipe, recipe.launch))
        words = [part if part.startswith("$") else shlex.quote(part) for part in command]
        lines.append(f"start it with: {' '.join(words)}")
    memory = recipe.plan.hardware.memory
    return Plan(recipe.name, recipe.plan.called, devices, memory, stages, lines, command)


def plan_table(plan: Plan) -> list[list[str]]:
    """The plan as rows of text: the header first, the total last; narrow enough for 80 columns.

    ``drawn`` and ``trained`` are tokens, ``GB`` is per device and ``!`` marks more than it has.
    """
    generated = sum(stage.tokens_generated for stage in plan.stages)
    trained = sum(stage.tokens_trained for stage in plan.stages)
    total = ["total", "", "", _short(generated), _short(trained), ""]
    body = [_row(stage) for stage in plan.stages]
    return [list(COLUMNS), *body, [*total, _hours(plan.hours), _dollars(plan.dollars)]]


def estimated(
    recipe: Recipe, fleet: Fleet, unknown: tuple[type[Exception], ...] = (Unknown,)
) -> tuple[list[StagePlan], list[str]]:
    """Ask every stage, after those it reads; what each hands on flows as the artifacts do.

    Args:
        recipe: the stages, and what is assumed.
        fleet: what they run on.
        unknown: what a stage may raise that cannot tell; it hands on what it reads.

    Returns:
        The estimates in order, and sentences for the user.
    """
    flows: dict[str, Flow] = {}
    remarks: list[str] = []
    stages: list[StagePlan] = []
    for name in recipe.order():
        inputs = {f"@{each}": flows[each] for each in recipe.inputs(name)}
        stage = recipe.stages[name]
        given = Estimator(name, dump(stage)["kind"], recipe.plan, fleet, inputs, remarks)
        try:
            made = stage.estimate(given)
        except unknown as why:
            made = given.unknown(stage.references(), f"cannot be estimated: {why}")
        flows[name] = made.flow
        large = made.plan.memory is not None and made.plan.memory > given.usable
        stages.append(replace(made.plan, relief=made.relief) if large else made.plan)
        if large:
            given.remark(f"{name} {too_large(stages[-1], recipe.plan)}")
    return stages, remarks


def too_large(stage: StagePlan, plan: Planning, where: str = "") -> str:
    """What a stage needs, of what there is ``where``, and what helps."""
    needed, usable = stage.memory or 0.0, plan.hardware.memory * costs.USABLE
    place = where or f"on each {plan.called}"
    return f"needs {costs.gigabytes(needed)} of the {costs.gigabytes(usable)} usable {place}: {stage.relief}"


def _fleet(launch: Launch | None, devices: int) -> Fleet:
    if launch is None:
        return Fleet(devices)
    return Fleet(devices, launch.sharding == "fsdp2", launch.offload)


def _devices(plan: Planning, launch: Launch | None) -> int:
    if launch is None:
        return plan.devices or 1
    if plan.devices is not None and plan.devices != launch.total:
        raise UserError(
            f"plan.devices is {plan.devices} but launch starts {launch.machines} x "
            f"{launch.processes} = {launch.total} processes; leave plan.devices out"
        )
    return launch.total


def _basis(recipe: Recipe, devices: int) -> list[str]:
    """The assumptions common to all stages, with the numbers used."""
    plan, hardware = recipe.plan, recipe.plan.hardware
    return [
        f"{devices} x {plan.called}: {hardware.flops / 1e12:g} TFLOP/s bf16, "
        f"{hardware.bandwidth / 1e12:.3g} TB/s, {hardware.memory / 1e9:g} GB each ({hardware.note}); "
        f"${plan.price:g} per device and hour",
        f"training reaches {plan.mfu:.0%} of the peak, decoding {plan.decode:.0%} of the bandwidth, "
        "as serving engines do; the built-in engine, slower, was not measured on such devices",
        f"weights are trained in float32 with Adam, {costs.TRAINED_BYTES} bytes each, frozen ones "
        f"take {costs.FROZEN_BYTES}; logits never exist all at once",
        f"a prompt has {plan.prompt_tokens} tokens, an answer {plan.trace_tokens} on average but at "
        f"most half of max_tokens{_listed(', except ', plan.tokens)}; the longest answer of each "
        "round reaches max_tokens",
        f"curation keeps {plan.clean:.0%}, {plan.correct:.0%} of answers are correct, pass rates "
        f"are evenly spread{_listed('; given instead of estimated, rows: ', plan.rows)}",
        "loading, saving, verifying, evaluation of checkpoints and failures are not counted",
    ]


def _refused(recipe: Recipe, launch: Launch) -> Iterator[str]:
    """Why single stages will refuse to run in so many processes."""
    for name, stage in recipe.stages.items():
        for complaint in stage.refusals(launch.total, launch.sharding == "fsdp2"):
            yield f"{name} will refuse to start: {complaint}"


def _listed(start: str, table: Mapping[str, int]) -> str:
    return start + ", ".join(f"{name} {count:,}" for name, count in table.items()) if table else ""


def _row(stage: StagePlan) -> list[str]:
    needed = "" if stage.memory is None else _gigabytes(stage.memory)
    if stage.relief:
        needed += " !"
    return [
        stage.stage,
        _short(stage.parameters),
        _short(stage.rows),
        _short(stage.tokens_generated),
        _short(stage.tokens_trained),
        needed,
        _hours(stage.hours),
        _dollars(stage.dollars),
    ]


def _short(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}" if value else ""


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:.2g}" if value < 10e9 else f"{value / 1e9:.0f}"


def _hours(value: float | None) -> str:
    if value is None:
        return "?"
    if not value:
        return ""
    if value < 0.01:
        return "<0.01"
    return f"{value:.2g}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _dollars(value: float) -> str:
    return f"{value:,.2f}" if 0.005 <= value < 10 else f"{value:,.0f}" if value >= 10 else ""
