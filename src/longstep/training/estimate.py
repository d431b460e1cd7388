"""What training takes: memory held, hours and dollars, for the estimates of every stage that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Holding
from longstep.costs.decoder import Shape
from longstep.costs.estimate import Estimator, Spent
from longstep.models.lora import Lora
from longstep.training.config import Training

#: Something to change, as a recipe would say it, and what it makes of the memory held.
Way = tuple[str, Callable[[Holding], Holding]]
#: Devices to spread a model over that is too large for one.
SPREAD = 8


def passes(stage: Training) -> float:
    """Forward passes that one training step is worth."""
    return costs.TRAIN if stage.lora is None else costs.TRAIN_ADAPTERS


def rows_seen(stage: Training, rows: float) -> float:
    """Rows that the optimiser sees in all."""
    if stage.epochs is not None:
        return rows * stage.epochs
    return stage.total_steps(int(rows)) * stage.batch


def holding(
    stage: Training, given: Estimator, shape: Shape, sides: int = 1, reference: bool = False
) -> Holding:
    """What a step keeps in a device's memory.

    Args:
        stage: what trains.
        given: the recipe's assumptions.
        shape: of the model.
        sides: sequences of one row: two of a pair.
        reference: a frozen second model is held.
    """
    fleet, lora, cores = given.fleet, stage.lora, given.plan.hardware.cores
    if lora is not None and lora.base == "nf4":
        given.remark(
            f"a base in nf4 takes {costs.NF4_BYTES:.3g} bytes for each weight of its linear layers, what is outside of "
            "them float32 (reckoned, never measured)"
        )
    if stage.optimizer.moments != costs.MOMENT_BYTES:
        given.remark(
            f"optimizer {stage.optimizer.kind} keeps {stage.optimizer.moments:.3g} bytes for each trained weight "
            f"instead of {costs.MOMENT_BYTES} (reckoned, never measured)"
        )
    return Holding(
        shards=fleet.devices if fleet.sharded else 1,
        tokens=sides * _micro_batch(stage, given) * stage.max_length,
        checkpointing=bool(stage.trainer.get("gradient_checkpointing", not cores)),
        adapters=_adapters(lora, shape) if lora else 0,
        reference=reference,
        offload=fleet.offload,
        word=given.plan.hardware.word,
        nf4=lora is not None and lora.base == "nf4",
        moments=stage.optimizer.moments,
    )


def trained(stage: Training, given: Estimator, shape: Shape, flops: float, held: Holding) -> Spent:
    """Hours, dollars and bytes for so many operations while so much is held."""
    devices = given.fleet.devices
    busy = costs.busy_share(stage.batch, devices)
    if stage.batch % devices:
        given.remark(
            f"{given.name}: a batch of {stage.batch} rows cannot be split evenly over "
            f"{devices} devices, so the stage cannot run like that; if it could, "
            f"{busy:.0%} of the paid time would be used"
        )
    hours = given.training_hours(flops) / busy
    memory = costs.updating_bytes(shape, held)
    return Spent(shape.parameters, memory=memory, hours=hours, dollars=given.price(hours))


def ways(stage: Training, given: Estimator, shape: Shape) -> Iterator[Way]:
    """What may be changed when memory does not suffice, cheapest first, as far as the stage then still runs."""
    fleet, micro = given.fleet, _micro_batch(stage, given)
    cores, several = given.plan.hardware.cores, max(SPREAD, fleet.devices)
    if not (cores or stage.trainer.get("gradient_checkpointing", True)):
        yield "trainer.gradient_checkpointing: true", lambda held: replace(held, checkpointing=True)
    if micro > 1:
        yield "micro_batch: 1", lambda held: replace(held, tokens=held.tokens / micro)
    if not (cores or fleet.sharded or any(stage.refusals(several, True))):
        words = f"launch: {{processes: {several}, sharding: fsdp2}}"
        yield words, lambda held: held if held.adapters else replace(held, shards=several)
    if fleet.sharded and not fleet.offload:
        yield "launch.offload: true", lambda held: replace(held, offload=True)
    if fleet.sharded and not any(stage.refusals(2 * several, True)):
        yield f"{2 * several} devices", lambda held: replace(held, shards=2 * several)
    own = Lora()
    adapted = stage.model_copy(update={"lora": own})
    if stage.lora is None and not fleet.sharded and {*adapted.check()} <= {*stage.check()}:
        few = costs.adapter_parameters(shape, own.r, own.projections)
        yield "lora: {}", lambda held: _adapted(held, few)
    half = stage.max_length // 2
    yield f"max_length: {half}", lambda held: replace(held, tokens=held.tokens / 2)


def _adapted(held: Holding, adapters: int) -> Holding:
    """With adapters, whose base is its own reference; they are not merged from shards."""
    return held if held.shards > 1 else replace(held, adapters=adapters, reference=False)


def relief(
    held: Holding, choice: Sequence[Way], needed: Callable[[Holding], float], usable: float
) -> str:
    """What makes a stage fit, and what it needs then: each way that does alone, or as many together as it takes."""
    alone = [(words, needed(way(held))) for words, way in choice]
    enough = [f"{words}{_then(need)}" for words, need in alone if need <= usable]
    if enough:
        return ", or ".join(enough)
    taken: list[str] = []
    for words, way in choice:
        if needed(way(held)) < needed(held):
            held = way(held)
            taken.append(words)
        if needed(held) <= usable:
            return f"{', with '.join(taken)}{_then(needed(held))}"
    if not taken:
        return "a smaller model, or a device with more memory"
    left = f"{costs.gigabytes(needed(held))} are still needed"
    return f"{', with '.join(taken)}, where {left}; and a device with more memory"


def _then(needed: float) -> str:
    return f" ({costs.gigabytes(needed)})" if needed else ""


def training_relief(stage: Training, given: Estimator, shape: Shape, held: Holding) -> str:
    """The same for a stage that only trains; empty where it fits."""
    if costs.updating_bytes(shape, held) <= given.usable:
        return ""
    choice = [*ways(stage, given, shape)]
    return relief(held, choice, lambda held: costs.updating_bytes(shape, held), given.usable)


def _adapters(lora: Lora, shape: Shape) -> int:
    """Weights that are trained beside frozen ones; a module that is trained whole is taken for an embedding."""
    whole = len(lora.modules_to_save) * shape.vocab * shape.width
    return costs.adapter_parameters(shape, lora.r, lora.projections) + whole


def _micro_batch(stage: Training, given: Estimator) -> int:
    return stage.micro_batch or -(-stage.batch // given.fleet.devices)
