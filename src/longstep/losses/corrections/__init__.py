"""Corrections, where sampler and trainer disagree: one leaf file per member, one line in ``AnyCorrection``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.losses.corrections.base import Correction, Weighing
from longstep.losses.corrections.masked import Masked
from longstep.losses.corrections.none import NoCorrection
from longstep.losses.corrections.sequence import SequenceTruncated
from longstep.losses.corrections.truncated import Truncated

__all__ = [
    "AnyCorrection",
    "Correction",
    "Masked",
    "NoCorrection",
    "SequenceTruncated",
    "Truncated",
    "Weighing",
]

AnyCorrection = Annotated[
    Masked | NoCorrection | SequenceTruncated | Truncated, Field(discriminator="kind")
]
