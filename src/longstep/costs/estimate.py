"""What a stage is handed to plan itself, and what it answers: rows and a model handed on, hours, bytes, dollars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from longstep.config import UserError
from longstep.context import Artifact
from longstep.costs import arithmetic
from longstep.costs.arithmetic import Decoding
from longstep.costs.decoder import Shape
from longstep.costs.flow import DATASETS, UNKNOWN_ROWS, Flow
from longstep.costs.planning import Planning
from longstep.costs.shapes import shape_of

RELIEF = "use a device with more memory"


class Unknown(Exception):
    """Something that a stage must know of its input was not estimated, so neither can the stage be."""


@dataclass(frozen=True)
class Fleet:
    """The devices that a recipe runs on.

    Attributes:
        devices: how many, each with a process of its own.
        sharded: weights, gradients and optimiser states are spread over all of them.
        offload: the shards stay in the host's memory.
    """

    devices: int
    sharded: bool = False
    offload: bool = False


@dataclass(frozen=True)
class StagePlan:
    """One stage's estimate.

    Attributes:
        stage: its name.
        kind: its kind.
        parameters: of the model it works with.
        rows: that it draws, keeps or trains on.
        tokens_generated: drawn by the stage.
        tokens_trained: seen by its optimiser.
        memory: bytes per device; ``None`` where the stage needs none.
        hours: ``None`` where nobody can tell.
        dollars: for these hours, or for tokens drawn elsewhere.
        relief: what to change, cheapest first, where that is more memory than a device has; empty where it fits.
    """

    stage: str
    kind: str
    parameters: int = 0
    rows: float = 0.0
    tokens_generated: float = 0.0
    tokens_trained: float = 0.0
    memory: float | None = None
    hours: float | None = 0.0
    dollars: float = 0.0
    relief: str = ""


@dataclass(frozen=True)
class Spent:
    """What one part of a stage takes: the answer of an engine, or of training.

    Attributes:
        parameters: of the model in use.
        tokens: drawn.
        memory: bytes per device; ``None`` when none is needed here.
        hours: on all devices.
        dollars: for it.
        together: completions decoded together that the memory has room for; ``None`` where none is needed here.
    """

    parameters: int = 0
    tokens: float = 0.0
    memory: float | None = None
    hours: float = 0.0
    dollars: float = 0.0
    together: int | None = None

    def room(self, key: str) -> str:
        """What to change when a draw needs more memory than there is: ``key`` sets how much is decoded together."""
        if self.together:
            return f"{key}: {self.together}"
        return (
            "not even one answer fits beside the weights: shorter answers, or an engine that spreads the model over "
            "several devices, by: {kind: endpoint, ...}"
        )


@dataclass(frozen=True)
class Estimate:
    """A stage's answer.

    Attributes:
        flow: what it hands on.
        plan: what it takes.
        relief: what to change when that is more memory than a device has, cheapest first.
    """

    flow: Flow
    plan: StagePlan
    relief: str = RELIEF


@dataclass
class Estimator:
    """What a stage is handed to plan itself.

    Attributes:
        name: the stage's name in the recipe.
        kind: the stage's kind.
        plan: what the recipe assumes.
        fleet: what the recipe runs on.
        inputs: ``@name`` to what that stage hands on.
        remarks: sentences for the user, shared by all stages of a plan.
    """

    name: str
    kind: str
    plan: Planning
    fleet: Fleet
    inputs: Mapping[str, Flow]
    remarks: list[str]

    # -- what comes in --------------------------------------------------------------------------

    def input(self, reference: str) -> Flow:
        """What a stage hands on; of rows made elsewhere, what can be assumed."""
        if reference.startswith("@"):
            return self.inputs[reference]
        count = self.counted(self.sizes.get(reference), reference)
        return Flow(count, (0.0, 1.0), count, self.plan.trace_tokens)

    def model(self, reference: str) -> Shape:
        """The shape of a stage's model, or of a shipped, local or published one.

        Raises:
            Unknown: the stage that makes it was not estimated.
            UserError: nothing tells the size of a model made elsewhere.
        """
        if reference.startswith("@"):
            shape = self.inputs[reference].shape
            if shape is None:
                raise Unknown(f"the size of {reference} is unknown")
            return shape
        shape, remark = shape_of(reference)
        self.remark(remark)
        if shape.experts is not None:
            self.remark(
                f"{reference} is a mixture of experts: {shape.parameters / 1e9:.3g} B parameters are held and trained, "
                f"{shape.active / 1e9:.3g} B of them multiply with each token"
            )
        return shape

    @property
    def sizes(self) -> Mapping[str, int]:
        """Rows of data sets by name: published sizes, and what the recipe says."""
        return {**DATASETS, **self.plan.rows}

    def counted(self, rows: int | None, name: str, otherwise: int = UNKNOWN_ROWS) -> float:
        """A number of rows; ``otherwise``, with a remark that names the data set, when nobody knows it."""
        if rows is None:
            self.remark(
                f"{name}: {otherwise:,} rows assumed; set plan.rows to say how many it holds"
            )
            return otherwise
        return rows

    def rows(self, estimated: float) -> float:
        """Rows of this stage: what the recipe says under the stage's name, else the estimate."""
        return self.plan.rows.get(self.name, estimated)

    def mean(self, longest: int) -> float:
        """Mean tokens of this stage's answers, of which none is longer than ``longest``."""
        assumed = self.plan.tokens.get(self.name, min(self.plan.trace_tokens, longest / 2))
        return min(assumed, longest)

    # -- what it takes --------------------------------------------------------------------------

    def price(self, hours: float) -> float:
        """Dollars for hours on all devices."""
        return hours * self.fleet.devices * self.plan.price

    def decoding(self, shape: Shape, work: Decoding) -> Spent:
        """What drawing in this process takes: one device works, the others of the fleet are paid for and wait."""
        word, devices = self.plan.hardware.word, self.fleet.devices
        hours = arithmetic.decoding_hours(shape, work, 1, self.plan)
        if devices > 1:
            self.remark(
                f"stages that draw with the built-in engine do so on the first of the {devices} devices, and the "
                "others wait; an engine on all of them, such as vllm serve, is reached by: {kind: endpoint, ...}"
            )
        return Spent(
            parameters=shape.parameters,
            tokens=work.completions * work.mean,
            memory=arithmetic.decoding_bytes(shape, work, 1, word),
            hours=hours,
            dollars=self.price(hours),
            together=self.together(shape, work, word * shape.parameters, word),
        )

    @property
    def usable(self) -> float:
        """Bytes of a device that weights, states and caches may take."""
        return self.plan.hardware.memory * arithmetic.USABLE

    def together(self, shape: Shape, work: Decoding, held: float, word: int) -> int:
        """Completions that can be decoded together beside so many bytes."""
        return arithmetic.fitting_slots(shape, work, self.usable - held, word)

    def training_hours(self, flops: float) -> float:
        """Hours for this many useful operations."""
        return arithmetic.training_hours(flops, self.fleet.devices, self.plan)

    def launches(self, steps: float, seconds: float) -> float:
        """Hours that launching kernels takes at least, on devices where it does."""
        if self.plan.hardware.cores:
            return 0.0
        self.remark(
            f"the built-in engine takes at least {arithmetic.DECODE_STEP} s a decoding step and a trainer at least "
            f"{arithmetic.TRAIN_STEP} s a step, whatever is in it (assumed, not measured)"
        )
        return steps * seconds / 3600

    # -- what is said ---------------------------------------------------------------------------

    def remark(self, text: str) -> None:
        """Say a sentence to the user, once however many stages say it; the empty one says nothing."""
        if text and text not in self.remarks:
            self.remarks.append(text)

    def planned(
        self, spent: Spent | None = None, rows: float = 0.0, trained: float = 0.0
    ) -> StagePlan:
        """The stage's line of the plan."""
        spent = spent or Spent()
        return StagePlan(
            stage=self.name,
            kind=self.kind,
            parameters=spent.parameters,
            rows=rows,
            tokens_generated=spent.tokens,
            tokens_trained=trained,
            memory=spent.memory,
            hours=spent.hours,
            dollars=spent.dollars,
        )

    def unknown(self, references: Iterable[tuple[str, Artifact]], why: str = "") -> Estimate:
        """The answer of a stage that cannot tell: what it reads is handed on, its hours are unknown.

        Without a shape handed on, every stage after it that trains or samples its model would be unknown too.
        """
        self.remark(f"{self.name}: {why or f'stages of kind {self.kind} are not estimated'}")
        flow = Flow()
        for reference, artifact in reversed(
            list(references)
        ):  # the first of each kind is the parent
            if artifact == "rows":
                flow = replace(self.input(reference), shape=flow.shape)
            elif artifact == "model":
                flow = replace(flow, shape=self._shape_if_known(reference))
        return Estimate(flow, StagePlan(self.name, self.kind, hours=None))

    def _shape_if_known(self, reference: str) -> Shape | None:
        try:
            return self.model(reference)
        except (Unknown, UserError):
            return None
