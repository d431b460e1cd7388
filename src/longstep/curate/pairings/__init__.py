"""Pairings for preference training: one leaf file per member, one line in ``AnyPairing``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curate.pairings.base import Pairing
from longstep.curate.pairings.right_over_wrong import PairConfig
from longstep.curate.pairings.shortest import ShortestRight

__all__ = ["AnyPairing", "PairConfig", "Pairing", "ShortestRight"]

AnyPairing = Annotated[PairConfig | ShortestRight, Field(discriminator="kind")]
