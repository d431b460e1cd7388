"""What a merge method is: a strict config that answers what it needs, and merges one tensor after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from longstep.config import Strict, model_validator

if TYPE_CHECKING:
    from torch import Tensor


class MergeMethod(Strict):
    """Base of all members.

    A subclass has ``kind: Literal[...]`` and merges; what it says of itself is asked before any weight is read.
    """

    #: It merges differences from the model that all parents were trained from; otherwise a base is refused.
    wants_base: ClassVar[bool] = False
    #: Parents it can take; ``None`` for any number from two.
    most: ClassVar[int | None] = None

    @property
    def called(self) -> str:
        """Its kind, for messages."""
        return str(type(self).model_fields["kind"].default)

    def complaints(self, parents: int, base: bool) -> Iterator[str]:
        """Say why it cannot merge so many parents, with or without a base, as ``key: sentence``."""
        if parents < 2 or (self.most is not None and parents > self.most):
            need = "two or more" if self.most is None else "exactly two"
            yield f"kind: {self.called} needs {need} parents, got {parents}"
        if self.wants_base and not base:
            yield (
                f"kind: {self.called} needs a base: the model that all parents were trained from"
            )
        if base and not self.wants_base:
            yield (
                f"kind: {self.called} has no use for a base; remove base, or merge differences by ties or dare"
            )

    def merge(self, name: str, parents: Sequence[Tensor], base: Tensor | None, seed: int) -> Tensor:
        """Merge one tensor.

        Weights come in float32 and differ between the parents: reading, shards, casting and the tensors that all
        parents share are the caller's business. What is random depends on ``seed`` and ``name`` alone, so that neither
        the order of tensors nor the cut into files matters.
        """
        raise NotImplementedError


class Weighted(MergeMethod):
    """Base of methods with one weight per parent.

    Attributes:
        weights: one per parent; ``None`` for equal weights that sum to 1.
    """

    weights: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _weights_sum(self) -> Self:
        if self.weights is not None and abs(sum(self.weights)) < 1e-8:
            raise ValueError("the weights sum to 0, so they weigh nothing")
        return self

    def weights_for(self, count: int) -> tuple[float, ...]:
        """The weights of ``count`` parents."""
        return self.weights or (1 / count,) * count

    def complaints(self, parents: int, base: bool) -> Iterator[str]:
        """Also another number of weights than parents."""
        yield from super().complaints(parents, base)
        if self.weights is not None and len(self.weights) != parents:
            yield (
                f"weights: has {len(self.weights)} entries for {parents} parents; give one per parent"
            )
