"""Optimisers by name: one leaf file per member, one line in ``AnyOptimizer``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.optimizers.adamw import AdamW
from longstep.optimizers.base import Optimizer
from longstep.optimizers.muon import Muon

__all__ = ["AdamW", "AnyOptimizer", "Muon", "Optimizer"]

AnyOptimizer = Annotated[AdamW | Muon, Field(discriminator="kind")]
