"""Stage ``merge``: one model from several, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from longstep.config import Field
from longstep.context import Artifact, Context
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import Flow
from longstep.foresight import Ahead, Foreseen
from longstep.merge import AnyMerge, check_configs, check_tokenizers, merge_models
from longstep.stages.base import Stage
from longstep.training.card import Made, write_card


class Merge(Stage):
    """Merged weights.

    Attributes:
        method: how (Light-R1 used TIES; its densities and weights are unpublished).
        parents: the models to merge.
        base: their common ancestor, for methods that merge differences.
        dtype: of the result; needed when the folders have several, such as a bfloat16 base and float32 children.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["merge"] = "merge"
    method: AnyMerge
    parents: tuple[str, ...] = Field(min_length=2)
    base: str | None = None
    dtype: Literal["float32", "bfloat16"] | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The parents and the base."""
        for parent in self.parents:
            yield parent, "model"
        if self.base is not None:
            yield self.base, "model"

    def check(self) -> Iterator[str]:
        """Parents, weights or a base that the method cannot use."""
        for complaint in self.method.complaints(len(self.parents), self.base is not None):
            yield f"method.{complaint}"

    def libraries(self) -> frozenset[str]:
        """Tensors are torch's."""
        return frozenset({"torch"})

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """A model like its first parent."""
        start = ahead.start(self.parents[0])
        return Foreseen(None if start is None else start.after(ahead.name))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Models that are not of one architecture and tokenizer."""
        first = self.parents[0]
        for place, parent in enumerate(self.parents):
            yield from ahead.model(f"parents.{place}", parent)
            yield from ahead.together(f"parents.{place}", first, parent, _one_family)
        if self.base is not None:
            yield from ahead.model("base", self.base)
            yield from ahead.together("base", first, self.base, _one_family)

    def run(self, context: Context) -> None:
        """Merge, then write the card."""
        parents = [context.model(parent) for parent in self.parents]
        base = context.model(self.base) if self.base is not None else None
        out = context.fresh_out()
        merge_models(self.method, parents, base, out, context.seed, self.dtype)
        write_card(out, context, self, Made(self.parents, relation="merge"))

    def estimate(self, given: Estimator) -> Estimate:
        """A model like its parents; the arithmetic of a merge takes minutes and is not counted."""
        shape = given.model(self.parents[0])
        return Estimate(Flow(shape=shape), given.planned(Spent(shape.parameters)))


def _one_family(first: Path, other: Path) -> None:
    check_tokenizers(first, other)
    check_configs(first, other)
