"""Training a value head: a few epochs of logistic regression through two small layers, from features on disk."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longstep.config import Field, Strict
from longstep.scaling.head import ValueHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: One part of the training set at a time: features [N, F], labels [N].
Chunks = Sequence[Callable[[], "tuple[Floats, Floats]"]]


class Fitting(Strict):
    """How a head is trained.

    Attributes:
        epochs: passes over all labelled steps.
        width: of its two layers.
        lr: of AdamW, falling to 0 in a straight line.
        batch: steps an update.
        decay: weight decay.
    """

    epochs: int = Field(default=10, ge=1)
    width: int = Field(default=96, ge=1)
    lr: float = Field(default=3e-3, gt=0)
    batch: int = Field(default=256, ge=1)
    decay: float = Field(default=0.01, ge=0)


@dataclass(frozen=True)
class _Scale:
    mean_F: Floats
    spread_F: Floats
    count: int


def fit_head(chunks: Chunks, how: Fitting, seed: int) -> ValueHead | None:
    """Train on all chunks; one is in memory at a time. ``None`` when no step among them has a label.

    Cross-entropy on standardised features; equal chunks, settings and seed give equal weights on one kind of CPU.
    """
    import torch
    from torch.nn import Linear, Sequential, SiLU
    from torch.nn.functional import binary_cross_entropy_with_logits

    scale = _scale(chunks)
    if scale is None:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = Linear(len(scale.mean_F), how.width), Linear(how.width, how.width)
        last = Linear(how.width, 1)
    network = Sequential(layers[0], SiLU(), layers[1], SiLU(), last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.lr, weight_decay=how.decay)
    mean_F, spread_F = torch.from_numpy(scale.mean_F), torch.from_numpy(scale.spread_F)
    total, seen = scale.count * how.epochs, 0
    for features_BF, labels_B in _batches(chunks, how, seed):
        for group in optimizer.param_groups:
            group["lr"] = how.lr * (1 - seen / total)
        inputs_BF = (torch.from_numpy(features_BF) - mean_F) / spread_F
        logits_B = network(inputs_BF).squeeze(-1)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(logits_B, torch.from_numpy(labels_B)).backward()
        optimizer.step()
        seen += len(labels_B)
    arrays = {"mean": scale.mean_F, "spread": scale.spread_F}
    for number, layer in enumerate((*layers, last), start=1):
        arrays[f"w{number}"] = np.ascontiguousarray(layer.weight.detach().numpy().T)
        arrays[f"b{number}"] = layer.bias.detach().numpy().copy()
    return ValueHead(arrays)


def _batches(chunks: Chunks, how: Fitting, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Chunks in another order every epoch, and their rows in another order."""
    rng = random.Random(seed)
    for _ in range(how.epochs):
        for chunk in rng.sample(chunks, len(chunks)):
            features_NF, labels_N = chunk()
            order_N = np.array(rng.sample(range(len(labels_N)), len(labels_N)), dtype=np.int64)
            for start in range(0, len(order_N), how.batch):
                part = order_N[start : start + how.batch]
                yield features_NF[part], labels_N[part]


def _scale(chunks: Chunks) -> _Scale | None:
    """Mean and spread of every feature; one that never changes is left as it is."""
    count, sums_F, squares_F = 0, np.zeros(1), np.zeros(1)
    for chunk in chunks:
        wide_NF = chunk()[0].astype(np.float64)
        if len(wide_NF):
            count += len(wide_NF)
            sums_F = sums_F + wide_NF.sum(0)
            squares_F = squares_F + np.square(wide_NF).sum(0)
    if not count:
        return None
    mean_F = sums_F / count
    spread_F = np.sqrt(np.maximum(squares_F / count - np.square(mean_F), 0.0))
    spread_F[spread_F < 1e-6] = 1.0
    return _Scale(mean_F.astype(np.float32), spread_F.astype(np.float32), count)
