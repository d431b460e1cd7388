"""What training takes: memory held, hours and dollars, for the estimates of every stage that trains."""

from __future__ import annotations

from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Holding
from longstep.costs.decoder import Shape
from longstep.costs.estimate import Estimator, Spent
from longstep.models.lora import Lora
from longstep.training.config import Training


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
    fleet, lora = given.fleet, stage.lora
    return Holding(
        shards=fleet.devices if fleet.sharded else 1,
        tokens=sides * _micro_batch(stage, given) * stage.max_length,
        checkpointing=bool(stage.trainer.get("gradient_checkpointing", given.plan.device != "cpu")),
        adapters=_adapters(lora, shape) if lora else 0,
        reference=reference,
        offload=fleet.offload,
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
    memory = costs.state_bytes(shape, held) + costs.activation_bytes(shape, held)
    return Spent(shape.parameters, memory=memory, hours=hours, dollars=given.price(hours))


def relief(stage: Training, given: Estimator) -> str:
    """What to change when memory does not suffice, cheapest first."""
    advice: list[str] = []
    if given.plan.device != "cpu" and not stage.trainer.get("gradient_checkpointing", True):
        advice.append("trainer.gradient_checkpointing: true")
    if _micro_batch(stage, given) > 1:
        advice.append("a smaller micro_batch")
    if not given.fleet.sharded:
        advice.append("launch: {sharding: fsdp2} over more devices")
    elif not given.fleet.offload:
        advice.append("launch.offload: true, or more devices")
    if stage.lora is None:
        advice.append("lora")
    return ", then ".join([*advice, "a shorter max_length"])


def _adapters(lora: Lora, shape: Shape) -> int:
    """Weights that are trained beside frozen ones; a module that is trained whole is taken for an embedding."""
    whole = len(lora.modules_to_save) * shape.vocab * shape.width
    return costs.adapter_parameters(shape, lora.r, lora.projections) + whole


def _micro_batch(stage: Training, given: Estimator) -> int:
    return stage.micro_batch or -(-stage.batch // given.fleet.devices)
