"""The four merge methods over tensors, and the strict configs that name them.

Formulas are those of the papers as mergekit applies them, tensor by tensor; each docstring names
the differences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.config import Field
from longstep.merge.base import MergeMethod, Weighted

if TYPE_CHECKING:
    from torch import Generator, Tensor


def linear(parents: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean (model soups, arXiv 2203.05482); the weights are made to sum to 1."""
    total = sum(weights)
    merged = parents[0] * (weights[0] / total)
    for parent, weight in zip(parents[1:], weights[1:], strict=True):
        merged = merged + parent * (weight / total)
    return merged


def slerp(first: Tensor, second: Tensor, t: float) -> Tensor:
    """Interpolation along the arc between two tensors seen as vectors (Shoemake 1985).

    The angle is that between the directions; the lengths go along, so the result of vectors of
    different length is not on a sphere. Nearly parallel or zero tensors are interpolated linearly,
    where the formula divides by zero.
    """
    import torch

    norms = first.norm() * second.norm()
    cosine = float((first * second).sum() / norms) if norms > 0 else 1.0
    if abs(cosine) > 0.9995:
        return first * (1 - t) + second * t
    angle = torch.tensor(cosine, dtype=torch.float64).arccos()
    at_first, at_second = (torch.sin((1 - t) * angle), torch.sin(t * angle))
    return first * float(at_first / angle.sin()) + second * float(at_second / angle.sin())


def ties(
    parents: Sequence[Tensor], base: Tensor, weights: Sequence[float], density: float, scale: float
) -> Tensor:
    """TIES: trim differences, elect a sign, average those who agree (arXiv 2306.01708).

    ``base + scale * sum(w d m) / sum(w m)`` where ``m`` marks entries of the sign of ``sum(w d)``
    (0 counts as +), and an empty divisor is 1. Trimming is per tensor, as in mergekit; the paper
    trims the whole model at once.
    """
    import torch

    deltas = torch.stack([_trim(parent - base, density) for parent in parents])
    weights_M = torch.tensor(weights, dtype=base.dtype).view(-1, *[1] * base.dim())
    weighted = deltas * weights_M
    elected = (weighted.sum(0) >= 0).to(base.dtype) * 2 - 1
    agrees = (weighted.sign() == elected).to(base.dtype)
    divisor = (weights_M * agrees).sum(0)
    divisor = divisor.where(divisor.abs() > 1e-8, 1.0)
    return base + scale * (weighted * agrees).sum(0) / divisor


def dare(
    parents: Sequence[Tensor],
    base: Tensor,
    weights: Sequence[float],
    density: float,
    generators: Sequence[Generator],
) -> Tensor:
    """DARE: drop entries of each difference at random, rescale the rest (arXiv 2311.03099).

    ``base + sum(w d m / density)``: the weights are used as they are, as in task arithmetic. One
    generator per parent, so that adding a parent does not change what is dropped from another.
    """
    import torch

    merged = base.clone()
    for parent, weight, generator in zip(parents, weights, generators, strict=True):
        kept = torch.rand(base.shape, generator=generator) < density
        merged += weight * (parent - base) * kept / density
    return merged


def _trim(delta: Tensor, density: float) -> Tensor:
    """Keep the ``int(density * n)`` largest magnitudes, at least one; of equal ones the first."""
    import torch

    keep = max(1, int(density * delta.numel()))
    order = delta.abs().flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(delta.numel(), dtype=delta.dtype)
    mask[order[:keep]] = 1
    return delta * mask.view_as(delta)


class Linear(Weighted):
    """Weighted mean of the parents."""

    kind: Literal["linear"] = "linear"

    def merge(self, name: str, parents: Sequence[Tensor], base: Tensor | None, seed: int) -> Tensor:
        """One tensor."""
        return linear(parents, self.weights_for(len(parents)))


class Slerp(MergeMethod):
    """Spherical interpolation of exactly two parents: ``t`` 0 is the first, 1 the second.

    Attributes:
        t: the way from the first parent to the second, 0 to 1.
    """

    most: ClassVar[int | None] = 2
    kind: Literal["slerp"] = "slerp"
    t: float = Field(default=0.5, ge=0, le=1)

    def merge(self, name: str, parents: Sequence[Tensor], base: Tensor | None, seed: int) -> Tensor:
        """One tensor."""
        first, second = parents
        return slerp(first, second, self.t)


class Ties(Weighted):
    """TIES over the parents' differences from a base; Light-R1 printed no settings.

    Attributes:
        density: share of each difference that is kept, the largest entries.
        scale: of the merged difference.
    """

    wants_base: ClassVar[bool] = True
    kind: Literal["ties"] = "ties"
    density: float = Field(default=0.5, gt=0, le=1)
    scale: float = 1.0

    def merge(self, name: str, parents: Sequence[Tensor], base: Tensor | None, seed: int) -> Tensor:
        """One tensor."""
        assert base is not None
        return ties(parents, base, self.weights_for(len(parents)), self.density, self.scale)


class Dare(Weighted):
    """DARE over the parents' differences from a base.

    Attributes:
        density: share of each difference that is kept, at random; the rest is scaled up.
    """

    wants_base: ClassVar[bool] = True
    kind: Literal["dare"] = "dare"
    density: float = Field(default=0.5, gt=0, le=1)

    def merge(self, name: str, parents: Sequence[Tensor], base: Tensor | None, seed: int) -> Tensor:
        """One tensor; what is dropped depends on seed and name, not on the order of tensors."""
        assert base is not None
        generators = [_generator(seed, name, index) for index in range(len(parents))]
        return dare(parents, base, self.weights_for(len(parents)), self.density, generators)


def _generator(seed: int, name: str, index: int) -> Generator:
    import torch

    digest = hashlib.sha256(f"{seed}:{name}:{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
