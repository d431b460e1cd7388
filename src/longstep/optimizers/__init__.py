"""Optimisers by name: one leaf file per member, one line in ``AnyOptimizer``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.optimizers.adamw import AdamW
from longstep.optimizers.adamw8bit import AdamW8bit
from longstep.optimizers.base import Optimizer
from longstep.optimizers.muon import Muon

__all__ = ["AdamW", "AdamW8bit", "AnyOptimizer", "Muon", "Optimizer"]

AnyOptimizer = Annotated[AdamW | AdamW8bit | Muon, Field(discriminator="kind")]
