"""``longstep plan``: tokens, memory, hours and dollars of a recipe, estimated without running it.

Each stage answers for itself (``Stage.estimate``) with what its inputs hand on; the package ``costs`` has the
arithmetic, the shapes of models and the assumptions that a recipe can change.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from longstep.config import Located, UserError, dump
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimate, Estimator, Fleet, StagePlan, Unknown
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
    stages, remarks = _estimated(recipe, _fleet(recipe.launch, devices))
    command: list[str] = []
    lines = [*_basis(recipe, devices), *remarks]
    if recipe.launch is not None:
        command = launch_command(recipe.launch, list(arguments) or ["run", recipe.name])
        lines.extend(_refused(recipe, recipe.launch))
        if recipe.launch.total > 1:
            lines.append(
                "hours of sample stages assume an engine on all devices, reached as an endpoint; the "
                "run's own engine draws on the first device only"
            )
        words = [part if part.startswith("$") else shlex.quote(part) for part in command]
        lines.append(f"start it with: {' '.join(words)}")
    memory = recipe.plan.hardware.memory
    return Plan(recipe.name, recipe.plan.device, devices, memory, stages, lines, command)


def plan_table(plan: Plan) -> list[list[str]]:
    """The plan as rows of text: the header first, the total last; narrow enough for 80 columns.

    ``drawn`` and ``trained`` are tokens, ``GB`` is per device and ``!`` marks more than it has.
    """
    generated = sum(stage.tokens_generated for stage in plan.stages)
    trained = sum(stage.tokens_trained for stage in plan.stages)
    total = ["total", "", "", _short(generated), _short(trained), ""]
    body = [_row(stage, plan.memory_per_device) for stage in plan.stages]
    return [list(COLUMNS), *body, [*total, _hours(plan.hours), _dollars(plan.dollars)]]


def _estimated(recipe: Recipe, fleet: Fleet) -> tuple[list[StagePlan], list[str]]:
    """Ask every stage, after those it reads; what each hands on flows as the artifacts do."""
    flows: dict[str, Flow] = {}
    remarks: list[str] = []
    stages: list[StagePlan] = []
    for name in recipe.order():
        inputs = {f"@{each}": flows[each] for each in recipe.inputs(name)}
        kind = dump(recipe.stages[name])["kind"]
        given = Estimator(name, kind, recipe.plan, fleet, inputs, remarks)
        made = _asked(recipe, given)
        flows[name] = made.flow
        stages.append(made.plan)
        _say_too_large(made, given)
    return stages, remarks


def _asked(recipe: Recipe, given: Estimator) -> Estimate:
    stage = recipe.stages[given.name]
    try:
        return stage.estimate(given)
    except Unknown as why:
        return given.unknown(stage.references(), f"cannot be estimated: {why}")


def _say_too_large(made: Estimate, given: Estimator) -> None:
    plan, needed = given.plan, made.plan.memory
    usable = plan.hardware.memory * costs.USABLE
    if needed is not None and needed > usable:
        given.remark(
            f"{given.name} needs {needed / 1e9:.0f} GB of the {usable / 1e9:.0f} GB usable on "
            f"each {plan.device}: {made.relief}"
        )


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
        f"{devices} x {plan.device}: {hardware.flops / 1e12:g} TFLOP/s bf16, "
        f"{hardware.bandwidth / 1e12:g} TB/s, {hardware.memory / 1e9:g} GB each ({hardware.note}); "
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


def _row(stage: StagePlan, memory: float) -> list[str]:
    needed = "" if stage.memory is None else _gigabytes(stage.memory)
    if stage.memory is not None and stage.memory > memory * costs.USABLE:
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
