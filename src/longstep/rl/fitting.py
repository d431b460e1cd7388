"""What the members of a training do not allow each other: complaints, ``key: sentence``, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from longstep.curriculum.gates import AnyGate
from longstep.curriculum.guides import AnyGuide
from longstep.curriculum.until import AnyUntil
from longstep.draw.samplers import AnyEngine
from longstep.losses import AnyAlgorithm
from longstep.models.lora import Lora


def engine_complaints(
    by: AnyEngine | None, model: str, unthinking: float, lora: Lora | None
) -> Iterator[str]:
    """Somebody who draws for the model in training and cannot follow it."""
    if by is None:
        return
    lacking = [*by.complaints({"ids", "sync"})]
    yield from lacking
    if not lacking and [*by.references()] != [(model, "model")]:
        yield f"by: its copy follows the model in training, so it must be of the same model, {model}"
    if unthinking:
        yield "unthinking: who draws asks in one mode; leave by out, or set by.thinking"
    if not lacking and lora is not None:
        yield "by: a copy cannot take over an adapter; leave by out with lora"


@dataclass(frozen=True)
class Ensemble:
    """The parts of one training.

    Attributes:
        algorithm: the method.
        gate: that of the stage, or else of the method.
        place: where the gate is set.
        guide: help for hopeless groups.
        until: what may end the training.
    """

    algorithm: AnyAlgorithm
    gate: AnyGate
    place: str
    guide: AnyGuide
    until: AnyUntil

    def sizes(self, group: int) -> Iterator[str]:
        """What needs groups of another size."""
        yield from (f"{self.place}.{complaint}" for complaint in self.gate.fits(group))
        yield from (f"guide.{complaint}" for complaint in self.guide.fits(group))

    def idle(self, updates: int) -> Iterator[str]:
        """A guide for groups that the gate drops, a gate that keeps groups for no guide, bounds that bind nothing.

        Args:
            updates: from each batch of rollouts.
        """
        yield from (f"algorithm.{complaint}" for complaint in self.algorithm.idle(updates))
        mends = self.guide.mends()
        if self.gate.awaits() and not self.guide.helps():
            yield (
                f"{self.place}: {self.gate.kind} keeps groups without a right answer for a guide, and there is none: "
                "they would fill the batch and teach nothing; name a guide, or drop them"
            )
        if mends and mends <= self.gate.drops():
            yield (
                f"guide: {self.guide.kind} would see no group without a right answer, because gate {self.gate.kind} "
                f"drops them; write {self.place}: {{kind: mixed, hopeless: keep}}, or {{kind: all}}"
            )

    def records(self, temperature: float) -> Iterator[str]:
        """Whoever compares with what the sampler recorded, which is the probability at temperature 1."""
        if temperature == 1.0:
            return
        asking = {
            f"algorithm {self.algorithm.kind}": "behaviour" in self.algorithm.needs(),
            f"gate {self.gate.kind}": "behaviour" in self.gate.weighs(),
            f"guide {self.guide.kind}": "behaviour" in self.guide.weighs(),
            f"until {self.until.kind}": "behaviour" in self.until.needs(),
        }
        ways = {"gate": "; write surplus: drop", "guide": "; write weight: own"}
        for who in (who for who, asks in asking.items() if asks):
            yield (
                f"temperature: {temperature}, but {who} compares with what the sampler recorded, and that is "
                f"recorded at temperature 1{ways.get(who.split()[0], '')}"
            )
